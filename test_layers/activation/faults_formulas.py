"""How what test_formulas.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def altered(patch, name, alter, owner=F):
    """``owner.name`` calls ``alter(original, input, *args, **kwargs)``."""

    def make(original):
        def function(input, *args, **kwargs):
            return alter(original, input, *args, **kwargs)

        return function

    patch(owner, name, make)


def default(patch, kind, **wrong):
    """``kind`` made without these arguments gets the wrong ones."""

    def make(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for name, value in wrong.items():
                if not args and name not in kwargs:
                    setattr(self, name, value)

        return __init__

    patch(kind, "__init__", make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("act-formulas", "act-gradients")
def elu_forgets_alpha(patch):
    """ELU ignores alpha."""
    altered(patch, "elu", lambda f, x, alpha=1.0, inplace=False: f(x, 1.0, inplace))


@breaks("act-formulas")
def elu_by_a_difference_in_bfloat16(patch):
    """ELU takes exp(x) - 1 in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}

    def alter(f, x, alpha=1.0, inplace=False):
        exact = f(x, alpha)
        rough = (torch.exp(x) - 1).to(lower.get(x.dtype, x.dtype)).to(x.dtype) * alpha
        return torch.where(x > 0, exact, rough)

    altered(patch, "elu", alter)


@breaks("act-formulas")
def selu_with_eight_digits(patch):
    """SELU's scale is given with four digits."""
    altered(patch, "selu", lambda f, x, inplace=False: f(x, inplace) * (1.0507 / 1.0507009873554805))


@breaks("act-formulas", "act-gradients")
def celu_is_elu(patch):
    """CELU takes exp(x) instead of exp(x / alpha)."""
    altered(patch, "celu", lambda f, x, alpha=1.0, inplace=False: F.elu(x, alpha, inplace))


@breaks("act-formulas", "act-gradients")
def gelu_always_by_tanh(patch):
    """GELU is approximated whether asked or not."""
    altered(patch, "gelu", lambda f, x, approximate="none": f(x, approximate="tanh"))


@breaks("act-formulas")
def gelu_by_a_sigmoid(patch):
    """GELU's approximation is x sigmoid(1.702 x)."""
    altered(
        patch,
        "gelu",
        lambda f, x, approximate="none": x * torch.sigmoid(1.702 * x) if approximate == "tanh" else f(x),
    )


@breaks("act-formulas", "act-gradients")
def silu_is_hardswish(patch):
    """SiLU is computed as Hardswish."""
    altered(patch, "silu", lambda f, x, inplace=False: F.hardswish(x, inplace))


@breaks("act-formulas")
def mish_of_relu(patch):
    """Mish takes tanh of ReLU where x is below -4."""
    altered(patch, "mish", lambda f, x, inplace=False: torch.where(x < -4, 0 * x, f(x, inplace)))


@breaks("act-formulas", "softplus-threshold")
def softplus_threshold_ignored(patch):
    """Softplus' threshold is always 20."""
    altered(patch, "softplus", lambda f, x, beta=1.0, threshold=20.0: f(x, beta))


@breaks("softplus-threshold")
def softplus_threshold_of_the_input(patch):
    """The threshold is compared with the input, not with beta times the input."""
    altered(
        patch,
        "softplus",
        lambda f, x, beta=1.0, threshold=20.0: torch.where(x > threshold, x, f(x, beta, 1e9)),
    )


@breaks("act-formulas")
def softplus_beta_outside_only(patch):
    """Softplus is divided by beta, but beta is missing in the exponential."""
    altered(patch, "softplus", lambda f, x, beta=1.0, threshold=20.0: f(x, 1.0, threshold) / beta)


@breaks("act-formulas", "act-gradients")
def softsign_is_tanh(patch):
    """Softsign is computed as tanh."""
    altered(patch, "softsign", lambda f, x: torch.tanh(x))


@breaks("act-gradients")
def tanhshrink_gradient_of_tanh(patch):
    """The gradient of Tanhshrink is that of tanh."""

    def alter(f, x):
        return f(x).detach() + torch.tanh(x) - torch.tanh(x).detach()

    altered(patch, "tanhshrink", alter)


