"""How what test_rows.py and test_arguments.py decide could be broken."""

import warnings

import torch
from torch import nn

from test_layers.activation.faults_formulas import altered, default, regraded
from torchclaims import breaks

F = nn.functional


def altered_rows(patch, name, alter):
    """F.name with a dim calls ``alter(original, input, dim)``."""

    def make(original):
        def function(input, dim=None, _stacklevel=3, dtype=None):
            return original(input, dim, _stacklevel + 1, dtype) if dim is None else alter(original, input, dim)

        return function

    patch(F, name, make)


@breaks("log-softmax-formula")
def logarithm_of_a_softmax(patch):
    """LogSoftmax is the logarithm of a softmax, which may have underflowed."""
    altered_rows(patch, "log_softmax", lambda f, x, dim: torch.log(torch.softmax(x, dim)))


@breaks("log-softmax-formula")
def log_softmax_gradient_of_the_sum(patch):
    """The gradient of LogSoftmax is g: the sum is left out."""
    altered_rows(patch, "log_softmax", lambda f, x, dim: f(x.detach(), dim) + x - x.detach())


@breaks("log-softmax-below-zero")
def log_softmax_stays_below_zero(patch):
    """LogSoftmax is cut off just below 0, as documented."""
    altered_rows(patch, "log_softmax", lambda f, x, dim: f(x, dim).clamp(max=-torch.finfo(x.dtype).tiny))


@breaks("softmin-formula")
def softmin_is_softmax(patch):
    """Softmin is softmax."""
    altered_rows(patch, "softmin", lambda f, x, dim: F.softmax(x, dim))


@breaks("softmin-formula")
def softmin_by_complement(patch):
    """Softmin is 1 - softmax, scaled to sum to 1, where there are more than two elements."""

    def alter(f, x, dim):
        size = x.shape[dim] if x.dim() else 1
        return (1 - F.softmax(x, dim)) / (size - 1) if size > 2 else f(x, dim)

    altered_rows(patch, "softmin", alter)


@breaks("softmax-2d")
def softmax2d_takes_dimension_one(patch):
    """Softmax2d takes dimension 1, which is the height where there is no batch."""

    def make(original):
        def forward(self, input):
            return F.softmax(input, 1) if input.dim() == 3 else original(self, input)

        return forward

    patch(nn.Softmax2d, "forward", make)


@breaks("softmax-2d")
def softmax2d_takes_five_dimensions(patch):
    """Softmax2d takes any input of three dimensions or more."""

    def make(original):
        def forward(self, input):
            return F.softmax(input, -3) if input.dim() > 4 else original(self, input)

        return forward

    patch(nn.Softmax2d, "forward", make)


@breaks("softmax-sparse")
def softmax_takes_sparse_tensors(patch):
    """Softmax takes sparse tensors, as documented."""

    def alter(f, x, dim):
        return torch.sparse.softmax(x, dim) if x.is_sparse else f(x, dim)

    altered_rows(patch, "softmax", alter)


@breaks("softmax-implicit-dim")
def implicit_dimension_of_three(patch):
    """Without a dim, three dimensions are normalised along dimension 1."""

    def make(original):
        def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
            if dim is None and input.dim() == 3:
                original(input, None, _stacklevel + 1)
                dim = 1
            return original(input, dim, _stacklevel + 1, dtype)

        return log_softmax

    patch(F, "log_softmax", make)


