"""Counter-examples to group normalisation's formula and its gradients."""

from test_norm.group.test_group import assert_gradients, assert_normalised
from torchclaims import claim
from torchclaims.search import LAYOUTS, search

# group-conditioning-channels-last: there the variance cancels.
KEPT = tuple(one for one in LAYOUTS if "last" not in one and one != "reversed axes")


@claim("group-formula", "group-backward")
@search
def test_group(cell, script):
    groups, each = script.integers(1, 4, 2)
    shape = (script.integers(1, 3)[0], groups * each, *script.sizes(script.pick(1, 2, 3), 1, 4))
    affine, eps = script.pick(True, False), script.pick(0.01, 1.0)
    module = script.module("module", f"GroupNorm({groups}, {groups * each}, eps={eps}, affine={affine})")
    # group-one-value-one-sample: one value a group is refused.
    if shape[0] == 1 and each == 1 and max(shape[2:]) == 1:
        return
    script.tensor("x", shape, grad=True, layouts=KEPT)
    out = script.run("out", "module(x)")
    assert_normalised(cell, out, script.get("x"), module)
    script.tensor("grad", shape)
    script.run("backward", "out.backward(grad)")
    assert_gradients(cell, script.get("x"), script.get("grad"), module)
