"""Arguments at the edge of what the schedules take, and beyond."""

from functools import partial

import numpy as np
import pytest
from torch.optim import lr_scheduler

from test_schedulers.common import BASE, assert_traces, every, make_optimizer, rates_of, trace
from torchclaims import claim
from torchclaims.reference import schedules

CONSTANT, START, END = (
    "Constant multiplicative factor",
    "Starting multiplicative factor",
    "Ending multiplicative factor",
)


@claim("lr-factors-checked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ConstantLR", {"factor": -1e-9}, CONSTANT),
        ("ConstantLR", {"factor": 1.0000001}, CONSTANT),
        ("LinearLR", {"start_factor": 0.0}, START),
        ("LinearLR", {"start_factor": -0.1}, START),
        ("LinearLR", {"start_factor": 1.0000001}, START),
        ("LinearLR", {"end_factor": -1e-9}, END),
        ("LinearLR", {"end_factor": 1.0000001}, END),
    ],
)
def test_factors_beyond_the_bounds(name, options, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        getattr(lr_scheduler, name)(optimizer, **options)
    assert rates_of(optimizer) == BASE.tolist()


@claim("lr-factors-checked")
@every(
    partial(lr_scheduler.ConstantLR, factor=0.0),
    partial(lr_scheduler.ConstantLR, factor=1.0),
    partial(lr_scheduler.LinearLR, start_factor=1.0),
    partial(lr_scheduler.LinearLR, start_factor=1e-9),
    partial(lr_scheduler.LinearLR, end_factor=0.0),
)
def test_factors_at_the_bounds(make):
    share = make.keywords.get("factor", make.keywords.get("start_factor", 1 / 3))
    assert rates_of(make(make_optimizer(1.0)).optimizer) == [share]


@claim("lr-multiplicative-callable")
@pytest.mark.parametrize("wrong", [0.5, [len, 0.5], [None, len]], ids=["number", "second", "first"])
def test_factors_that_are_no_functions(wrong):
    optimizer = make_optimizer()
    with pytest.raises(TypeError, match="lr_lambda should be a function, but got"):
        lr_scheduler.MultiplicativeLR(optimizer, wrong)
    assert rates_of(optimizer) == BASE.tolist()


@claim("lr-multistep-order")
@pytest.mark.parametrize("milestones", [[5, 2, 7], [4, 4, 1]], ids=str)
def test_milestones_in_any_order(milestones):
    expected = schedules.multi_step_decay(np.arange(9), BASE, milestones, 0.5)
    assert_traces(lr_scheduler.MultiStepLR(make_optimizer(), milestones, 0.5), expected, 2)


@claim("lr-constant-zero")
def test_a_factor_of_zero_ends():
    seen = trace(lr_scheduler.ConstantLR(make_optimizer(0.5), 0.0, 3), 4)
    assert seen[:, 0].tolist() == [0.0, 0.0, 0.0, 0.5, 0.5]


@claim("lr-constant-no-epochs")
def test_a_constant_for_no_epochs():
    seen = trace(lr_scheduler.ConstantLR(make_optimizer(0.5), 0.25, 0), 2)[:, 0].tolist()
    assert seen == [0.5, 0.5, 0.5], f"rates {seen}"
