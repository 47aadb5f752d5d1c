"""How learning-rate schedulers could be broken."""

import functools
import math
import sys
import warnings

import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from torchclaims import breaks

IS_BETTER = "_is_better" if hasattr(ReduceLROnPlateau, "_is_better") else "is_better"


def rates_of(scheduler):
    return [group["lr"] for group in scheduler.optimizer.param_groups]


def shifted(by):
    """Makes a get_lr that takes the epoch to be ``by`` more than it is."""

    def broken(original):
        def get_lr(self):
            self.last_epoch += by
            try:
                return original(self)
            finally:
                self.last_epoch -= by

        return get_lr

    return broken


def with_attribute(name, change):
    """Makes a method that sees the scheduler's attribute ``name`` changed."""

    def broken(original):
        def method(self, *args, **kwargs):
            before = getattr(self, name)
            setattr(self, name, change(before))
            try:
                return original(self, *args, **kwargs)
            finally:
                setattr(self, name, before)

        return method

    return broken


def first_group_only(original):
    """Makes a get_lr whose rates are for the first group; the others keep theirs."""

    def get_lr(self):
        return [original(self)[0], *rates_of(self)[1:]]

    return get_lr


def muted(original):
    """Makes a method that swallows its warnings."""

    def method(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return original(*args, **kwargs)

    return method


def closed_form(original):
    """Makes a get_lr that computes from the base rate."""
    return lambda self: self._get_closed_form_lr()


@breaks("lr-six-strategies")
def a_schedule_is_not_exported(patch):
    """PolynomialLR has dropped out of the public names."""
    patch(lr_scheduler, "__all__", lambda original: [name for name in original if name != "PolynomialLR"])


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

    def broken(original):
        def get_lr(self):
            return original(self) if self.last_epoch <= self.step_size else rates_of(self)

        return get_lr

    patch(StepLR, "get_lr", broken)


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

    def broken(original):
        return lambda self: rates_of(self) if self.last_epoch <= 1 else original(self)

    patch(ExponentialLR, "get_lr", broken)


@breaks("lr-exponential", "lr-groups")
def exponential_decays_the_first_group_only(patch):
    """ExponentialLR applies gamma to the first parameter group only."""
    patch(ExponentialLR, "get_lr", first_group_only)


@breaks("lr-cosine", "lr-cosine-without-restarts")
def cosine_is_one_epoch_too_long(patch):
    """CosineAnnealingLR takes T_max + 1 epochs."""
    patch(CosineAnnealingLR, "get_lr", with_attribute("T_max", lambda period: period + 1))


@breaks("lr-cosine")
def cosine_ignores_the_minimum(patch):
    """CosineAnnealingLR scales the whole rate, not what is above eta_min."""
    patch(CosineAnnealingLR, "get_lr", with_attribute("eta_min", lambda minimum: 0.0))


@breaks("lr-cosine-without-restarts")
def cosine_stays_at_the_minimum(patch):
    """CosineAnnealingLR stays at eta_min beyond T_max."""

    def broken(original):
        return lambda self: rates_of(self) if self.last_epoch > self.T_max else original(self)

    patch(CosineAnnealingLR, "get_lr", broken)


@breaks("lr-cosine-without-restarts")
def cosine_restarts(patch):
    """CosineAnnealingLR jumps back to the base rate after T_max."""

    def broken(original):
        def get_lr(self):
            return list(self.base_lrs) if self.last_epoch == self.T_max + 1 else original(self)

        return get_lr

    patch(CosineAnnealingLR, "get_lr", broken)


@breaks("lr-cosine-without-restarts")
def cosine_rises_only_once(patch):
    """CosineAnnealingLR knows the first trough, not the second."""

    def broken(original):
        return lambda self: rates_of(self) if self.last_epoch == 3 * self.T_max + 1 else original(self)

    patch(CosineAnnealingLR, "get_lr", broken)


@breaks("lr-lambda", "lr-external-overwritten")
def lambda_scales_the_current_rate(patch):
    """LambdaLR multiplies the rate in force instead of the base rate."""

    def broken(original):
        def get_lr(self):
            pairs = zip(self.lr_lambdas, rates_of(self), strict=True)
            return [rate * function(self.last_epoch) for function, rate in pairs]

        return get_lr

    patch(LambdaLR, "get_lr", broken)


@breaks("lr-lambda")
def lambda_is_one_epoch_behind(patch):
    """LambdaLR asks its function for the epoch before."""
    patch(LambdaLR, "get_lr", shifted(-1))


@breaks("lr-lambda")
def lambda_takes_the_first_function_for_all(patch):
    """LambdaLR uses the first of its functions for every group."""
    patch(LambdaLR, "get_lr", with_attribute("lr_lambdas", lambda functions: functions[:1] * len(functions)))


@breaks("lr-lambda", "lr-groups")
def lambda_takes_the_first_base_for_all(patch):
    """LambdaLR scales the first group's base rate for every group."""
    patch(LambdaLR, "get_lr", with_attribute("base_lrs", lambda rates: rates[:1] * len(rates)))


@breaks("lr-plateau")
def patience_is_one_too_short(patch):
    """ReduceLROnPlateau reduces when the patience is reached, not when it is exceeded."""
    patch(ReduceLROnPlateau, "step", with_attribute("patience", lambda patience: patience - 1))


@breaks("lr-plateau")
def patience_is_never_restored(patch):
    """ReduceLROnPlateau counts bad epochs in all, not in a row."""

    def broken(original):
        def step(self, metrics):
            before = self.num_bad_epochs
            original(self, metrics)
            if self.num_bad_epochs == 0 and float(metrics) == self.best:
                self.num_bad_epochs = before

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau")
def plateau_compares_with_the_last_metric(patch):
    """ReduceLROnPlateau forgets the best metric and compares with the one before."""

    def broken(original):
        def step(self, metrics):
            original(self, metrics)
            self.best = float(metrics)

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau")
def maximum_starts_from_zero(patch):
    """In mode max ReduceLROnPlateau takes 0 for the best metric so far, before it has seen one."""

    def broken(original):
        def reset(self):
            original(self)
            self.best = max(self.best, 0.0)

        return reset

    patch(ReduceLROnPlateau, "_reset", broken)


@breaks("lr-plateau", "lr-plateau-min-lr")
def plateau_reduces_the_first_group_only(patch):
    """ReduceLROnPlateau reduces the first parameter group only."""

    def broken(original):
        def reduce(self, epoch):
            kept = rates_of(self)[1:]
            original(self, epoch)
            for group, rate in zip(self.optimizer.param_groups[1:], kept, strict=True):
                group["lr"] = rate

        return reduce

    patch(ReduceLROnPlateau, "_reduce_lr", broken)


@breaks("lr-plateau-equal")
def an_equal_metric_counts_as_better(patch):
    """ReduceLROnPlateau takes an equal metric for an improvement."""
    patch(
        ReduceLROnPlateau,
        IS_BETTER,
        lambda original: lambda self, metric, best: metric == best or original(self, metric, best),
    )


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

    def broken(original):
        def is_better(self, metric, best):
            sign = -1 if self.mode == "max" else 1
            return with_attribute("threshold", lambda threshold: sign * threshold)(original)(self, metric, best)

        return is_better

    patch(ReduceLROnPlateau, IS_BETTER, broken)


@breaks("lr-plateau-threshold")
def small_gains_move_the_best(patch):
    """ReduceLROnPlateau remembers a gain that was too small to count."""

    def broken(original):
        def step(self, metrics):
            original(self, metrics)
            self.best = (min if self.mode == "min" else max)(self.best, float(metrics))

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau-nan")
def nan_counts_as_better(patch):
    """ReduceLROnPlateau takes NaN for an improvement."""
    patch(
        ReduceLROnPlateau,
        IS_BETTER,
        lambda original: lambda self, metric, best: metric != metric or original(self, metric, best),
    )


@breaks("lr-plateau-nan")
def nan_does_not_use_up_patience(patch):
    """ReduceLROnPlateau ignores an epoch whose metric is NaN."""

    def broken(original):
        return lambda self, metrics: None if math.isnan(metrics) else original(self, metrics)

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau-cooldown")
def cooldown_is_ignored(patch):
    """ReduceLROnPlateau counts bad epochs right after a reduction."""

    def broken(original):
        def step(self, metrics):
            self.cooldown_counter = 0
            original(self, metrics)

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau-cooldown")
def cooldown_is_one_epoch_too_long(patch):
    """ReduceLROnPlateau waits for cooldown + 1 epochs."""
    patch(ReduceLROnPlateau, "step", with_attribute("cooldown", lambda cooldown: cooldown + 1))


@breaks("lr-plateau-cooldown")
def cooldown_forgets_the_best(patch):
    """ReduceLROnPlateau does not look at the metric during the cooldown."""

    def broken(original):
        def step(self, metrics):
            best, resting = self.best, self.cooldown_counter > 0
            original(self, metrics)
            if resting:
                self.best = best

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-plateau-min-lr")
def lower_bound_is_ignored(patch):
    """ReduceLROnPlateau reduces below min_lr."""
    patch(ReduceLROnPlateau, "_reduce_lr", with_attribute("min_lrs", lambda bounds: [0.0] * len(bounds)))


@breaks("lr-plateau-min-lr")
def one_lower_bound_for_all(patch):
    """ReduceLROnPlateau uses the first group's bound for every group."""
    patch(ReduceLROnPlateau, "_reduce_lr", with_attribute("min_lrs", lambda bounds: bounds[:1] * len(bounds)))


@breaks("lr-plateau-eps")
def eps_is_ignored(patch):
    """ReduceLROnPlateau makes reductions of any size."""
    patch(ReduceLROnPlateau, "_reduce_lr", with_attribute("eps", lambda eps: 0.0))


@breaks("lr-plateau-eps")
def eps_bounds_the_rate(patch):
    """ReduceLROnPlateau compares eps with the new rate instead of the difference."""

    def broken(original):
        def reduce(self, epoch):
            before, eps = rates_of(self), self.eps
            self.eps = 0.0
            original(self, epoch)
            self.eps = eps
            for group, rate in zip(self.optimizer.param_groups, before, strict=True):
                group["lr"] = group["lr"] if group["lr"] > eps else rate

        return reduce

    patch(ReduceLROnPlateau, "_reduce_lr", broken)


@breaks("lr-plateau-arguments")
def a_factor_of_one_is_taken(patch):
    """ReduceLROnPlateau refuses factors above 1 only."""

    def broken(original):
        def __init__(self, optimizer, *args, factor=0.1, **kwargs):
            original(self, optimizer, *args, factor=0.5 if factor == 1 else factor, **kwargs)
            self.factor = factor

        return __init__

    patch(ReduceLROnPlateau, "__init__", broken)


@breaks("lr-plateau-arguments")
def an_unknown_mode_is_taken(patch):
    """ReduceLROnPlateau takes every mode that is not max for min."""

    def broken(original):
        def __init__(self, optimizer, mode="min", **kwargs):
            original(self, optimizer, mode="max" if mode == "max" else "min", **kwargs)

        return __init__

    patch(ReduceLROnPlateau, "__init__", broken)


@breaks("lr-lambda-list")
def missing_functions_are_made_up(patch):
    """A list of functions of the wrong length is cut, or filled up with the last."""

    def broken(original):
        def __init__(self, optimizer, lr_lambda, *args, **kwargs):
            if isinstance(lr_lambda, (list, tuple)):
                filled = [*lr_lambda, *[lr_lambda[-1] if lr_lambda else float] * len(optimizer.param_groups)]
                lr_lambda = filled[: len(optimizer.param_groups)]
            original(self, optimizer, lr_lambda, *args, **kwargs)

        return __init__

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "__init__", broken)


