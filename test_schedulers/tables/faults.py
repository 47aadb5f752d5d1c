"""How the schedules of the documentation's examples could be broken, or mended."""

from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from test_schedulers.common import around, rates_of, set_rates, shifted
from torchclaims import breaks


@breaks("lr-table")
def decay_comes_one_epoch_late(patch):
    """StepLR, MultiStepLR and ConstantLR change the rate one epoch after their milestone."""
    for kind in (StepLR, MultiStepLR):
        patch(kind, "get_lr", shifted(-1))


@breaks("lr-table")
def the_constant_ends_a_step_late(patch):
    """ConstantLR returns to the base rate one epoch after total_iters."""

    @around
    def get_lr(original, self):
        self.total_iters += 1
        try:
            return original(self)
        finally:
            self.total_iters -= 1

    patch(ConstantLR, "get_lr", get_lr)


@breaks("lr-linear-table")
def linear_begins_with_its_second_rate(patch):
    """LinearLR is one epoch ahead, which is what its example prints."""

    @around
    def get_lr(original, self):
        return [base * share(self) for base in self.base_lrs]

    def share(self):
        done = min(self.last_epoch + 1, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done

    patch(LinearLR, "get_lr", get_lr)


@breaks("lr-polynomial-table")
def polynomial_begins_with_another_rate(patch):
    """PolynomialLR is one epoch ahead, which is what its example prints."""

    @around
    def get_lr(original, self):
        epoch = min(self.last_epoch + 1, self.total_iters)
        return [base * (1 - epoch / self.total_iters) ** self.power for base in self.base_lrs]

    patch(PolynomialLR, "get_lr", get_lr)


@breaks("lr-sequential-table")
def sequence_passes_over_the_base_rate(patch):
    """SequentialLR begins its second scheduler with that one's second rate, as older pages print."""

    @around
    def step(original, self):
        original(self)
        if self.last_epoch in self._milestones:
            self._schedulers[1].step()

    patch(SequentialLR, "step", step)


@breaks("lr-chained-table")
def chain_is_ten_times_as_fast(patch):
    """ChainedScheduler gives ten times the rate, as its example prints."""

    @around
    def __init__(original, self, schedulers, *args, **kwargs):
        original(self, schedulers, *args, **kwargs)
        set_rates(self.optimizer, [rate * 10 for rate in rates_of(self.optimizer)])

    patch(ChainedScheduler, "__init__", __init__)
