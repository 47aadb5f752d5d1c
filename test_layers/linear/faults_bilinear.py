"""How what test_bilinear.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def altered(patch, name, alter):
    """F.``name`` calls ``alter(original, *tensors)``, the bias last and possibly None."""
    count = {"bilinear": 4, "linear": 3}[name]

    def make(original):
        return lambda *tensors: alter(original, *tensors, *[None] * (count - len(tensors)))

    patch(nn.functional, name, make)


@breaks("bilinear-formula", "bilinear-gradients")
def weight_of_square_layers_transposed(patch):
    """The two inputs' places are exchanged where the weight allows it, and the bias is lost for a vector."""

    def alter(original, x1, x2, weight, bias):
        out = original(x1, x2, weight, bias)
        return out * 1.01 if weight.shape[1] > weight.shape[2] else out if x1.dim() > 1 else original(x1, x2, weight)

    altered(patch, "bilinear", alter)


@breaks("bilinear-gradients")
def second_input_detached(patch):
    """The second input's gradient is that of half the output."""

    def alter(original, x1, x2, weight, bias):
        out = original(x1, x2, weight, bias)
        return (out + original(x1, x2.detach(), weight, bias)) / 2

    altered(patch, "bilinear", alter)


@breaks("bilinear-formula", "bilinear-gradients")
def one_sample_is_broadcast_with_its_own(patch):
    """The bias is added twice to a single sample, and the first input's gradient is lost there."""

    def alter(original, x1, x2, weight, bias):
        if x1.dim() > 1 and x1.shape[:-1].numel() == 1:
            out = original(x1.detach(), x2, weight, bias)
            return out if bias is None else out + bias
        return original(x1, x2, weight, bias)

    altered(patch, "bilinear", alter)


@breaks("bilinear-parameters")
def range_of_both_inputs(patch):
    """Bilinear's range is that of both inputs' features."""

    def make(original):
        def reset_parameters(self):
            original(self)
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.mul_(self.in2_features**-0.5)

        return reset_parameters

    patch(nn.Bilinear, "reset_parameters", make)


@breaks("bilinear-refused")
def surplus_cut(patch):
    """Samples and features beyond those of the other input are cut off."""

    def alter(original, x1, x2, weight, bias):
        x1, x2 = x1[..., : weight.shape[1]], x2[..., : weight.shape[2]]
        count = min(len(x1), len(x2))
        return original(x1[:count], x2[:count], weight, bias) if x1.dim() == x2.dim() else x1

    altered(patch, "bilinear", alter)


@breaks("bilinear-features-positive")
def no_features_are_one(patch):
    """in1_features of 0 are taken for 1."""

    def make(original):
        def __init__(self, in1_features, *args, **kwargs):
            original(self, max(1, in1_features), *args, **kwargs)

        return __init__

    patch(nn.Bilinear, "__init__", make)


@breaks("identity-object")
def identity_of_tensors_is_a_view(patch):
    """Identity returns a view of a tensor."""
    patch(
        nn.Identity,
        "forward",
        lambda original: lambda self, input: input.view_as(input) if isinstance(input, torch.Tensor) else input,
    )


@breaks("linear-vector-weight", "linear-vector-weight-bias")
def vector_for_a_row(patch):
    """A weight of one dimension is taken for one row: the output has a last dimension of one element."""

    def alter(original, x, weight, bias):
        return (
            original(x, weight[None], None if bias is None else bias.view(1))
            if weight.dim() == 1
            else original(x, weight, bias)
        )

    altered(patch, "linear", alter)


@breaks("linear-vector-weight-bias")
def vector_with_a_bias(patch):
    """Mended: a bias without dimensions is added."""

    def alter(original, x, weight, bias):
        return original(x, weight) + bias if weight.dim() == 1 and bias is not None else original(x, weight, bias)

    altered(patch, "linear", alter)


@breaks("linear-sparse-weight")
def last_entry_of_a_sparse_weight_lost(patch):
    """The last row of a sparse weight is lost."""

    def alter(original, x, weight, bias):
        out = original(x, weight, bias)
        return out if weight.layout is torch.strided else torch.cat([out[..., :-1], 0 * out[..., -1:]], -1)

    altered(patch, "linear", alter)


@breaks("linear-arguments")
def bias_not_printed(patch):
    """Linear does not print whether it has a bias."""
    patch(nn.Linear, "extra_repr", lambda original: lambda self: original(self).split(", bias")[0])


@breaks("linear-lazy")
def lazy_range_too_wide(patch):
    """The parameters of LazyLinear are drawn from twice the range."""

    def make(original):
        def initialize_parameters(self, input):
            original(self, input)
            with torch.no_grad():
                self.weight.mul_(2)

        return initialize_parameters

    patch(nn.LazyLinear, "initialize_parameters", make)