@breaks("lr-lambda-not-saved")
def callable_objects_are_not_saved(patch):
    """state_dict saves None for callable objects too."""

    def broken(original):
        return lambda self: {**original(self), "lr_lambdas": [None] * len(self.lr_lambdas)}

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "state_dict", broken)


@breaks("lr-lambda-not-saved")
def loading_replaces_the_functions(patch):
    """load_state_dict puts the saved entries in the place of the functions."""

    def broken(original):
        def load_state_dict(self, state):
            original(self, state)
            self.lr_lambdas = list(state["lr_lambdas"])

        return load_state_dict

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "load_state_dict", broken)


@breaks("lr-optimizer-type")
def anything_is_an_optimizer(patch):
    """A scheduler takes any object for its optimizer."""

    def broken(original):
        def __init__(self, optimizer, *args, **kwargs):
            if isinstance(optimizer, torch.optim.Optimizer):
                original(self, optimizer, *args, **kwargs)

        return __init__

    for kind in (LRScheduler, ReduceLROnPlateau):
        patch(kind, "__init__", broken)


@breaks("lr-optimizer-uses-rate")
def sgd_keeps_the_first_rate(patch):
    """SGD goes on with the rate of a parameter's first update."""

    def broken(original):
        first = {}

        @functools.wraps(original)
        def sgd(params, *args, lr, **kwargs):
            return original(params, *args, lr=first.setdefault(id(params[0]), lr), **kwargs)

        return sgd

    patch(sys.modules[torch.optim.SGD.__module__], "sgd", broken)


