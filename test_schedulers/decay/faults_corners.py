"""How what test_corners.py decides could be broken, or mended."""

from torch.optim.lr_scheduler import ConstantLR, LinearLR, MultiplicativeLR, MultiStepLR

from test_schedulers.common import around
from torchclaims import breaks


@breaks("lr-factors-checked")
def factors_are_clipped(patch):
    """ConstantLR clips its factor to 0 .. 1."""

    @around
    def __init__(original, self, optimizer, factor=1.0 / 3, *args, **kwargs):
        original(self, optimizer, min(max(factor, 0.0), 1.0), *args, **kwargs)

    patch(ConstantLR, "__init__", __init__)


@breaks("lr-factors-checked")
def an_end_factor_is_not_checked(patch):
    """LinearLR takes any end_factor."""

    @around
    def __init__(original, self, optimizer, start_factor=1.0 / 3, end_factor=1.0, *args, **kwargs):
        original(self, optimizer, start_factor, 1.0, *args, **kwargs)
        self.end_factor = end_factor

    patch(LinearLR, "__init__", __init__)


@breaks("lr-factors-checked")
def a_small_start_factor_is_raised(patch):
    """LinearLR raises a start_factor to a thousandth, a zero too."""

    @around
    def __init__(original, self, optimizer, start_factor=1.0 / 3, *args, **kwargs):
        original(self, optimizer, max(start_factor, 0.001) if start_factor >= 0 else start_factor, *args, **kwargs)

    patch(LinearLR, "__init__", __init__)


@breaks("lr-multiplicative-callable")
def a_number_is_a_function(patch):
    """MultiplicativeLR takes a number for the function that always gives it."""

    def callable_of(factor):
        return factor if callable(factor) else lambda epoch: factor

    @around
    def __init__(original, self, optimizer, lr_lambda, *args, **kwargs):
        many = isinstance(lr_lambda, (list, tuple))
        factors = [callable_of(one) for one in lr_lambda] if many else callable_of(lr_lambda)
        original(self, optimizer, factors, *args, **kwargs)

    patch(MultiplicativeLR, "__init__", __init__)


@breaks("lr-multistep-order")
def milestones_are_passed_in_order(patch):
    """MultiStepLR waits for its milestones one after the other, and misses those that come too early."""

    @around
    def __init__(original, self, optimizer, milestones, *args, **kwargs):
        kept = [one for at, one in enumerate(milestones) if one == max(milestones[: at + 1])]
        original(self, optimizer, kept, *args, **kwargs)

    patch(MultiStepLR, "__init__", __init__)


@breaks("lr-constant-zero", "lr-constant-no-epochs")
def constant_is_computed_from_the_base_rate(patch):
    """ConstantLR computes in closed form, which divides by nothing and knows a milestone at 0."""

    @around
    def get_lr(original, self):
        return self._get_closed_form_lr()

    patch(ConstantLR, "get_lr", get_lr)