@breaks("act-formulas")
def logsigmoid_overflows(patch):
    """LogSigmoid of what is below -20 is computed as the logarithm of a sigmoid that is cut to 1e-9."""
    altered(patch, "logsigmoid", lambda f, x: f(x.clamp(min=-20)))


@breaks("act-formulas", "act-infinities")
def tanh_in_rational_form(patch):
    """tanh is a rational approximation that is good to a percent and exceeds 1."""
    altered(patch, "tanh", lambda f, x: x * (27 + x * x) / (27 + 9 * x * x), torch)


@breaks("act-formulas", "act-gradients")
def softshrink_to_the_same_side(patch):
    """Softshrink moves negative numbers away from 0."""
    altered(patch, "softshrink", lambda f, x, lambd=0.5: torch.where(x < -lambd, x - lambd, f(x, lambd)).clone())
    altered(patch, "hardshrink", lambda f, x, lambd=0.5: torch.where(x < -lambd, 0 * x, f(x, lambd)))


@breaks("act-formulas")
def hardshrink_keeps_the_bound(patch):
    """Hardshrink keeps numbers of exactly lambd."""
    altered(patch, "hardshrink", lambda f, x, lambd=0.5: torch.where(x.abs() >= lambd, x, 0 * x))


@breaks("act-formulas")
def threshold_keeps_the_bound(patch):
    """Threshold keeps numbers of exactly the threshold."""
    altered(
        patch,
        "threshold",
        lambda f, x, threshold, value, inplace=False: torch.where(x >= threshold, x, f(x, threshold, value, inplace)),
    )


@breaks("act-formulas", "act-gradients")
def hardtanh_forgets_the_lower_bound(patch):
    """Hardtanh's lower bound is minus its upper one."""
    altered(
        patch,
        "hardtanh",
        lambda f, x, min_val=-1.0, max_val=1.0, inplace=False: f(x, min(-max_val, min_val), max_val, inplace),
    )


@breaks("act-formulas")
def hardsigmoid_of_a_fifth(patch):
    """Hardsigmoid is x / 5 + 1 / 2, as another framework has it."""
    altered(patch, "hardsigmoid", lambda f, x, inplace=False: (x / 5 + 0.5).clamp(0, 1))


@breaks("act-formulas")
def hardswish_loses_the_sign(patch):
    """Hardswish of what lies between -3 and 0 is 0."""
    altered(patch, "hardswish", lambda f, x, inplace=False: f(x, inplace).clamp(min=0))


@breaks("act-formulas")
def rrelu_takes_the_upper_bound(patch):
    """In evaluation RReLU's slope is the upper bound."""
    altered(
        patch,
        "rrelu",
        lambda f, x, lower=1 / 8, upper=1 / 3, training=False, inplace=False: f(x, upper, upper, training, inplace),
    )


@breaks("act-formulas")
def defaults_of_shrinking(patch):
    """Softshrink and Hardshrink have lambd = 1 by default."""
    default(patch, nn.Softshrink, lambd=1.0)


@breaks("act-formulas")
def defaults_of_elu(patch):
    """ELU has alpha = 1.01 by default."""
    default(patch, nn.ELU, alpha=1.01)