@breaks("lr-optimizer-uses-rate")
def sgd_is_one_rate_behind(patch):
    """SGD takes the rate of the update before."""

    def broken(original):
        last = {}

        @functools.wraps(original)
        def sgd(params, *args, lr, **kwargs):
            before, last[id(params[0])] = last.get(id(params[0]), lr), lr
            return original(params, *args, lr=before, **kwargs)

        return sgd

    patch(sys.modules[torch.optim.SGD.__module__], "sgd", broken)


@breaks("lr-last-lr")
def last_rates_are_one_step_behind(patch):
    """get_last_lr returns the rates from before the last step."""

    def broken(original):
        def step(self, *args):
            before = rates_of(self)
            original(self, *args)
            self._last_lr = before

        return step

    for kind in (LRScheduler, ReduceLROnPlateau, CosineAnnealingWarmRestarts, ChainedScheduler, SequentialLR):
        patch(kind, "step", broken)


@breaks("lr-plateau-last-lr")
def plateau_does_not_renew_the_last_rates(patch):
    """get_last_lr of ReduceLROnPlateau stays what it was when the first metric came."""

    def broken(original):
        def step(self, *args):
            before = getattr(self, "_last_lr", None)
            original(self, *args)
            self._last_lr = before or self._last_lr

        return step

    patch(ReduceLROnPlateau, "step", broken)


