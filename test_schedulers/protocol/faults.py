"""How the work of a scheduler with its optimizer could be broken."""

import functools
import sys
import warnings

import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from test_schedulers.common import around, muted, rates_of
from torchclaims import breaks


@breaks("lr-six-strategies")
def a_schedule_is_not_exported(patch):
    """PolynomialLR has dropped out of the public names."""
    patch(lr_scheduler, "__all__", lambda original: [name for name in original if name != "PolynomialLR"])


@breaks("lr-optimizer-type")
def anything_is_an_optimizer(patch):
    """A scheduler takes any object for its optimizer."""

    @around
    def __init__(original, self, optimizer, *args, **kwargs):
        if isinstance(optimizer, torch.optim.Optimizer):
            original(self, optimizer, *args, **kwargs)

    for kind in (LRScheduler, ReduceLROnPlateau):
        patch(kind, "__init__", __init__)


def replace_rate_of_sgd(patch, choose):
    """Lets SGD update a parameter at the rate ``choose(memory, parameter, rate)``; ``memory`` is a dict."""

    def broken(original):
        memory = {}

        @functools.wraps(original)
        def sgd(params, *args, lr, **kwargs):
            return original(params, *args, lr=choose(memory, id(params[0]), lr), **kwargs)

        return sgd

    patch(sys.modules[torch.optim.SGD.__module__], "sgd", broken)


@breaks("lr-optimizer-uses-rate")
def sgd_keeps_the_first_rate(patch):
    """SGD goes on with the rate of a parameter's first update."""
    replace_rate_of_sgd(patch, dict.setdefault)


@breaks("lr-optimizer-uses-rate")
def sgd_is_one_rate_behind(patch):
    """SGD takes the rate of the update before."""

    def choose(memory, parameter, rate):
        before, memory[parameter] = memory.get(parameter, rate), rate
        return before

    replace_rate_of_sgd(patch, choose)


@breaks("lr-last-lr")
def last_rates_are_one_step_behind(patch):
    """get_last_lr returns the rates from before the last step."""

    @around
    def step(original, self, *args):
        before = rates_of(self.optimizer)
        original(self, *args)
        self._last_lr = before

    for kind in (LRScheduler, ReduceLROnPlateau, CosineAnnealingWarmRestarts, ChainedScheduler, SequentialLR):
        patch(kind, "step", step)


@breaks("lr-get-lr-warns")
def get_lr_is_silent(patch):
    """get_lr from outside of step does not warn."""
    patch(StepLR, "get_lr", muted)


@breaks("lr-get-lr-warns")
def get_last_lr_warns(patch):
    """get_last_lr warns as if it were get_lr."""

    @around
    def get_last_lr(original, self):
        warnings.warn("use `get_last_lr()`", UserWarning, stacklevel=2)
        return original(self)

    patch(LRScheduler, "get_last_lr", get_last_lr)


@breaks("lr-step-epoch", "lr-order")
def step_is_silent(patch):
    """step does not warn of anything."""
    patch(LRScheduler, "step", muted)


@breaks("lr-step-epoch")
def step_ignores_its_epoch(patch):
    """step(epoch) warns, and goes to the next epoch."""

    @around
    def step(original, self, epoch=None):
        if epoch is not None:
            warnings.warn("The epoch parameter is being deprecated", UserWarning, stacklevel=2)
        original(self)

    patch(LRScheduler, "step", step)


@breaks("lr-step-epoch")
def milestones_of_the_closed_form_are_late(patch):
    """The closed form of MultiStepLR counts the milestones before the epoch, without its own."""

    @around
    def closed_form(original, self):
        passed = sum(count for milestone, count in self.milestones.items() if milestone < self.last_epoch)
        return [rate * self.gamma**passed for rate in self.base_lrs]

    patch(MultiStepLR, "_get_closed_form_lr", closed_form)


@breaks("lr-order")
def the_right_order_warns(patch):
    """The scheduler does not notice that the optimizer has stepped."""

    @around
    def step(original, self, *args):
        self.optimizer._opt_called = False
        self.optimizer._step_count = 0
        original(self, *args)

    patch(LRScheduler, "step", step)


@around
def closed_form(original, self):
    """A get_lr that computes from the base rate."""
    return self._get_closed_form_lr()


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


@breaks("lr-tensor-in-place")
def a_tensor_is_replaced(patch):
    """step puts a new tensor into the group."""

    @around
    def step(original, self, *args):
        original(self, *args)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].clone()

    patch(LRScheduler, "step", step)


@breaks("lr-tensor-in-place")
def a_tensor_becomes_a_number(patch):
    """step puts a Python number in the place of a tensor."""

    @around
    def step(original, self, *args):
        original(self, *args)
        for group in self.optimizer.param_groups:
            group["lr"] = float(group["lr"])

    patch(LRScheduler, "step", step)


@breaks("lr-tensor-copies")
def last_rates_are_the_groups_own(patch):
    """get_last_lr returns the very tensors of the groups."""
    patch(LRScheduler, "get_last_lr", around(lambda original, self: rates_of(self.optimizer)))


@breaks("lr-order")
def the_wrong_order_warns_at_every_step(patch):
    """As long as the optimizer has not stepped, each step of the scheduler warns."""

    @around
    def step(original, self, epoch=None):
        original(self, epoch)
        self._step_count = 1

    patch(LRScheduler, "step", step)
