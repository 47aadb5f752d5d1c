"""How what test_average.py decides could be broken."""

import torch

from test_layers.pooling.breaking import each_average, regraded
from torchclaims import breaks


@breaks("avgpool-values")
def padding_counts_always(patch):
    """count_include_pad is ignored: padding always counts."""
    each_average(patch, lambda dims, original, x, a: original(x, **{**a, "count_include_pad": True}))


@breaks("avgpool-values", "avgpool-gradients")
def padding_counted_by_default_never(patch):
    """Padding never counts."""
    each_average(patch, lambda dims, original, x, a: original(x, **{**a, "count_include_pad": False}))


@breaks("avgpool-values")
def overhang_counts(patch):
    """With ceil_mode, elements beyond the padding count: each window is divided by the kernel's size."""

    def alter(dims, original, x, a):
        if not a["ceil_mode"] or not a["count_include_pad"] or dims == 1:
            return original(x, **a)
        return original(x, **{**a, "divisor_override": torch.Size(a["kernel_size"]).numel()})

    each_average(patch, alter)


@breaks("avgpool-values", "avgpool-gradients")
def divisor_override_ignored(patch):
    """divisor_override is ignored."""
    each_average(
        patch,
        lambda dims, original, x, a: original(x, **{**a, **({"divisor_override": None} if dims > 1 else {})}),
    )


@breaks("avgpool-values")
def mean_in_lower_precision(patch):
    """Means are taken in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}
    each_average(patch, lambda dims, original, x, a: original(x.to(lower.get(x.dtype, x.dtype)).to(x.dtype), **a))


@breaks("avgpool-gradients")
def gradient_divided_by_the_kernel(patch):
    """The gradient is divided by the size of the kernel even where fewer elements count."""

    def alter(dims, original, x, a):
        if a["count_include_pad"]:
            return original(x, **a)
        wrong = original(x, **{**a, "count_include_pad": True})
        return original(x.detach(), **a) + wrong - wrong.detach()

    each_average(patch, alter)


@breaks("avgpool-gradients")
def gradient_lost_at_the_border(patch):
    """With padding, the last column of the input gets no gradient."""

    def alter(dims, original, x, a):
        inside = torch.ones_like(x)
        if a["padding"][-1]:
            inside[..., -1] = 0
        return original(regraded(x, inside), **a)

    each_average(patch, alter)


@breaks("avgpool-values")
def divisor_override_lost_with_ceil_mode(patch):
    """With ceil_mode, divisor_override is ignored."""

    def alter(dims, original, x, a):
        return original(x, **{**a, **({"divisor_override": None} if dims > 1 and a["ceil_mode"] else {})})

    each_average(patch, alter)