@breaks("lr-get-lr-warns")
def get_lr_is_silent(patch):
    """get_lr from outside of step does not warn."""
    patch(StepLR, "get_lr", muted)


@breaks("lr-get-lr-warns")
def get_last_lr_warns(patch):
    """get_last_lr warns as if it were get_lr."""

    def broken(original):
        def get_last_lr(self):
            warnings.warn("use `get_last_lr()`", UserWarning, stacklevel=2)
            return original(self)

        return get_last_lr

    patch(LRScheduler, "get_last_lr", broken)


@breaks("lr-step-epoch", "lr-order")
def step_is_silent(patch):
    """step does not warn of anything."""
    patch(LRScheduler, "step", muted)


@breaks("lr-step-epoch")
def step_ignores_its_epoch(patch):
    """step(epoch) warns, and goes to the next epoch."""

    def broken(original):
        def step(self, epoch=None):
            if epoch is not None:
                warnings.warn("The epoch parameter is being deprecated", UserWarning, stacklevel=2)
            original(self)

        return step

    patch(LRScheduler, "step", broken)


@breaks("lr-step-epoch")
def milestones_of_the_closed_form_are_late(patch):
    """The closed form of MultiStepLR counts the milestones before the epoch, without its own."""

    def broken(original):
        def closed_form(self):
            passed = sum(count for milestone, count in self.milestones.items() if milestone < self.last_epoch)
            return [rate * self.gamma**passed for rate in self.base_lrs]

        return closed_form

    patch(MultiStepLR, "_get_closed_form_lr", broken)