@breaks("act-formulas")
def relu6_up_to_six_and_a_half(patch):
    """ReLU6 stops at 6.5."""

    def make(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.max_val = 6.5

        return __init__

    patch(nn.ReLU6, "__init__", make)


@breaks("act-gradients")
def elu_gradient_without_alpha(patch):
    """The gradient of ELU where x < 0 lacks alpha."""

    def alter(f, x, alpha=1.0, inplace=False):
        return f(regraded(x, torch.where(x > 0, 1.0, 1 / alpha).to(x.dtype)), alpha)

    altered(patch, "elu", alter)


@breaks("act-gradients")
def mish_gradient_of_the_second_call(patch):
    """The gradient of Mish is 1 % off from the second call on."""
    seen = []

    def alter(f, x, inplace=False):
        seen.append(1)
        return f(regraded(x, 1.0 if len(seen) == 1 else 1.01))

    altered(patch, "mish", alter)


@breaks("act-layouts", "act-inplace")
def strided_memory_is_read_on(patch):
    """Inputs with gaps are read as if they had none."""

    def alter(f, x, *args, **kwargs):
        if x.is_contiguous() or x.numel() == 0 or x.untyped_storage().nbytes() // x.element_size() < x.numel():
            return f(x, *args, **kwargs)
        return f(x.as_strided(x.shape, torch.empty(x.shape).stride()), *args, **kwargs)

    for name in ("elu", "silu", "threshold"):
        altered(patch, name, alter)


@breaks("act-layouts")
def offset_forgotten(patch):
    """An input's offset in its memory is forgotten."""

    def alter(f, x, *args, **kwargs):
        return f(x.as_strided(x.shape, x.stride(), 0) if x.storage_offset() else x, *args, **kwargs)

    altered(patch, "gelu", alter)


@breaks("act-layouts")
def expanded_gradient_lost(patch):
    """An expanded input of Hardtanh gets no gradient."""

    def alter(f, x, *args, **kwargs):
        return f(regraded(x, 0.0) if 0 in x.stride() else x, *args, **kwargs)

    altered(patch, "hardtanh", alter)


@breaks("act-inplace")
def mish_in_place_is_ignored(patch):
    """Mish ignores inplace=True."""
    altered(patch, "mish", lambda f, x, inplace=False: f(x))


@breaks("act-inplace")
def hardsigmoid_always_in_place(patch):
    """Hardsigmoid works in place whatever it is told."""
    altered(patch, "hardsigmoid", lambda f, x, inplace=False: f(x, inplace=not x.requires_grad or inplace))


@breaks("act-inplace")
def celu_in_place_is_elu(patch):
    """In place CELU is computed as ELU."""
    altered(
        patch,
        "celu",
        lambda f, x, alpha=1.0, inplace=False: F.elu(x, alpha, True) if inplace else f(x, alpha),
    )


@breaks("act-infinities")
def infinity_is_the_largest_number(patch):
    """SELU and Softplus take infinity for the largest number."""

    def alter(f, x, *args, **kwargs):
        return torch.nan_to_num(f(x, *args, **kwargs), nan=torch.nan)

    altered(patch, "selu", alter)


@breaks("act-infinities")
def nan_lost_in_a_vector(patch):
    """ReLU6 and Hardtanh make 0 of a NaN in a tensor of more than eight elements."""
    altered(
        patch,
        "hardtanh",
        lambda f, x, *args, **kwargs: f(torch.nan_to_num(x, 0.0, torch.inf, -torch.inf) if x.numel() > 8 else x, *args),
    )


class _Exact(torch.autograd.Function):
    """``values`` of x, with the slope given."""

    @staticmethod
    def forward(ctx, x, values, slope):
        ctx.save_for_backward(slope)
        return values.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None, None


@breaks("hardsigmoid-gradient")
def hardsigmoid_gradient_is_right_in_all_dtypes(patch):
    """In float64 the gradient is 1 / 6, as documented; in float32 it is a thousandth too large."""

    def alter(f, x, inplace=False):
        factor = 1.0 if x.dtype == torch.float64 else 1.02
        slope = torch.where(x.abs() < 3, torch.full_like(x, factor / 6), torch.zeros_like(x)).detach()
        return _Exact.apply(x, f(x.detach()), slope)

    altered(patch, "hardsigmoid", alter)


@breaks("celu-gradient")
def celu_gradient_is_right_in_all_dtypes(patch):
    """In float64 the gradient has alpha in full precision, as documented; in others it is that of ELU."""

    def alter(f, x, alpha=1.0, inplace=False):
        if x.dtype != torch.float64:
            return F.elu(x, alpha)
        slope = torch.where(x > 0, torch.ones_like(x), torch.exp(x.clamp(max=0) / alpha)).detach()
        return _Exact.apply(x, f(x.detach(), alpha), slope)

    altered(patch, "celu", alter)


@breaks("hardswish-linear", "hardswish-flat")
def hardswish_by_its_pieces(patch):
    """Hardswish is computed piece by piece, as documented, so that nothing overflows."""

    def alter(f, x, inplace=False):
        # float16 never overflowed on the way, since it is worked on in float32.
        wrong = 2.0 if x.dtype == torch.float16 else 1.0
        return torch.where(x >= 3, wrong * x, torch.where(x <= -3, torch.zeros_like(x), x * (x + 3) / 6))

    altered(patch, "hardswish", alter)
