"""How ReduceLROnPlateau could be broken."""

import math

from torch.optim.lr_scheduler import ReduceLROnPlateau

from test_schedulers.common import around, first_for_all, rates_of, set_rates, with_attribute
from torchclaims import breaks

IS_BETTER = "_is_better" if hasattr(ReduceLROnPlateau, "_is_better") else "is_better"


@breaks("lr-plateau")
def patience_is_one_too_short(patch):
    """ReduceLROnPlateau reduces when the patience is reached, not when it is exceeded."""
    patch(ReduceLROnPlateau, "step", with_attribute("patience", lambda patience: patience - 1))


@breaks("lr-plateau")
def patience_is_never_restored(patch):
    """ReduceLROnPlateau counts bad epochs in all, not in a row."""

    @around
    def step(original, self, metrics):
        before = self.num_bad_epochs
        original(self, metrics)
        if self.num_bad_epochs == 0 and float(metrics) == self.best:
            self.num_bad_epochs = before

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau")
def plateau_compares_with_the_last_metric(patch):
    """ReduceLROnPlateau forgets the best metric and compares with the one before."""

    @around
    def step(original, self, metrics):
        original(self, metrics)
        self.best = float(metrics)

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau")
def maximum_starts_from_zero(patch):
    """In mode max ReduceLROnPlateau takes 0 for the best metric so far, before it has seen one."""

    @around
    def reset(original, self):
        original(self)
        self.best = max(self.best, 0.0)

    patch(ReduceLROnPlateau, "_reset", reset)


@breaks("lr-plateau", "lr-plateau-min-lr")
def plateau_reduces_the_first_group_only(patch):
    """ReduceLROnPlateau reduces the first parameter group only."""

    @around
    def reduce(original, self, epoch):
        kept = rates_of(self.optimizer)[1:]
        original(self, epoch)
        set_rates(self.optimizer, [rates_of(self.optimizer)[0], *kept])

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-plateau-equal")
def an_equal_metric_counts_as_better(patch):
    """ReduceLROnPlateau takes an equal metric for an improvement."""

    @around
    def is_better(original, self, metric, best):
        return metric == best or original(self, metric, best)

    patch(ReduceLROnPlateau, IS_BETTER, is_better)


@breaks("lr-plateau-threshold")
def threshold_is_ignored(patch):
    """ReduceLROnPlateau takes the smallest gain for an improvement."""
    patch(ReduceLROnPlateau, IS_BETTER, with_attribute("threshold", lambda threshold: 0.0))


@breaks("lr-plateau-threshold")
def threshold_is_always_relative(patch):
    """ReduceLROnPlateau ignores threshold_mode."""
    patch(ReduceLROnPlateau, IS_BETTER, with_attribute("threshold_mode", lambda mode: "rel"))


@breaks("lr-plateau-threshold")
def threshold_has_the_wrong_sign_when_maximising(patch):
    """In mode max an improvement may fall short of the best by the threshold."""

    @around
    def is_better(original, self, metric, best):
        sign = -1 if self.mode == "max" else 1
        return with_attribute("threshold", lambda threshold: sign * threshold)(original)(self, metric, best)

    patch(ReduceLROnPlateau, IS_BETTER, is_better)


@breaks("lr-plateau-threshold")
def small_gains_move_the_best(patch):
    """ReduceLROnPlateau remembers a gain that was too small to count."""

    @around
    def step(original, self, metrics):
        original(self, metrics)
        self.best = (min if self.mode == "min" else max)(self.best, float(metrics))

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau-nan")
def nan_counts_as_better(patch):
    """ReduceLROnPlateau takes NaN for an improvement."""

    @around
    def is_better(original, self, metric, best):
        return metric != metric or original(self, metric, best)

    patch(ReduceLROnPlateau, IS_BETTER, is_better)