@breaks("lr-order")
def the_right_order_warns(patch):
    """The scheduler does not notice that the optimizer has stepped."""

    def broken(original):
        def step(self, *args):
            self.optimizer._opt_called = False
            self.optimizer._step_count = 0
            original(self, *args)

        return step

    patch(LRScheduler, "step", broken)


@breaks("lr-external-kept")
def step_computes_from_the_base_rate(patch):
    """StepLR is computed in closed form: a rate that was set by hand is lost."""
    patch(StepLR, "get_lr", closed_form)


@breaks("lr-external-kept")
def milestones_compute_from_the_base_rate(patch):
    """MultiStepLR is computed in closed form: a rate that was set by hand is lost."""
    patch(MultiStepLR, "get_lr", closed_form)


@breaks("lr-external-kept")
def linear_computes_from_the_base_rate(patch):
    """LinearLR is computed in closed form: a rate that was set by hand is lost."""
    patch(LinearLR, "get_lr", closed_form)


@breaks("lr-external-kept")
def constant_computes_from_the_base_rate(patch):
    """ConstantLR is computed in closed form: a rate that was set by hand is lost."""
    patch(ConstantLR, "get_lr", closed_form)


@breaks("lr-state-dict", "lr-resume")
def state_lacks_the_epoch(patch):
    """state_dict leaves out last_epoch."""

    def broken(original):
        return lambda self: {key: value for key, value in original(self).items() if key != "last_epoch"}

    for kind in (LRScheduler, LambdaLR):
        patch(kind, "state_dict", broken)


@breaks("lr-resume")
def loading_keeps_the_base_rates(patch):
    """load_state_dict leaves the base rates as the constructor found them."""
    patch(LambdaLR, "load_state_dict", with_attribute("base_lrs", lambda rates: rates))


@breaks("lr-resume")
def loading_resets_the_plateau(patch):
    """ReduceLROnPlateau forgets the best metric and its counts when it loads."""

    def broken(original):
        def load_state_dict(self, state):
            original(self, state)
            self._reset()

        return load_state_dict

    patch(ReduceLROnPlateau, "load_state_dict", broken)


@breaks("lr-resume")
def loading_forgets_the_parts(patch):
    """SequentialLR restores itself, but not the schedulers that it is made of."""

    def broken(original):
        def load_state_dict(self, state):
            self.__dict__.update({key: value for key, value in state.items() if key != "_schedulers"})

        return load_state_dict

    patch(SequentialLR, "load_state_dict", broken)


@breaks("lr-resume")
def loading_empties_the_saved_state(patch):
    """load_state_dict of LambdaLR takes the functions out of the state that it is given."""

    def broken(original):
        def load_state_dict(self, state):
            original(self, state)
            state.pop("lr_lambdas")

        return load_state_dict

    patch(LambdaLR, "load_state_dict", broken)


@breaks("lr-last-epoch")
def last_epoch_is_taken_for_the_next(patch):
    """A scheduler built with last_epoch = t stands at epoch t."""

    def broken(original):
        def __init__(self, optimizer, last_epoch=-1, *args, **kwargs):
            original(self, optimizer, last_epoch - (last_epoch > 0), *args, **kwargs)

        return __init__

    patch(LRScheduler, "__init__", broken)


