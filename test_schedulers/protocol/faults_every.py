"""How what test_every.py decides could be broken, or mended."""

import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    StepLR,
)

from test_schedulers.common import around, muted, rates_of
from torchclaims import breaks


@breaks("lr-base-class")
def the_base_class_keeps_the_rates(patch):
    """get_lr of LRScheduler returns the rates in force."""
    patch(LRScheduler, "get_lr", around(lambda original, self: rates_of(self.optimizer)))


@breaks("lr-base-class")
def base_rates_are_those_of_the_first_group(patch):
    """LRScheduler notes the first group's rate as the base of all."""

    @around
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.base_lrs = [self.base_lrs[0]] * len(self.base_lrs)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-optimizer-step-replaced")
def a_replaced_step_goes_unnoticed(patch):
    """step does not look whether the optimizer's step is the one that it knows."""
    patch(LRScheduler, "step", muted)


@breaks("lr-optimizer-step-replaced")
def any_step_is_a_replaced_one(patch):
    """The scheduler looks at a mark that it does not set."""

    @around
    def __init__(original, self, optimizer, *args, **kwargs):
        original(self, optimizer, *args, **kwargs)
        step = optimizer.step
        optimizer.step = lambda *one, **more: step(*one, **more)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-order")
def the_optimizer_returns_nothing(patch):
    """A scheduler's wrapper of the optimizer's step drops the loss."""

    @around
    def __init__(original, self, optimizer, *args, **kwargs):
        original(self, optimizer, *args, **kwargs)
        step = optimizer.step

        def silent(closure=None):
            step(closure)

        silent._wrapped_by_lr_sched = silent._with_counter = True
        optimizer.step = silent

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-every-schedule-warns")
def the_cosine_is_silent(patch):
    """get_lr of the schedules that follow a cosine does not warn."""
    for kind in (CosineAnnealingLR, CosineAnnealingWarmRestarts):
        patch(kind, "get_lr", muted)


@breaks("lr-get-lr-type")
def rates_are_numbers(patch):
    """get_lr returns numbers."""
    for kind in (StepLR, MultiStepLR, ExponentialLR, LambdaLR):
        patch(kind, "get_lr", around(lambda original, self: [float(rate) for rate in original(self)]))


@breaks("lr-get-lr-type")
def rates_are_the_groups_own(patch):
    """get_lr returns the very tensors of the groups where nothing changes."""

    @around
    def get_lr(original, self):
        own = rates_of(self.optimizer)
        return [
            mine if isinstance(mine, Tensor) and one == mine else one
            for one, mine in zip(original(self), own, strict=True)
        ]

    for kind in (StepLR, MultiStepLR):
        patch(kind, "get_lr", get_lr)


@breaks("lr-get-lr-type-cycles")
def cycles_return_the_types_of_the_groups(patch):
    """get_lr of CyclicLR and OneCycleLR returns a tensor where the group has one."""

    @around
    def get_lr(original, self):
        own = rates_of(self.optimizer)
        return [
            torch.as_tensor(one, dtype=mine.dtype) if isinstance(mine, Tensor) else one
            for one, mine in zip(original(self), own, strict=True)
        ]

    for kind in (CyclicLR, OneCycleLR):
        patch(kind, "get_lr", get_lr)


@breaks("lr-tensor-rates")
def tensors_are_rounded_on_the_way(patch):
    """A tensor is filled with the rate in single precision."""

    @around
    def update(original, group, key, value):
        single = isinstance(group[key], Tensor)
        original(group, key, torch.tensor(float(value)).item() if single else value)

    patch(lr_scheduler, "_update_param_group_val", update)


@breaks("lr-tensor-rates")
def the_base_rate_is_the_groups_own(patch):
    """LRScheduler keeps the group's own tensor as the base rate."""

    @around
    def __init__(original, self, optimizer, *args, **kwargs):
        original(self, optimizer, *args, **kwargs)
        self.base_lrs = [
            group["lr"] if isinstance(group["lr"], Tensor) else base
            for group, base in zip(optimizer.param_groups, self.base_lrs, strict=True)
        ]

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-back-to-back")
def the_exponential_computes_from_its_base_rate(patch):
    """ExponentialLR computes from the base rate, and undoes what another scheduler did."""

    @around
    def get_lr(original, self):
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]

    patch(ExponentialLR, "get_lr", get_lr)


@breaks("lr-step-epoch")
def an_epoch_without_closed_form_is_not_noted(patch):
    """step(epoch) of MultiplicativeLR goes to the next epoch."""

    @around
    def step(original, self, epoch=None):
        if isinstance(self, MultiplicativeLR) and epoch is not None:
            self.last_epoch = -2
            muted(original)(self, epoch)
            self.last_epoch = 1
        else:
            original(self, epoch)

    patch(LRScheduler, "step", step)