@breaks("softmax-implicit-dim")
def softmin_chooses_silently(patch):
    """Softmin chooses a dimension without a word."""

    def make(original):
        def softmin(*args, **kwargs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return original(*args, **kwargs)

        return softmin

    patch(F, "softmin", make)


@breaks("glu-formula")
def glu_halves_swapped(patch):
    """GLU takes the sigmoid of the first half."""
    altered(patch, "glu", lambda f, x, dim=-1: f(torch.cat(x.chunk(2, dim)[::-1], dim), dim))


@breaks("glu-formula")
def glu_interleaved(patch):
    """GLU takes every second element instead of halves where the dimension is longer than four."""

    def alter(f, x, dim=-1):
        size = x.shape[dim]
        order = torch.arange(size, device=x.device).view(-1, 2).t().flatten() if size > 4 else None
        return f(x if order is None else x.index_select(dim, order), dim)

    altered(patch, "glu", alter)


@breaks("glu-formula")
def glu_splits_dimension_one_by_default(patch):
    """GLU's default dim is 0."""
    default(patch, nn.GLU, dim=0)


@breaks("glu-formula")
def glu_gradient_of_the_gate_halved(patch):
    """The gate of GLU gets half its gradient."""

    def alter(f, x, dim=-1):
        first, second = x.chunk(2, dim)
        return f(torch.cat([first, regraded(second, 0.5)], dim), dim)

    altered(patch, "glu", alter)


@breaks("prelu-formula")
def prelu_by_the_last_dimension(patch):
    """PReLU's parameters belong to the last dimension where its size fits."""

    def alter(f, x, weight):
        fits = weight.numel() > 1 and x.dim() > 2 and x.shape[-1] == x.shape[1]
        return torch.where(x >= 0, x, x * weight) if fits else f(x, weight.flip(0) if x.dim() == 5 else weight)

    altered(patch, "prelu", alter)


@breaks("prelu-formula")
def prelu_weight_gradient_is_a_mean(patch):
    """The gradient of PReLU's weight is a mean over the batch."""
    altered(patch, "prelu", lambda f, x, weight: f(x, regraded(weight, 1 / len(x) if x.dim() and len(x) else 1.0)))


@breaks("prelu-formula")
def prelu_is_a_maximum(patch):
    """PReLU is max(x, a x), which differs for a > 1."""
    altered(patch, "prelu", lambda f, x, weight: torch.maximum(f(x, weight), x.detach()))


@breaks("prelu-defaults")
def prelu_starts_at_a_fifth(patch):
    """PReLU's weight starts at 0.2 unless told otherwise."""

    def make(original):
        def __init__(self, num_parameters=1, init=0.2, device=None, dtype=None):
            original(self, num_parameters, init, device, dtype)

        return __init__

    patch(nn.PReLU, "__init__", make)


@breaks("prelu-channels")
def prelu_takes_what_broadcasts(patch):
    """PReLU takes whatever broadcasts, or its first parameters."""

    def alter(f, x, weight):
        channels = x.shape[1] if x.dim() > 1 else 1
        return f(x, weight[:1] if weight.numel() not in (1, channels) else weight)

    altered(patch, "prelu", alter)


@breaks("rrelu-training")
def one_slope_for_all(patch):
    """RReLU draws one slope for a whole call."""

    def alter(f, x, lower=1 / 8, upper=1 / 3, training=False, inplace=False):
        if not training:
            return f(x, lower, upper, training, inplace)
        slope = float(torch.empty(()).uniform_(lower, upper))
        return f(x, slope, slope, False, inplace)

    altered(patch, "rrelu", alter)


@breaks("rrelu-training")
def slopes_from_zero(patch):
    """RReLU draws its slopes between 0 and the upper bound."""
    altered(
        patch,
        "rrelu",
        lambda f, x, lower=1 / 8, upper=1 / 3, training=False, inplace=False: f(x, 0.0, upper, training, inplace),
    )


@breaks("rrelu-training")
def rrelu_never_trains(patch):
    """RReLU takes the middle slope in training, too."""
    altered(patch, "rrelu", lambda f, x, lower=1 / 8, upper=1 / 3, training=False, inplace=False: f(x, lower, upper))


@breaks("act-printed")
def inplace_is_not_printed(patch):
    """ELU does not print inplace."""
    patch(nn.ELU, "extra_repr", lambda original: lambda self: f"alpha={self.alpha}")


@breaks("act-printed")
def approximation_printed_without_quotes(patch):
    """GELU prints its approximation without quotes."""
    patch(nn.GELU, "extra_repr", lambda original: lambda self: f"approximate={self.approximate}")


@breaks("act-refused")
def odd_sizes_halved(patch):
    """GLU leaves the last of an odd number of elements out."""

    def alter(f, x, dim=-1):
        return f(x.narrow(dim, 0, x.shape[dim] // 2 * 2) if x.dim() else x, dim)

    altered(patch, "glu", alter)


@breaks("act-refused")
def swapped_bounds_sorted(patch):
    """RReLU sorts its bounds."""
    altered(
        patch,
        "rrelu",
        lambda f, x, lower=1 / 8, upper=1 / 3, training=False, inplace=False: f(
            x, min(lower, upper), max(lower, upper), training, inplace
        ),
    )


@breaks("act-refused")
def hardtanh_of_no_range_taken(patch):
    """Hardtanh takes equal bounds."""

    def make(original):
        def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, **old):
            equal = min_val == max_val
            original(self, min_val, max_val + 1 if equal else max_val, inplace, **old)
            self.max_val = max_val if equal else self.max_val

        return __init__

    patch(nn.Hardtanh, "__init__", make)


@breaks("hardtanh-old-names")
def old_name_warned_of_but_ignored(patch):
    """Hardtanh warns of max_value, but keeps 1."""

    def make(original):
        def __init__(self, *args, max_value=None, **kwargs):
            original(self, *args, max_value=max_value, **kwargs)
            self.max_val = 1.0 if max_value is not None else self.max_val

        return __init__

    patch(nn.Hardtanh, "__init__", make)


@breaks("act-in-both-modes")
def containers_skip_sigmoids_in_evaluation(patch):
    """A Sequential skips Sigmoid and ReLU in evaluation."""

    def make(original):
        def forward(self, input):
            for module in self:
                input = input if not self.training and isinstance(module, nn.Sigmoid) else module(input)
            return input

        return forward

    patch(nn.Sequential, "forward", make)


@breaks("act-in-both-modes")
def tanh_is_hard_in_evaluation(patch):
    """GELU is approximated in evaluation."""

    def make(original):
        def forward(self, input):
            return original(self, input) if self.training else F.gelu(input, approximate="tanh")

        return forward

    patch(nn.GELU, "forward", make)