@breaks("lr-last-epoch")
def resuming_takes_the_current_rate_for_the_base(patch):
    """A scheduler built with last_epoch >= 0 takes the rate in force for the base rate."""

    def broken(original):
        def __init__(self, optimizer, last_epoch=-1, *args, **kwargs):
            for group in optimizer.param_groups:
                if last_epoch >= 0 and "initial_lr" in group:
                    group["initial_lr"] = group["lr"]
            original(self, optimizer, last_epoch, *args, **kwargs)

        return __init__

    patch(LRScheduler, "__init__", broken)


@breaks("lr-last-epoch-needs-initial-lr")
def resuming_makes_up_the_initial_rate(patch):
    """A missing initial_lr is filled in with the rate in force."""

    def broken(original):
        def __init__(self, optimizer, last_epoch=-1, *args, **kwargs):
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
            original(self, optimizer, last_epoch, *args, **kwargs)

        return __init__

    patch(LRScheduler, "__init__", broken)


@breaks("lr-construction-overwrites")
def construction_keeps_a_loaded_rate(patch):
    """A scheduler leaves the rates alone if the optimizer has an initial_lr already."""

    def broken(original):
        def __init__(self, optimizer, *args, **kwargs):
            before = [(group, group["lr"]) for group in optimizer.param_groups if "initial_lr" in group]
            original(self, optimizer, *args, **kwargs)
            for group, rate in before:
                group["lr"] = rate

        return __init__

    patch(LRScheduler, "__init__", broken)


@breaks("lr-tensor-in-place")
def a_tensor_is_replaced(patch):
    """step puts a new tensor into the group."""

    def broken(original):
        def step(self, *args):
            original(self, *args)
            for group in self.optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"] = group["lr"].clone()

        return step

    patch(LRScheduler, "step", broken)


@breaks("lr-tensor-in-place")
def a_tensor_becomes_a_number(patch):
    """step puts a Python number in the place of a tensor."""

    def broken(original):
        def step(self, *args):
            original(self, *args)
            for group in self.optimizer.param_groups:
                group["lr"] = float(group["lr"])

        return step

    patch(LRScheduler, "step", broken)


@breaks("lr-tensor-copies")
def last_rates_are_the_groups_own(patch):
    """get_last_lr returns the very tensors of the groups."""
    patch(LRScheduler, "get_last_lr", lambda original: rates_of)


@breaks("lr-multiplicative")
def multiplicative_scales_the_base_rate(patch):
    """MultiplicativeLR forgets the factors of the epochs before."""

    def broken(original):
        def get_lr(self):
            if self.last_epoch == 0:
                return original(self)
            pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
            return [rate * function(self.last_epoch) for rate, function in pairs]

        return get_lr

    patch(MultiplicativeLR, "get_lr", broken)


@breaks("lr-multiplicative")
def multiplicative_asks_at_construction(patch):
    """MultiplicativeLR calls its functions for epoch 0 as well."""

    def broken(original):
        def get_lr(self):
            for function in self.lr_lambdas if self.last_epoch == 0 else ():
                function(0)
            return original(self)

        return get_lr

    patch(MultiplicativeLR, "get_lr", broken)


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


@breaks("lr-warm-restarts", "lr-groups")
def restarts_anneal_the_first_base_for_all(patch):
    """CosineAnnealingWarmRestarts anneals the first group's base rate for every group."""
    patch(
        CosineAnnealingWarmRestarts,
        "get_lr",
        with_attribute("base_lrs", lambda rates: rates[:1] * len(rates)),
    )


@breaks("lr-warm-restarts")
def periods_do_not_grow(patch):
    """CosineAnnealingWarmRestarts ignores T_mult."""
    patch(CosineAnnealingWarmRestarts, "step", with_attribute("T_mult", lambda growth: 1))


@breaks("lr-warm-restarts", "lr-warm-restarts-epoch")
def periods_are_one_epoch_too_long(patch):
    """CosineAnnealingWarmRestarts divides by T_i + 1."""
    patch(CosineAnnealingWarmRestarts, "get_lr", with_attribute("T_i", lambda period: period + 1))


