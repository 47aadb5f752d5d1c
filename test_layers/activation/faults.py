"""How activation functions could be broken."""

import warnings

import torch
from torch import nn

from torchclaims import breaks


def altered_relu(patch, alter):
    """F.relu out of place calls ``alter(original, input)``."""

    def make(original):
        def relu(input, inplace=False):
            return original(input, inplace=True) if inplace else alter(original, input)

        return relu

    patch(nn.functional, "relu", make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("relu-formula")
def leak(patch):
    """A thousandth of what is negative leaks through."""
    altered_relu(patch, lambda original, x: torch.where(x < 0, x * 1e-3, original(x)))


@breaks("relu-formula")
def capped_at_six(patch):
    """ReLU stops at 6, as ReLU6 does."""
    altered_relu(patch, lambda original, x: original(x).clamp(max=6))


@breaks("relu-formula")
def tail_of_a_vector_not_done(patch):
    """What is left over after whole vectors of sixteen passes unchanged."""

    def alter(original, x):
        done = x.numel() // 16 * 16
        if not 0 < done < x.numel():
            return original(x)
        return torch.cat([original(x.flatten()[:done]), x.flatten()[done:]]).view(x.shape)

    altered_relu(patch, alter)


@breaks("relu-formula")
def subnormal_threshold(patch):
    """What is smaller than 2e-3 becomes 0."""
    altered_relu(patch, lambda original, x: torch.where(x < 2e-3, 0 * x, x))


@breaks("relu-gradient")
def gradient_at_the_kink(patch):
    """The gradient at 0 is 1."""
    altered_relu(patch, lambda original, x: original(x) + torch.where(x == 0, x, 0 * x.detach()))


@breaks("relu-gradient")
def gradient_half_at_the_kink(patch):
    """The gradient at 0 is one half, as that of a maximum of two equals."""
    altered_relu(
        patch,
        lambda original, x: torch.maximum(x, torch.zeros_like(x)) if x.is_floating_point() else original(x),
    )


@breaks("relu-gradient")
def gradient_leaks(patch):
    """A thousandth of the gradient passes where the input is negative."""
    altered_relu(patch, lambda original, x: original(x) + 1e-3 * (x - x.detach()))


@breaks("relu-special")
def nan_becomes_zero(patch):
    """A NaN becomes 0: x > 0 is false for it."""
    altered_relu(patch, lambda original, x: torch.where(x > 0, x, torch.zeros_like(x)))


@breaks("relu-special")
def infinity_becomes_the_largest_number(patch):
    """Infinity becomes the largest finite number."""

    def alter(original, x):
        return original(x).clamp(max=torch.finfo(x.dtype).max) if x.is_floating_point() else original(x)

    altered_relu(patch, alter)


@breaks("relu-special")
def bool_taken(patch):
    """A bool passes as it is."""
    altered_relu(patch, lambda original, x: x if x.dtype == torch.bool else original(x))


def altered_inplace(patch, alter):
    def make(original):
        def relu(input, inplace=False):
            return alter(original, input) if inplace else original(input)

        return relu

    patch(nn.functional, "relu", make)


@breaks("relu-inplace")
def inplace_copies(patch):
    """inplace=True is ignored."""
    altered_inplace(patch, lambda original, x: original(x))


@breaks("relu-inplace")
def inplace_returns_another_tensor(patch):
    """inplace=True writes to the input, but returns a tensor of its own."""
    altered_inplace(patch, lambda original, x: original(x, inplace=True).clone())


@breaks("relu-inplace")
def inplace_unseen_by_autograd(patch):
    """inplace=True changes the input behind autograd's back: the gradient passes everywhere."""

    def alter(original, x):
        original(x.detach(), inplace=True)
        return x

    altered_inplace(patch, alter)


@breaks("leaky-relu-formula")
def slope_ignored(patch):
    """The slope is always 0.01."""
    patch(
        nn.functional,
        "leaky_relu",
        lambda original: lambda input, negative_slope=0.01, inplace=False: original(input),
    )


@breaks("leaky-relu-formula")
def default_slope_of_a_tenth(patch):
    """The default slope is 0.1."""

    def make(original):
        def __init__(self, negative_slope=0.1, inplace=False):
            original(self, negative_slope, inplace)

        return __init__

    patch(nn.LeakyReLU, "__init__", make)


@breaks("leaky-relu-formula")
def slope_missing_in_the_gradient(patch):
    """The gradient is 0 where the input is negative."""

    def make(original):
        def leaky_relu(input, negative_slope=0.01, inplace=False):
            return original(regraded(input, (input > 0).to(input.dtype)), negative_slope)

        return leaky_relu

    patch(nn.functional, "leaky_relu", make)


@breaks("sigmoid-formula")
def rational_sigmoid(patch):
    """A cheap approximation by tanh in lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}
    patch(torch, "sigmoid", lambda original: lambda x: original(x.to(lower.get(x.dtype, x.dtype))).to(x.dtype))


@breaks("sigmoid-formula")
def small_sigmoids_flushed(patch):
    """What is below 1e-4 becomes 0."""

    def make(original):
        def sigmoid(x):
            out = original(x)
            return torch.where(out < 1e-4, 0 * out, out)

        return sigmoid

    patch(torch, "sigmoid", make)


@breaks("sigmoid-formula")
def sigmoid_overflows(patch):
    """exp(x) / (1 + exp(x)), which is not a number for large x."""
    patch(torch, "sigmoid", lambda original: lambda x: torch.exp(x) / (1 + torch.exp(x)))


@breaks("sigmoid-formula")
def sigmoid_gradient_without_complement(patch):
    """The gradient is s instead of s (1 - s) where s is large."""

    def make(original):
        def sigmoid(x):
            out = original(x)
            return regraded(out, torch.where(out > 0.9, 1 / (1 - out.detach()).clamp(min=1e-3), torch.ones_like(out)))

        return sigmoid

    patch(torch, "sigmoid", make)


def altered_softmax(patch, alter):
    """F.softmax with a dim calls ``alter(original, input, dim)``."""

    def make(original):
        def softmax(input, dim=None, _stacklevel=3, dtype=None):
            return original(input, dim, dtype=dtype) if dim is None else alter(original, input, dim)

        return softmax

    patch(nn.functional, "softmax", make)


@breaks("softmax-formula", "softmax-gradient", "softmax-distribution")
def dim_ignored(patch):
    """dim is ignored: the last dimension is taken."""
    altered_softmax(patch, lambda original, x, dim: original(x, -1))


@breaks("softmax-formula", "softmax-gradient")
def negative_dim_from_the_front(patch):
    """A negative dim counts from the front: -1 is dimension 1."""
    altered_softmax(patch, lambda original, x, dim: original(x, abs(dim) % x.dim()))


@breaks("softmax-formula")
def padded_to_a_vector(patch):
    """Rows are filled up with zeros to a multiple of eight, which take their share."""

    def alter(original, x, dim):
        size = x.shape[dim]
        filler = torch.zeros_like(
            x.narrow(dim, 0, 1).expand([-size % 8 if d == dim % x.dim() else s for d, s in enumerate(x.shape)])
        )
        return original(torch.cat([x, filler], dim), dim).narrow(dim, 0, size)

    altered_softmax(patch, alter)


@breaks("softmax-formula")
def base_of_two(patch):
    """Powers of 2 instead of e."""
    altered_softmax(patch, lambda original, x, dim: original(x * 0.6931471805599453, dim))


@breaks("softmax-distribution")
def not_shifted_by_the_maximum(patch):
    """exp(x) / sum(exp(x)) without the shift, which is not a number for large inputs."""
    altered_softmax(patch, lambda original, x, dim: torch.exp(x) / torch.exp(x).sum(dim, keepdim=True))


@breaks("softmax-distribution")
def divisor_with_epsilon(patch):
    """The sum is increased by one percent, as an overcautious epsilon would."""
    altered_softmax(patch, lambda original, x, dim: original(x, dim) / 1.01)


@breaks("softmax-gradient")
def gradient_of_the_diagonal(patch):
    """The gradient is that of s_i with respect to x_i alone."""

    def alter(original, x, dim):
        shares = original(x.detach(), dim)
        return shares + (x - x.detach()) * shares * (1 - shares)

    altered_softmax(patch, alter)


@breaks("softmax-gradient")
def gradient_without_the_sum(patch):
    """The sum over j is left out of the gradient."""

    def alter(original, x, dim):
        shares = original(x.detach(), dim)
        return shares + (x - x.detach()) * shares

    altered_softmax(patch, alter)


@breaks("softmax-implicit-dim")
def silent_choice(patch):
    """The choice of a dimension is silent."""

    def make(original):
        def softmax(*args, **kwargs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return original(*args, **kwargs)

        return softmax

    patch(nn.functional, "softmax", make)


@breaks("softmax-implicit-dim")
def implicit_dimension_zero(patch):
    """Without a dim a matrix is normalised along dimension 0."""

    def make(original):
        def softmax(input, dim=None, _stacklevel=3, dtype=None):
            if dim is None:
                original(input, None)
            return original(input, 0 if dim is None else dim, dtype=dtype)

        return softmax

    patch(nn.functional, "softmax", make)


@breaks("relu-inplace")
def inplace_on_strided_memory_is_lost(patch):
    """inplace=True works on a copy where the input is not dense, and the copy is not written back."""
    altered_inplace(patch, lambda original, x: original(x, inplace=x.is_contiguous()))


@breaks("softmax-formula")
def tail_of_a_long_row_not_summed(patch):
    """Of rows longer than 64 only whole blocks of 64 are summed."""

    def alter(original, x, dim):
        if x.dim() == 0 or x.shape[dim] <= 64:
            return original(x, dim)
        powers = torch.exp(x - x.amax(dim, keepdim=True))
        return powers / powers.narrow(dim, 0, x.shape[dim] // 64 * 64).sum(dim, keepdim=True)

    altered_softmax(patch, alter)
