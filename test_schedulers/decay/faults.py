"""How the schedules that are a formula of the epoch could be broken."""

from torch.optim.lr_scheduler import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

from test_schedulers.common import around, first_for_all, first_group_only, rates_of, shifted, with_attribute
from torchclaims import breaks


@breaks("lr-step")
def step_decays_one_epoch_late(patch):
    """StepLR counts its periods from epoch 1."""
    patch(StepLR, "get_lr", shifted(-1))


@breaks("lr-step")
def step_decays_one_epoch_early(patch):
    """StepLR decays at the last epoch of a period."""
    patch(StepLR, "get_lr", shifted(1))


@breaks("lr-step", "lr-groups")
def step_decays_the_first_group_only(patch):
    """StepLR applies gamma to the first parameter group only."""
    patch(StepLR, "get_lr", first_group_only)


@breaks("lr-step")
def step_decays_only_once(patch):
    """StepLR decays at epoch step_size and never again."""

    @around
    def get_lr(original, self):
        return original(self) if self.last_epoch <= self.step_size else rates_of(self.optimizer)

    patch(StepLR, "get_lr", get_lr)


@breaks("lr-multistep")
def milestones_take_effect_one_epoch_late(patch):
    """MultiStepLR decays after a milestone instead of at it."""
    patch(MultiStepLR, "get_lr", shifted(-1))


@breaks("lr-multistep", "lr-groups")
def milestones_reach_the_first_group_only(patch):
    """MultiStepLR applies gamma to the first parameter group only."""
    patch(MultiStepLR, "get_lr", first_group_only)


@breaks("lr-multistep-repeated")
def repeated_milestones_count_once(patch):
    """MultiStepLR treats its milestones as a set."""
    patch(MultiStepLR, "get_lr", with_attribute("milestones", lambda counts: dict.fromkeys(counts, 1)))


@breaks("lr-exponential")
def exponential_begins_one_epoch_late(patch):
    """ExponentialLR does not decay at the first step."""

    @around
    def get_lr(original, self):
        return rates_of(self.optimizer) if self.last_epoch <= 1 else original(self)

    patch(ExponentialLR, "get_lr", get_lr)


@breaks("lr-exponential", "lr-groups")
def exponential_decays_the_first_group_only(patch):
    """ExponentialLR applies gamma to the first parameter group only."""
    patch(ExponentialLR, "get_lr", first_group_only)


@breaks("lr-lambda", "lr-external-overwritten")
def lambda_scales_the_current_rate(patch):
    """LambdaLR multiplies the rate in force instead of the base rate."""

    @around
    def get_lr(original, self):
        pairs = zip(self.lr_lambdas, rates_of(self.optimizer), strict=True)
        return [rate * function(self.last_epoch) for function, rate in pairs]

    patch(LambdaLR, "get_lr", get_lr)


@breaks("lr-lambda")
def lambda_is_one_epoch_behind(patch):
    """LambdaLR asks its function for the epoch before."""
    patch(LambdaLR, "get_lr", shifted(-1))


@breaks("lr-lambda")
def lambda_takes_the_first_function_for_all(patch):
    """LambdaLR uses the first of its functions for every group."""
    patch(LambdaLR, "get_lr", first_for_all("lr_lambdas"))


@breaks("lr-lambda", "lr-groups")
def lambda_takes_the_first_base_for_all(patch):
    """LambdaLR scales the first group's base rate for every group."""
    patch(LambdaLR, "get_lr", first_for_all("base_lrs"))


@breaks("lr-lambda-list")
def missing_functions_are_made_up(patch):
    """A list of functions of the wrong length is cut, or filled up with the last."""

    @around
    def __init__(original, self, optimizer, lr_lambda, *args, **kwargs):
        if isinstance(lr_lambda, (list, tuple)):
            filled = [*lr_lambda, *[lr_lambda[-1] if lr_lambda else float] * len(optimizer.param_groups)]
            lr_lambda = filled[: len(optimizer.param_groups)]
        original(self, optimizer, lr_lambda, *args, **kwargs)

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "__init__", __init__)


@breaks("lr-multiplicative")
def multiplicative_scales_the_base_rate(patch):
    """MultiplicativeLR forgets the factors of the epochs before."""

    @around
    def get_lr(original, self):
        if self.last_epoch == 0:
            return original(self)
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [rate * function(self.last_epoch) for rate, function in pairs]

    patch(MultiplicativeLR, "get_lr", get_lr)


@breaks("lr-multiplicative")
def multiplicative_asks_at_construction(patch):
    """MultiplicativeLR calls its functions for epoch 0 as well."""

    @around
    def get_lr(original, self):
        for function in self.lr_lambdas if self.last_epoch == 0 else ():
            function(0)
        return original(self)

    patch(MultiplicativeLR, "get_lr", get_lr)


@breaks("lr-constant")
def constant_lasts_one_epoch_too_long(patch):
    """ConstantLR returns to the base rate one epoch late."""
    patch(ConstantLR, "get_lr", with_attribute("total_iters", lambda total: total + 1))


@breaks("lr-linear")
def linear_is_one_epoch_too_long(patch):
    """LinearLR takes total_iters + 1 epochs."""
    patch(LinearLR, "get_lr", with_attribute("total_iters", lambda total: total + 1))


@breaks("lr-linear")
def linear_ends_at_one(patch):
    """LinearLR ignores end_factor."""
    patch(LinearLR, "get_lr", with_attribute("end_factor", lambda factor: 1.0))


@breaks("lr-polynomial")
def polynomial_is_linear(patch):
    """PolynomialLR ignores its power."""
    patch(PolynomialLR, "get_lr", with_attribute("power", lambda power: 1.0))


@breaks("lr-polynomial")
def polynomial_is_one_epoch_too_long(patch):
    """PolynomialLR takes total_iters + 1 epochs."""
    patch(PolynomialLR, "get_lr", with_attribute("total_iters", lambda total: total + 1))