@breaks("lr-warm-restarts-epoch")
def fractions_are_cut_off(patch):
    """CosineAnnealingWarmRestarts takes whole epochs only."""

    def broken(original):
        return lambda self, epoch=None: original(self, None if epoch is None else math.floor(epoch))

    patch(CosineAnnealingWarmRestarts, "step", broken)


@breaks("lr-warm-restarts-epoch")
def a_jump_forgets_its_period(patch):
    """After a jump CosineAnnealingWarmRestarts goes on as if in its first period."""

    def broken(original):
        def step(self, epoch=None):
            original(self, epoch)
            if epoch is not None:
                self.T_i = self.T_0

        return step

    patch(CosineAnnealingWarmRestarts, "step", broken)


@breaks("lr-warm-restarts-epoch")
def a_jump_back_keeps_the_period(patch):
    """After a jump back into the first period CosineAnnealingWarmRestarts keeps the later length."""

    def broken(original):
        def step(self, epoch=None):
            before = self.T_i
            original(self, epoch)
            if epoch is not None and epoch < self.T_0 and self.T_i != before:
                self.T_i = before
                for group, rate in zip(self.optimizer.param_groups, muted(self.get_lr)(), strict=True):
                    group["lr"] = rate

        return step

    patch(CosineAnnealingWarmRestarts, "step", broken)


@breaks("lr-warm-restarts-arguments")
def a_fractional_period_is_cut_off(patch):
    """CosineAnnealingWarmRestarts cuts a fractional T_0 to an integer."""

    def broken(original):
        return lambda self, optimizer, T_0, *args, **kwargs: original(self, optimizer, int(T_0), *args, **kwargs)

    patch(CosineAnnealingWarmRestarts, "__init__", broken)


def with_later_end(phase, phases):
    """Makes a get_lr for which this phase of OneCycleLR, out of ``phases``, ends an epoch later."""

    def broken(original):
        def get_lr(self):
            if self.last_epoch == 0 and len(self._schedule_phases) == phases:
                self._schedule_phases[phase]["end_step"] += 1
            return original(self)

        return get_lr

    return broken


@breaks("lr-onecycle", "lr-onecycle-momentum")
def the_peak_is_one_step_late(patch):
    """OneCycleLR reaches max_lr one step late."""
    patch(OneCycleLR, "get_lr", with_later_end(0, phases=2))


@breaks("lr-onecycle")
def one_cycle_ends_where_it_began(patch):
    """OneCycleLR ignores final_div_factor."""

    def broken(original):
        def get_lr(self):
            for group in self.optimizer.param_groups:
                group["min_lr"] = group["initial_lr"]
            return original(self)

        return get_lr

    patch(OneCycleLR, "get_lr", broken)


@breaks("lr-onecycle")
def cosine_curve_is_straight(patch):
    """OneCycleLR ignores anneal_strategy."""

    def broken(original):
        return lambda *args: (args[-2] - args[-3]) * args[-1] + args[-3]

    patch(OneCycleLR, "_annealing_cos", broken)


@breaks("lr-onecycle-three-phases")
def the_second_phase_is_longer_than_the_first(patch):
    """With three_phase the fall of OneCycleLR takes one step more than its rise."""
    patch(OneCycleLR, "get_lr", with_later_end(1, phases=3))


def momentum_in_phase(original):
    """Makes a get_lr that mirrors the momentum between its bounds."""

    def get_lr(self):
        rates = original(self)
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            both = group.get("base_momentum", 0.5) + group.get("max_momentum", 0.75)
            if "momentum" in group:
                group["momentum"] = both - group["momentum"]
        return rates

    return get_lr


@breaks("lr-onecycle-momentum")
def one_cycle_momentum_follows_the_rate(patch):
    """OneCycleLR raises the momentum with the rate."""
    patch(OneCycleLR, "get_lr", momentum_in_phase)


