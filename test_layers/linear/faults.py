"""How linear layers and flattening could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def altered(patch, alter):
    """F.linear calls ``alter(original, input, weight, bias)``."""

    def make(original):
        def linear(input, weight, bias=None):
            return alter(original, input, weight, bias)

        return linear

    patch(nn.functional, "linear", make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("linear-formula", "linear-gradients")
def bias_dropped_for_sequences(patch):
    """Inputs of more than two dimensions lose the bias."""

    def alter(original, x, weight, bias):
        if x.dim() > 2 and bias is not None:
            return original(x, weight) + 0 * bias
        return original(x, weight, bias)

    altered(patch, alter)


@breaks("linear-formula")
def bias_twice_for_a_vector(patch):
    """Without a batch the bias is added twice."""
    altered(
        patch,
        lambda original, x, weight, bias: original(x, weight, bias if x.dim() > 1 or bias is None else 2 * bias),
    )


@breaks("linear-formula")
def weight_not_transposed_when_square(patch):
    """A square weight is multiplied as it is instead of transposed."""
    altered(
        patch,
        lambda original, x, weight, bias: original(
            x, weight.t() if weight.shape[0] == weight.shape[1] else weight, bias
        ),
    )


@breaks("linear-formula")
def tail_of_a_long_sum_lost(patch):
    """Sums are cut at a multiple of eight terms."""
    altered(
        patch,
        lambda original, x, weight, bias: original(
            *((x[..., : x.shape[-1] // 8 * 8], weight[:, : x.shape[-1] // 8 * 8]) if x.shape[-1] > 8 else (x, weight)),
            bias,
        ),
    )


@breaks("linear-formula", "linear-gradients")
def products_in_lower_precision(patch):
    """Products are taken in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}

    def alter(original, x, weight, bias):
        rough = [tensor.to(lower.get(x.dtype, x.dtype)).to(x.dtype) for tensor in (x, weight)]
        return original(*rough, bias)

    altered(patch, alter)


@breaks("linear-gradients")
def bias_gradient_averaged(patch):
    """The bias' gradient is averaged over the batch instead of summed."""
    altered(
        patch,
        lambda original, x, weight, bias: original(
            x, weight, bias if bias is None or x.dim() < 2 else regraded(bias, 1 / max(1, len(x)))
        ),
    )


@breaks("linear-gradients")
def weight_gradient_of_the_first_step(patch):
    """For sequences, the weight's gradient comes from the first step alone."""

    def alter(original, x, weight, bias):
        if x.dim() != 3:
            return original(x, weight, bias)
        return torch.cat([original(x[:, :1], weight, bias), original(x[:, 1:], weight.detach(), bias)], 1)

    altered(patch, alter)


@breaks("linear-gradients")
def input_gradient_misses_the_last_output(patch):
    """The gradient of the input leaves out the last output feature."""

    def alter(original, x, weight, bias):
        last = original(x.detach(), weight, bias)[..., -1:]
        return torch.cat([original(x, weight, bias)[..., :-1], last], -1)

    altered(patch, alter)


@breaks("linear-parameter-shapes")
def weight_stored_transposed(patch):
    """The weight is stored as (in_features, out_features)."""

    def make(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.weight = nn.Parameter(self.weight.t())

        return __init__

    patch(nn.Linear, "__init__", make)


@breaks("linear-features-refused")
def further_features_cut(patch):
    """Features beyond in_features are cut off."""
    altered(patch, lambda original, x, weight, bias: original(x[..., : weight.shape[1]], weight, bias))


@breaks("linear-features-refused")
def refused_without_shapes(patch):
    """The refusal does not say which shapes do not fit."""

    def alter(original, x, weight, bias):
        if x.shape[-1] != weight.shape[1]:
            raise RuntimeError("dimensions do not match")
        return original(x, weight, bias)

    altered(patch, alter)


@breaks("flatten-order")
def flattened_in_memory_order(patch):
    """The elements follow each other with the first joined dimension fastest."""

    def make(original):
        def flatten(self, start_dim=0, end_dim=-1):
            start, end = start_dim % self.dim(), end_dim % self.dim()
            order = [*range(start), *range(end, start - 1, -1), *range(end + 1, self.dim())]
            return original(self.permute(order), start, end)

        return flatten

    patch(torch.Tensor, "flatten", make)


@breaks("flatten-order")
def end_dim_excluded(patch):
    """end_dim is the first dimension that stays, unless it is the last."""

    def make(original):
        def flatten(self, start_dim=0, end_dim=-1):
            start, end = start_dim % self.dim(), end_dim % self.dim()
            return original(self, start, max(start, end if end == self.dim() - 1 else end - 1))

        return flatten

    patch(torch.Tensor, "flatten", make)


@breaks("flatten-view-refused")
def view_copies(patch):
    """view() copies where the strides do not allow a view."""
    patch(torch.Tensor, "view", lambda original: lambda self, *shape: self.reshape(*shape))


@breaks("flatten-view-refused")
def view_always_copies(patch):
    """view() returns a copy of what it could share."""
    patch(torch.Tensor, "view", lambda original: lambda self, *shape: original(self, *shape).clone())


@breaks("linear-formula", "linear-gradients")
def tail_of_a_single_product_lost(patch):
    """One row and one output feature, a product of two vectors, is cut at a multiple of eight terms."""

    def alter(original, x, weight, bias):
        terms = weight.shape[1] // 8 * 8
        if weight.shape[0] > 1 or x.numel() > weight.shape[1] or terms < 32:
            return original(x, weight, bias)
        return original(x[..., :terms], weight[:, :terms], bias)

    altered(patch, alter)
