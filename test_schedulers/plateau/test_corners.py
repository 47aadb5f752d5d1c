"""Plateaus: boundaries, state and groups that come later."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from test_schedulers.common import make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("lr-plateau-remains")
def test_a_metric_that_remains_the_same():
    rates = trace(ReduceLROnPlateau(make_optimizer(1.0), factor=0.5, patience=0), [1.0, 1.0, 1.0, 1.0])[:, 0].tolist()
    assert rates[3:] == rates[2:-1], f"rates {rates}"


@claim("lr-plateau-eps-equal")
def test_a_reduction_of_exactly_eps():
    scheduler = ReduceLROnPlateau(make_optimizer(0.5), factor=0.5, patience=0, eps=0.25)
    rates = trace(scheduler, [1.0, 2.0])[:, 0].tolist()
    assert rates == [0.5, 0.5, 0.25], f"rates {rates}"


@claim("lr-plateau-eps")
def test_a_reduction_of_a_little_more_than_eps():
    scheduler = ReduceLROnPlateau(make_optimizer(0.5), factor=0.5, patience=0, eps=0.2499)
    assert trace(scheduler, [1.0, 2.0, 3.0])[:, 0].tolist() == [0.5, 0.5, 0.25, 0.25]


@claim("lr-plateau-eps")
def test_a_reduction_of_a_little_less_than_eps():
    scheduler = ReduceLROnPlateau(make_optimizer(0.5), factor=0.5, patience=0, eps=0.2501)
    assert trace(scheduler, [1.0, 2.0, 3.0])[:, 0].tolist() == [0.5] * 4


@claim("lr-plateau-eps")
@pytest.mark.parametrize(("eps", "reached"), [(0.05, 0.4), (0.2, 0.5)])
def test_a_reduction_that_the_least_rate_bounds(eps, reached):
    """To 0.4, not 0.25: that is a fall by 0.1."""
    scheduler = ReduceLROnPlateau(make_optimizer(0.5), factor=0.5, patience=0, min_lr=0.4, eps=eps)
    assert trace(scheduler, [1.0, 2.0, 3.0])[:, 0].tolist() == [0.5, 0.5, reached, reached]


@claim("lr-plateau-state")
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_state_into_another_plateau(mode, threshold_mode):
    sign = 1 if mode == "min" else -1
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 0.25, "patience": 1, "cooldown": 1}
    metrics = [sign * metric + 100 for metric in (8.0, 9.0, 9.0, 9.0, 7.5, 9.0, 9.0, 1.0, 9.0, 9.0, 9.0)]
    whole = trace(ReduceLROnPlateau(make_optimizer(1.0), factor=0.5, **options), metrics)[:, 0].tolist()
    for stop in range(len(metrics)):
        first = ReduceLROnPlateau(make_optimizer(1.0), factor=0.5, **options)
        trace(first, metrics[:stop])
        second = ReduceLROnPlateau(make_optimizer(whole[stop]), mode="max" if mode == "min" else "min", patience=7)
        second.load_state_dict(first.state_dict())
        assert trace(second, metrics[stop:])[:, 0].tolist() == whole[stop:]


@claim("lr-plateau-state")
@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_worse_than_any_metric_is_restored(mode):
    first = ReduceLROnPlateau(make_optimizer(1.0), mode=mode)
    second = ReduceLROnPlateau(make_optimizer(1.0), mode="max" if mode == "min" else "min", patience=0)
    second.load_state_dict({key: value for key, value in first.state_dict().items() if key != "mode_worse"})
    assert second.mode_worse == (float("inf") if mode == "min" else -float("inf"))
    assert second.best == second.mode_worse


def with_a_new_group(min_lr):
    scheduler = ReduceLROnPlateau(make_optimizer(1.0, 0.5), factor=0.25, patience=0, min_lr=min_lr)
    scheduler.step(1.0)
    scheduler.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.25})
    return scheduler


@claim("lr-plateau-new-group")
def test_a_common_bound_covers_a_new_group():
    scheduler = with_a_new_group(0.125)
    scheduler.step(2.0)
    assert rates_of(scheduler.optimizer) == [0.25, 0.125, 0.125]


@claim("lr-plateau-new-group")
def test_bounds_for_each_group_must_be_extended():
    scheduler = with_a_new_group([0.125, 0.0])
    with pytest.raises(RuntimeError, match=r"number of param groups .* \(3\) differs .* \(2\)"):
        scheduler.step(2.0)
    assert rates_of(scheduler.optimizer) == [1.0, 0.5, 0.25]
    scheduler.min_lrs = [0.125, 0.0, 0.2]
    scheduler.step(2.0)
    assert rates_of(scheduler.optimizer) == [0.25, 0.125, 0.2]


@claim("lr-plateau-tensor")
def test_a_tensor_is_reduced_in_place(cell):
    optimizer = torch.optim.SGD([nn.Parameter(cell.tensor([1.0]))], lr=cell.tensor(0.5))
    held = optimizer.param_groups[0]["lr"]
    scheduler = ReduceLROnPlateau(optimizer, factor=0.25, patience=0)
    for metric in (1.0, 2.0):
        scheduler.step(metric)
    assert optimizer.param_groups[0]["lr"] is held
    assert_same(held, cell.tensor(0.125), what="rate")
    assert_same(scheduler.get_last_lr()[0], cell.tensor(0.125), what="last rate")


@claim("lr-step-epoch")
def test_plateau_takes_an_epoch_with_a_warning():
    scheduler = ReduceLROnPlateau(make_optimizer(), patience=0)
    with pytest.warns(UserWarning, match="epoch parameter .* deprecated"):
        scheduler.step(1.0, 7)
    assert scheduler.last_epoch == 7
    scheduler.step(1.0)
    assert scheduler.last_epoch == 8