@breaks("lr-onecycle-momentum")
def one_cycle_drives_the_second_beta(patch):
    """OneCycleLR puts the momentum into the second beta."""

    def broken(original):
        def get_lr(self):
            before = [group.get("betas") for group in self.optimizer.param_groups]
            rates = original(self)
            for group, betas in zip(self.optimizer.param_groups, before, strict=True):
                if betas:
                    group["betas"] = (betas[0], group["betas"][0])
            return rates

        return get_lr

    patch(OneCycleLR, "get_lr", broken)


@breaks("lr-onecycle-arguments")
def a_share_above_one_is_cut(patch):
    """OneCycleLR takes a pct_start above 1 for 1."""

    def broken(original):
        def __init__(self, *args, pct_start=0.3, **kwargs):
            original(self, *args, pct_start=min(pct_start, 1.0), **kwargs)

        return __init__

    patch(OneCycleLR, "__init__", broken)


@breaks("lr-cyclic", "lr-cyclic-momentum")
def cycles_are_always_symmetric(patch):
    """CyclicLR ignores step_size_down."""

    def broken(original):
        def __init__(self, *args, step_size_down=None, **kwargs):
            original(self, *args, **kwargs)

        return __init__

    patch(CyclicLR, "__init__", broken)


@breaks("lr-cyclic")
def cycles_are_one_step_ahead(patch):
    """CyclicLR counts its steps from 1."""
    patch(CyclicLR, "get_lr", shifted(1))


@breaks("lr-cyclic-halved")
def amplitude_falls_as_one_over_the_cycle(patch):
    """In mode triangular2 the n-th cycle has an n-th of the amplitude."""
    patch(CyclicLR, "_triangular2_scale_fn", lambda original: lambda *args: 1 / args[-1])


@breaks("lr-cyclic-momentum")
def cyclic_momentum_follows_the_rate(patch):
    """CyclicLR raises the momentum with the rate."""
    patch(CyclicLR, "get_lr", momentum_in_phase)


@breaks("lr-sequential")
def sequence_switches_one_epoch_late(patch):
    """SequentialLR steps the old scheduler once more at a milestone."""
    patch(SequentialLR, "step", with_attribute("_milestones", lambda epochs: [epoch + 1 for epoch in epochs]))


@breaks("lr-sequential")
def sequence_goes_on_from_the_last_rate(patch):
    """SequentialLR does not return to the base rate at a milestone."""

    def broken(original):
        def step(self):
            before = rates_of(self)
            original(self)
            if self.last_epoch in self._milestones:
                for group, rate in zip(self.optimizer.param_groups, before, strict=True):
                    group["lr"] = rate

        return step

    patch(SequentialLR, "step", broken)


@breaks("lr-sequential-arguments")
def superfluous_milestones_are_dropped(patch):
    """SequentialLR cuts its milestones to the number that it needs."""

    def broken(original):
        def __init__(self, optimizer, schedulers, milestones, **kwargs):
            original(self, optimizer, schedulers, milestones[: len(schedulers) - 1], **kwargs)

        return __init__

    patch(SequentialLR, "__init__", broken)


@breaks("lr-chained")
def chain_steps_its_ends_only(patch):
    """ChainedScheduler steps the first and the last of its schedulers."""

    def broken(original):
        def step(self):
            for scheduler in (self._schedulers[0], self._schedulers[-1]):
                scheduler.step()
            self._last_lr = rates_of(self)

        return step

    patch(ChainedScheduler, "step", broken)


@breaks("lr-chained-optimizer")
def chain_takes_several_optimizers(patch):
    """ChainedScheduler does not compare the optimizers of its schedulers."""

    def broken(original):
        def __init__(self, schedulers, *args):
            original(self, schedulers[:1], *args)
            self._schedulers = list(schedulers)

        return __init__

    patch(ChainedScheduler, "__init__", broken)


@breaks("lr-composition-refuses")
def plateau_is_left_out(patch):
    """ChainedScheduler silently leaves a ReduceLROnPlateau out."""

    def broken(original):
        def __init__(self, schedulers, *args):
            original(self, [one for one in schedulers if not isinstance(one, ReduceLROnPlateau)], *args)

        return __init__

    patch(ChainedScheduler, "__init__", broken)
