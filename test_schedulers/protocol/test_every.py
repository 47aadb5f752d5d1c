"""What holds for every schedule, and for one that is made by hand."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, every, halve, make_optimizer, rates_of
from torchclaims import claim
from torchclaims.tolerance import assert_within, relative_bound

SCALING = [
    partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    partial(lr_scheduler.MultiStepLR, milestones=[1, 3], gamma=0.5),
    partial(lr_scheduler.ExponentialLR, gamma=0.5),
    partial(lr_scheduler.LambdaLR, lr_lambda=halve),
    partial(lr_scheduler.MultiplicativeLR, lr_lambda=halve),
    partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=3),
    partial(lr_scheduler.LinearLR, start_factor=0.25, total_iters=3),
    partial(lr_scheduler.PolynomialLR, total_iters=3, power=2.0),
    partial(lr_scheduler.CosineAnnealingLR, T_max=3, eta_min=0.125),
    partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, eta_min=0.125),
]
CYCLES = [
    partial(lr_scheduler.CyclicLR, base_lr=0.125, max_lr=0.5, step_size_up=2),
    partial(lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=8),
]


def with_tensor_rate(value=0.5):
    """In float64, in which Python's numbers are; the optimizer's foreach kernels take no such rate on CPUs."""
    rate = torch.tensor(value, dtype=torch.float64)
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.5, foreach=False)


@claim("lr-base-class")
def test_the_base_class_computes_nothing():
    with pytest.raises(NotImplementedError):
        lr_scheduler.LRScheduler(make_optimizer())


@claim("lr-base-class")
def test_a_schedule_made_by_hand():
    class Countdown(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = make_optimizer()
    scheduler = Countdown(optimizer)
    optimizer.step()
    seen = [rates_of(optimizer)]
    for _ in range(3):
        scheduler.step()
        seen.append(rates_of(optimizer))
    expected = BASE / np.arange(1, 5)[:, None]
    assert_close_to_path(torch.tensor(seen, dtype=torch.float64), expected)
    assert scheduler.get_last_lr() == rates_of(optimizer)


@claim("lr-optimizer-step-replaced")
@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "as it was"])
def test_a_replaced_step(replaced):
    optimizer = make_optimizer()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    if replaced:
        optimizer.step = lambda closure=None: None
    optimizer.step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.step()
        scheduler.step()
    messages = [str(one.message) for one in caught if "has been overridden" in str(one.message)]
    assert len(messages) == replaced
    assert len(caught) == replaced


@claim("lr-order")
def test_the_optimizer_returns_its_loss_beside_a_scheduler():
    optimizer = make_optimizer()
    first = lr_scheduler.StepLR(optimizer, 2)
    wrapped = optimizer.step
    lr_scheduler.StepLR(optimizer, 3)
    assert optimizer.step is wrapped, "the step is wrapped once, for all schedulers"
    assert optimizer.step(lambda: 7.5) == 7.5
    assert first.optimizer is optimizer


@claim("lr-every-schedule-warns")
@every(*SCALING, *CYCLES)
def test_get_lr_of_every_schedule(make):
    optimizer = make_optimizer()
    scheduler = make(optimizer)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def assert_types(make):
    for optimizer, kind in ((make_optimizer(0.5), float), (with_tensor_rate(), torch.Tensor)):
        scheduler = make(optimizer)
        held = optimizer.param_groups[0]["lr"]
        for _ in range(4):
            with pytest.warns(UserWarning, match="get_last_lr"):
                (seen,) = scheduler.get_lr()
            assert isinstance(seen, kind), f"expected {kind.__name__}, seen {type(seen).__name__}"
            assert kind is float or (seen is not held and seen.data_ptr() != held.data_ptr())
            optimizer.step()
            scheduler.step()


@claim("lr-get-lr-type")
@every(*SCALING)
def test_type_of_get_lr(make):
    assert_types(make)


@claim("lr-get-lr-type-cycles")
@every(*CYCLES)
def test_type_of_get_lr_in_cycles(make):
    assert_types(make)


@claim("lr-tensor-rates")
@every(*SCALING, *CYCLES)
def test_a_tensor_takes_the_rates_of_a_number(make):
    by_number, by_tensor = make_optimizer(0.5), with_tensor_rate()
    held = by_tensor.param_groups[0]["lr"]
    schedulers = [make(by_number), make(by_tensor)]
    for _ in range(7):
        assert by_tensor.param_groups[0]["lr"] is held
        expected = np.array(rates_of(by_number)[0])
        bound = relative_bound(np.array(1.0), 40)
        assert_within(held, expected, bound, what="rate", because="a few roundings of numbers below one")
        (last,) = schedulers[1].get_last_lr()
        assert isinstance(last, torch.Tensor)
        assert last is not held
        assert last.item() == held.item()
        for optimizer, scheduler in zip((by_number, by_tensor), schedulers, strict=True):
            optimizer.step()
            scheduler.step()


@claim("lr-tensor-rates")
@every(*SCALING)
def test_the_base_rate_is_a_copy(make):
    optimizer = with_tensor_rate()
    scheduler = make(optimizer)
    optimizer.param_groups[0]["lr"].fill_(7.0)
    assert (scheduler.base_lrs[0].item(), optimizer.param_groups[0]["initial_lr"].item()) == (0.5, 0.5)


@claim("lr-back-to-back")
def test_two_schedulers_by_turns():
    optimizer = make_optimizer()
    first = lr_scheduler.ExponentialLR(optimizer, 0.9)
    second = lr_scheduler.MultiStepLR(optimizer, [2, 4], 0.1)
    optimizer.step()
    seen = [rates_of(optimizer)]
    for _ in range(5):
        first.step()
        second.step()
        seen.append(rates_of(optimizer))
    factors = [0.9**epoch * 0.1 ** ((epoch >= 2) + (epoch >= 4)) for epoch in range(6)]
    assert_close_to_path(torch.tensor(seen, dtype=torch.float64), np.outer(factors, BASE))


@claim("lr-step-epoch")
def test_step_to_an_epoch_without_a_closed_form():
    optimizer = make_optimizer()
    scheduler = lr_scheduler.MultiplicativeLR(optimizer, halve)
    optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter .* deprecated"):
        scheduler.step(3)
    assert scheduler.last_epoch == 3
    assert rates_of(optimizer) == [0.1 * 0.125, 0.75 * 0.125]
    assert scheduler.get_last_lr() == rates_of(optimizer)


@claim("lr-step-epoch")
@every(
    partial(lr_scheduler.PolynomialLR, total_iters=3, power=2.0),
    partial(lr_scheduler.LinearLR, start_factor=0.25, end_factor=0.5, total_iters=3),
    partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=3),
)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_closed_forms_end_as_the_recursion_does(make):
    optimizer, other = make_optimizer(), make_optimizer()
    scheduler, stepped = make(optimizer), make(other)
    optimizer.step()
    other.step()
    for epoch in range(1, 6):
        scheduler.step(epoch)
        stepped.step()
        seen = torch.tensor(rates_of(optimizer), dtype=torch.float64)
        assert_close_to_path(seen, np.array(rates_of(other)), 80)