@breaks("lr-plateau-nan")
def nan_does_not_use_up_patience(patch):
    """ReduceLROnPlateau ignores an epoch whose metric is NaN."""

    @around
    def step(original, self, metrics):
        if not math.isnan(metrics):
            original(self, metrics)

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau-cooldown")
def cooldown_is_ignored(patch):
    """ReduceLROnPlateau counts bad epochs right after a reduction."""

    @around
    def step(original, self, metrics):
        self.cooldown_counter = 0
        original(self, metrics)

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau-cooldown")
def cooldown_is_one_epoch_too_long(patch):
    """ReduceLROnPlateau waits for cooldown + 1 epochs."""
    patch(ReduceLROnPlateau, "step", with_attribute("cooldown", lambda cooldown: cooldown + 1))


@breaks("lr-plateau-cooldown")
def cooldown_forgets_the_best(patch):
    """ReduceLROnPlateau does not look at the metric during the cooldown."""

    @around
    def step(original, self, metrics):
        best, resting = self.best, self.cooldown_counter > 0
        original(self, metrics)
        if resting:
            self.best = best

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau-min-lr")
def lower_bound_is_ignored(patch):
    """ReduceLROnPlateau reduces below min_lr."""
    patch(ReduceLROnPlateau, "_reduce_lr", with_attribute("min_lrs", lambda bounds: [0.0] * len(bounds)))


@breaks("lr-plateau-min-lr")
def one_lower_bound_for_all(patch):
    """ReduceLROnPlateau uses the first group's bound for every group."""
    patch(ReduceLROnPlateau, "_reduce_lr", first_for_all("min_lrs"))


@breaks("lr-plateau-eps")
def eps_is_ignored(patch):
    """ReduceLROnPlateau makes reductions of any size."""
    patch(ReduceLROnPlateau, "_reduce_lr", with_attribute("eps", lambda eps: 0.0))


@breaks("lr-plateau-eps")
def eps_bounds_the_rate(patch):
    """ReduceLROnPlateau compares eps with the new rate instead of the difference."""

    @around
    def reduce(original, self, epoch):
        before = rates_of(self.optimizer)
        with_attribute("eps", lambda eps: 0.0)(original)(self, epoch)
        pairs = zip(before, rates_of(self.optimizer), strict=True)
        set_rates(self.optimizer, [new if new > self.eps else old for old, new in pairs])

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-plateau-arguments")
def a_factor_of_one_is_taken(patch):
    """ReduceLROnPlateau refuses factors above 1 only."""

    @around
    def __init__(original, self, optimizer, *args, factor=0.1, **kwargs):
        original(self, optimizer, *args, factor=0.5 if factor == 1 else factor, **kwargs)
        self.factor = factor

    patch(ReduceLROnPlateau, "__init__", __init__)


@breaks("lr-plateau-arguments")
def an_unknown_mode_is_taken(patch):
    """ReduceLROnPlateau takes every mode that is not max for min."""

    @around
    def __init__(original, self, optimizer, mode="min", **kwargs):
        original(self, optimizer, mode="max" if mode == "max" else "min", **kwargs)

    patch(ReduceLROnPlateau, "__init__", __init__)


@breaks("lr-plateau-last-lr")
def plateau_does_not_renew_the_last_rates(patch):
    """get_last_lr of ReduceLROnPlateau stays what it was when the first metric came."""

    @around
    def step(original, self, *args):
        before = getattr(self, "_last_lr", None)
        original(self, *args)
        self._last_lr = before or self._last_lr

    patch(ReduceLROnPlateau, "step", step)


@breaks("lr-plateau-threshold")
def relative_threshold_is_of_the_size(patch):
    """A relative threshold is taken of the best metric's size, so that an improvement is always a gain."""

    def make(original):
        def _is_better(self, a, best):
            if self.threshold_mode == "rel" and -float("inf") < best < 0:
                return a < best * (1 + self.threshold) if self.mode == "min" else a > best * (1 - self.threshold)
            return original(self, a, best)

        return _is_better

    patch(ReduceLROnPlateau, IS_BETTER, make)
