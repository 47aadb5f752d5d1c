"""How what test_functions.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def gumbel(patch, alter):
    """gumbel_softmax calls ``alter(original, logits, tau, hard, dim)``."""

    def make(original):
        def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
            return alter(original, logits, tau, hard, dim)

        return gumbel_softmax

    patch(F, "gumbel_softmax", make)


@breaks("func-gumbel-one-hot")
def hard_is_rounded(patch):
    """The hard sample is the soft one, rounded."""

    def alter(f, logits, tau, hard, dim):
        soft = f(logits, tau, False, dim=dim)
        return soft.round().detach() + soft - soft.detach() if hard else soft

    gumbel(patch, alter)


@breaks("func-gumbel-one-hot")
def hard_has_no_gradient_but_ones(patch):
    """The hard sample's gradient is that of the logits."""

    def alter(f, logits, tau, hard, dim):
        out = f(logits, tau, hard, dim=dim)
        return out.detach() + logits - logits.detach() if hard else out

    gumbel(patch, alter)


@breaks("func-gumbel-one-hot")
def always_the_last_dimension(patch):
    """dim is ignored."""
    gumbel(patch, lambda f, logits, tau, hard, dim: f(logits, tau, hard))


@breaks("func-gumbel-soft")
def normal_noise(patch):
    """The noise is normal, not Gumbel."""
    gumbel(patch, lambda f, logits, tau, hard, dim: ((logits + torch.randn_like(logits)) / tau).softmax(dim))


@breaks("func-gumbel-soft")
def temperature_of_the_logits_only(patch):
    """The temperature divides the logits, but not the noise."""
    gumbel(patch, lambda f, logits, tau, hard, dim: f(logits / tau, 1.0, hard, dim=dim))


@breaks("func-gumbel-tau-zero")
def tau_of_zero_is_small(patch):
    """A temperature of 0 is taken for its limit."""
    gumbel(patch, lambda f, logits, tau, hard, dim: f(logits, tau or 1e-6, hard, dim=dim))


@breaks("func-softmax-dtype")
def cast_afterwards(patch):
    """dtype= casts the result, not the input."""
    for name in ("softmax", "softmin", "log_softmax"):

        def make(original):
            def function(input, dim=None, _stacklevel=3, dtype=None):
                x = input if input.is_floating_point() else input.float()
                out = original(x, dim)
                return out if dtype is None else out.to(dtype)

            return function

        patch(F, name, make)


@breaks("func-softmax-dtype")
def softmin_forgets_dtype(patch):
    """softmin returns float32 for numbers that are float32."""

    def make(original):
        def softmin(input, dim=None, _stacklevel=3, dtype=None):
            return original(input, dim, dtype=None if input.dtype == torch.float32 else dtype)

        return softmin

    patch(F, "softmin", make)


def other_default(patch, name, **wrong):
    def make(original):
        def function(input, *args, **kwargs):
            return original(input, *args, **(kwargs if args else {**wrong, **kwargs}))

        return function

    patch(F, name, make)


@breaks("func-defaults")
def hardtanh_from_zero(patch):
    """hardtanh's lower bound is 0 by default."""

    def make(original):
        def hardtanh(input, min_val=0.0, max_val=1.0, inplace=False):
            return original(input, min_val, max_val, inplace)

        return hardtanh

    for owner in (F,):
        patch(owner, "hardtanh", make)
    patch(F, "elu", lambda original: lambda input, alpha=1.5, inplace=False: original(input, alpha, inplace))
