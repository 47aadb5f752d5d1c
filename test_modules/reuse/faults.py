"""stub"""

from torchclaims import breaks


@breaks(
    "reuse-size-unchanged",
    "reuse-structure-static",
    "reuse-keys-index-children",
    "reuse-relu-stateless",
    "reuse-bn-entries",
    "reuse-dataparallel-prefix",
    "reuse-new-layer-counts",
    "reuse-output-changes",
    "reuse-flops",
    "reuse-runs-each-time",
    "reuse-bn-updates-each-time",
    "reuse-grads-add",
    "reuse-grads-tied-untied",
    "reuse-optimizer-once",
    "reuse-alias-parameters-once",
    "reuse-alias-two-entries",
    "reuse-channels-match",
    "reuse-nhwc-refused",
    "reuse-block-shapes",
    "reuse-conv-positional",
    "reuse-pool-stride-default",
    "reuse-linear-fixes-size",
    "reuse-view-flattens",
    "reuse-view-needs-layout",
)
def stub(patch):
    pass
