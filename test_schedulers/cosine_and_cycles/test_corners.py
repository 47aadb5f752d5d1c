"""Where restarts and cycles begin and end, what they count, and what they refuse."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_close_to_path, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules


@claim("lr-warm-restarts-minimum")
def test_the_minimum_is_reached():
    rates = trace(lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(0.5), 4, 1, 0.125), 9)
    assert 0.125 in rates, f"expected 0.125, seen nothing below {rates.min():.6f}"


# A period begins at T_0 * (T_mult^n - 1) / (T_mult - 1).
@claim("lr-warm-restarts-far-jump")
@pytest.mark.parametrize("first", [1, 2, 7])
@pytest.mark.parametrize(("growth", "count"), [(2, 9), (3, 4), (3, 5), (5, 2), (5, 3), (10, 3)])
def test_a_jump_to_a_restart(first, growth, count):
    epoch = first * (growth**count - 1) // (growth - 1)
    rates = trace(lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(0.5), first, growth), [epoch, None])
    after = schedules.cosine_annealing(np.array([1]), np.array([0.5]), first * growth**count, 0.0)
    assert rates[1].item() == 0.5, f"expected 0.5, seen {rates[1].item():.6g}"
    assert_close_to_path(rates[2:], after)


# The first cases share no factor with what goes wrong: a quarter of 16, four tenths of 10, all of 5.
@claim("lr-onecycle-first-rate")
@pytest.mark.parametrize(
    ("steps", "share"),
    [(16, 0.25), (10, 0.4), (5, 1.0), (10, 0.1), (100, 0.01), (2, 0.5), (3, 0.3), (4, 0.0), (1, 0.3)],
)
def test_the_first_rate_of_one_cycle(steps, share):
    optimizer = make_optimizer(0.25)
    lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=steps, pct_start=share, div_factor=4)
    (seen,) = rates_of(optimizer)
    assert seen == 0.125, f"expected 0.125, seen {seen:.6g}"


@claim("lr-onecycle-all-steps")
@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("key", ["lr", "momentum"])
def test_no_step_leads_out(anneal, key):
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(), 0.8, 8, anneal_strategy=anneal, div_factor=4)
    seen = trace(scheduler, 8, key)[:, 0].numpy()
    smallest, largest = (0.8 / 4 / 1e4, 0.8) if key == "lr" else (0.85, 0.95)
    slack = 1e-12  # several roundings of numbers near one
    assert smallest - slack <= seen.min(), f"step {seen.argmin()} sets {key} to {seen.min():.3g}"
    assert seen.max() <= largest + slack, f"step {seen.argmax()} sets {key} to {seen.max():.4g}"
    assert abs(seen[-1] - seen[-2]) <= slack, f"step 8 moves {key} from {seen[-2]:.3g} to {seen[-1]:.3g}"


@claim("lr-onecycle-over")
@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_a_step_too_many(anneal):
    optimizer = make_optimizer()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.8, total_steps=4, anneal_strategy=anneal)
    trace(scheduler, 4)
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=r"Tried to step 5 times.* total steps is 4"):
        scheduler.step()
    for group, kept in zip(optimizer.param_groups, before, strict=True):
        assert (group["lr"], group["momentum"]) == (kept["lr"], kept["momentum"])


@claim("lr-onecycle-precedence")
def test_total_steps_come_first():
    length = {"total_steps": 10, "epochs": 3, "steps_per_epoch": 5}
    seen = lr_scheduler.OneCycleLR(make_optimizer(), 0.8, **length)
    assert seen.total_steps == 10
    expected = trace(lr_scheduler.OneCycleLR(make_optimizer(), 0.8, total_steps=10), 9)
    assert trace(seen, 9).tolist() == expected.tolist()


@claim("lr-onecycle-arguments-more")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 2.5}, "positive integer total_steps"),
        ({"total_steps": -4}, "positive integer total_steps"),
        ({"epochs": 3}, "total_steps OR"),
        ({"steps_per_epoch": 3}, "total_steps OR"),
        ({"epochs": 0, "steps_per_epoch": 3}, "positive integer epochs"),
        ({"epochs": 1.5, "steps_per_epoch": 3}, "positive integer epochs"),
        ({"epochs": 3, "steps_per_epoch": 1.5}, "positive integer steps_per_epoch"),
        ({"total_steps": 5, "pct_start": -0.5}, "between 0 and 1 pct_start"),
        ({"total_steps": 5, "pct_start": 1}, "between 0 and 1 pct_start"),
        ({"total_steps": 5, "max_momentum": [0.9]}, "same length as optimizer.param_groups|expected 2 values"),
        ({"total_steps": 5, "base_momentum": [0.9] * 3}, "same length as optimizer.param_groups|expected 2 values"),
    ],
)
def test_one_cycle_refuses_more(options, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        lr_scheduler.OneCycleLR(optimizer, 0.5, **options)
    assert rates_of(optimizer) == BASE.tolist()


@claim("lr-onecycle-arguments")
@pytest.mark.parametrize("count", [1, 3])
def test_one_cycle_wants_a_peak_for_each_group(count):
    with pytest.raises(ValueError, match=r"same length as optimizer.param_groups|expected 2 values"):
        lr_scheduler.OneCycleLR(make_optimizer(), [0.5] * count, total_steps=5)


NO_MOMENTUM = {
    "OneCycleLR": partial(lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=5),
    "CyclicLR": partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=0.5),
}


def without_momentum():
    return torch.optim.Adagrad([nn.Parameter(torch.zeros(1))], lr=0.25)


@claim("lr-onecycle-arguments", "lr-cyclic-arguments")
@pytest.mark.parametrize("make", NO_MOMENTUM.values(), ids=NO_MOMENTUM)
def test_no_momentum_to_cycle(make):
    with pytest.raises(ValueError, match="optimizer must support momentum"):
        make(without_momentum())
    make(without_momentum(), cycle_momentum=False)


@claim("lr-onecycle-momentum")
def test_momentum_for_each_group():
    scheduler = lr_scheduler.OneCycleLR(
        make_optimizer(), 0.8, 5, pct_start=0.6, base_momentum=[0.5, 0.25], max_momentum=[0.75, 0.5]
    )
    path = schedules.through(np.arange(5), [(0, 1.0), (2, 0.0), (4, 1.0)], schedules.half_cosine)
    seen = trace(scheduler, 4, "momentum")
    assert_close_to_path(seen, np.array([0.5, 0.25]) + 0.25 * path[:, None])
    assert [group["max_momentum"] for group in scheduler.optimizer.param_groups] == [0.75, 0.5]
    assert [group["base_momentum"] for group in scheduler.optimizer.param_groups] == [0.5, 0.25]


# Two steps up and six down, as in test_cycles.py; the peak of the first cycle is at step 2, its end at step 8.
CYCLE = {"base_lr": 0.25, "max_lr": 1.25, "step_size_up": 2, "step_size_down": 6, "cycle_momentum": False}
ONE_TRIANGLE = np.array([0, 3, 6, 5, 4, 3, 2, 1]) / 6


@claim("lr-cyclic-exp-range")
@pytest.mark.parametrize("gamma", [None, 0.5, 0.75])
def test_amplitude_decays_by_iteration(gamma):
    options = {} if gamma is None else {"gamma": gamma}
    seen = trace(lr_scheduler.CyclicLR(make_optimizer(0.5), mode="exp_range", **CYCLE, **options), 7)
    expected = 0.25 + ONE_TRIANGLE * (gamma or 1.0) ** np.arange(8)
    assert_close_to_path(seen, expected[:, None])


def decay(iteration):
    return 0.75**iteration


@claim("lr-cyclic-exp-range")
def test_a_scale_of_ones_own_by_iteration():
    seen = trace(lr_scheduler.CyclicLR(make_optimizer(0.5), scale_fn=decay, scale_mode="iterations", **CYCLE), 7)
    assert_close_to_path(seen, (0.25 + ONE_TRIANGLE * 0.75 ** np.arange(8))[:, None])


@claim("lr-cyclic-iterations")
@pytest.mark.parametrize(
    "options",
    [{"mode": "exp_range", "gamma": 0.75}, {"scale_fn": decay, "scale_mode": "iterations"}],
    ids=["exp_range", "scale_fn"],
)
def test_iterations_since_the_start_of_the_cycle(options):
    peak = trace(lr_scheduler.CyclicLR(make_optimizer(0.5), **CYCLE, **options), 18)[[2, 10, 18], 0] - 0.25
    expected = 0.75**2
    seen = [round(value, 6) for value in peak.tolist()]
    assert seen == [expected] * 3, f"peaks of {seen}"


@claim("lr-cyclic-scale-fn")
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range", "no mode at all"])
def test_a_scale_of_ones_own_by_cycle(mode):
    asked = []

    def scale(cycle):
        asked.append(cycle)
        return 1.0 / cycle

    options = {**CYCLE, "cycle_momentum": True, "base_momentum": 0.5, "max_momentum": 0.75}
    optimizer = make_optimizer(0.5)
    scheduler = lr_scheduler.CyclicLR(optimizer, mode=mode, gamma=0.5, scale_fn=scale, **options)
    triangles = np.concatenate([ONE_TRIANGLE, ONE_TRIANGLE / 2, ONE_TRIANGLE / 3])
    seen = [(rates_of(optimizer)[0], optimizer.param_groups[0]["momentum"])]
    optimizer.step()
    for _ in range(23):
        scheduler.step()
        seen.append((rates_of(optimizer)[0], optimizer.param_groups[0]["momentum"]))
    assert set(asked) == {1, 2, 3}
    expected = np.stack([0.25 + triangles, 0.75 - 0.25 * triangles], axis=1)
    assert_close_to_path(torch.tensor(seen, dtype=torch.float64), expected)


@claim("lr-cyclic-defaults")
def test_cyclic_momentum_by_iteration():
    options = {**CYCLE, "cycle_momentum": True, "base_momentum": [0.5, 0.25], "max_momentum": [0.75, 0.5]}
    scheduler = lr_scheduler.CyclicLR(make_optimizer(), mode="exp_range", gamma=0.75, **options)
    expected = 0.25 * ONE_TRIANGLE * 0.75 ** np.arange(8)
    assert_close_to_path(trace(scheduler, 7, "momentum"), np.array([0.75, 0.5]) - expected[:, None])
    assert [group["max_momentum"] for group in scheduler.optimizer.param_groups] == [0.75, 0.5]
    assert [group["base_momentum"] for group in scheduler.optimizer.param_groups] == [0.5, 0.25]


@claim("lr-cyclic-defaults")
def test_cyclic_by_default():
    scheduler = lr_scheduler.CyclicLR(make_optimizer(0.5), 0.25, 1.25)
    scheduler.optimizer.step()
    seen = {}
    for step in range(1, 4001):
        scheduler.step()
        if step % 1000 == 0:
            seen[step] = (scheduler.get_last_lr()[0], scheduler.optimizer.param_groups[0]["momentum"])
    expected = np.array([[0.75, 0.85], [1.25, 0.8], [0.75, 0.85], [0.25, 0.9]])
    assert_close_to_path(torch.tensor(list(seen.values()), dtype=torch.float64), expected)


@claim("lr-cyclic-defaults")
def test_cyclic_drives_the_first_beta_of_adam():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.1, betas=(0.5, 0.75))
    seen = trace(lr_scheduler.CyclicLR(optimizer, 0.25, 1.25, 2, 2), 6, "betas")
    assert_close_to_path(seen[:, 0, 0], np.array([0.9, 0.85, 0.8, 0.85, 0.9, 0.85, 0.8]))
    assert set(seen[:, 0, 1].tolist()) == {0.75}


@claim("lr-cyclic-first-rate")
def test_cyclic_after_another_scheduler():
    optimizer = make_optimizer(0.5)
    lr_scheduler.ExponentialLR(optimizer, 0.5)
    lr_scheduler.CyclicLR(optimizer, 0.125, 1.0, 4)
    (seen,) = rates_of(optimizer)
    assert seen == 0.125, f"expected 0.125, seen {seen}"


@claim("lr-cyclic-arguments")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "square"}, "mode is invalid and scale_fn is None"),
        ({"base_lr": [0.1]}, "same length as optimizer.param_groups|expected 2 values"),
        ({"max_lr": [0.1] * 3}, "same length as optimizer.param_groups|expected 2 values"),
        ({"base_momentum": [0.1]}, "same length as optimizer.param_groups|expected 2 values"),
        ({"max_momentum": (0.1,)}, "same length as optimizer.param_groups|expected 2 values"),
    ],
    ids=["mode", "base_lr", "max_lr", "base_momentum", "max_momentum"],
)
def test_cyclic_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        lr_scheduler.CyclicLR(make_optimizer(), **{"base_lr": 0.1, "max_lr": 0.5, **options})


@claim("lr-optimizer-type")
@pytest.mark.parametrize("make", NO_MOMENTUM.values(), ids=NO_MOMENTUM)
def test_cycles_of_no_optimizer(make):
    with pytest.raises(TypeError, match="Linear is not an Optimizer"):
        make(nn.Linear(1, 1))


@claim("lr-warm-restarts-arguments")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-3,), "positive integer T_0"), ((2, 1.5), "integer T_mult >= 1")],
    ids=["negative", "fractional-growth"],
)
def test_restarts_refuse_more(arguments, message):
    with pytest.raises(ValueError, match=message):
        lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), *arguments)


@claim("lr-warm-restarts-epoch")
def test_no_jump_before_the_beginning():
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer(), 4)
    with pytest.raises(ValueError, match="non-negative epoch, but got -1"):
        scheduler.step(-1)
    assert rates_of(scheduler.optimizer) == BASE.tolist()
