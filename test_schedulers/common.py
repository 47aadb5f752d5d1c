"""What the rooms of schedulers share: rates to follow for the tests, replaced methods for the faults."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims.tolerance import assert_within, relative_bound

BASE = np.array([0.1, 0.75])


def make_optimizer(*rates, momentum=0.5):
    """SGD with a parameter group for each rate: those of BASE if none are given."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or BASE.tolist()]
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def set_rates(optimizer, rates):
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def halve(epoch):
    return 0.5**epoch


def every(*makers):
    """Parametrises a test with each ``make``: partials, or functions, that make a scheduler of an optimizer."""
    return pytest.mark.parametrize("make", makers, ids=[getattr(make, "func", make).__name__ for make in makers])


def trace(scheduler, steps, key="lr"):
    """The groups' rates (or what else ``key`` names) at construction and after each step: a row for each epoch.

    ``steps`` is their number, or the argument of each.
    """
    groups = scheduler.optimizer.param_groups
    rows = [[group[key] for group in groups]]
    scheduler.optimizer.step()
    for arguments in [()] * steps if isinstance(steps, int) else [(argument,) for argument in steps]:
        scheduler.step(*arguments)
        rows.append([group[key] for group in groups])
    return torch.tensor(rows, dtype=torch.float64)


def rates(script, call, steps):
    """The rates of ``call``, a scheduler of ``optimizer``, at construction and after each step; for searches."""
    script.run("weight", "torch.zeros(1, requires_grad=True)")
    script.run("optimizer", "torch.optim.SGD([weight], lr=0.75)")
    script.run("scheduler", f"torch.optim.lr_scheduler.{call}")
    rate = "optimizer.param_groups[0]['lr']"
    walk = f"[{rate}, *((optimizer.step(), scheduler.step(), {rate})[-1] for _ in range({steps}))]"
    return script.run("rates", f"torch.tensor({walk}, dtype=torch.float64)")


def assert_traces(scheduler, expected, roundings):
    """``roundings`` is how many a step may add; three more are the formula's own."""
    steps = len(expected) - 1
    bound = relative_bound(expected, roundings * steps + 3)
    because = f"{roundings} roundings a step"
    assert_within(trace(scheduler, steps), expected, bound, what="rate", because=because)


def assert_close_to_path(seen, expected, roundings=12):
    """For sums of terms no larger than the largest value of the path."""
    bound = relative_bound(np.full_like(expected, np.abs(expected).max()), roundings)
    assert_within(seen, expected, bound, what="path", because=f"{roundings} roundings of the largest value")


def around(change):
    """For a fault's ``patch``: lets ``change(original, *arguments)`` stand for a function or method."""
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def with_attribute(name, change):
    """Lets a method see the scheduler's attribute ``name`` changed."""

    @around
    def method(original, self, *args, **kwargs):
        before = getattr(self, name)
        setattr(self, name, change(before))
        try:
            return original(self, *args, **kwargs)
        finally:
            setattr(self, name, before)

    return method


def shifted(by):
    """Lets a method take the epoch to be ``by`` more than it is."""
    return with_attribute("last_epoch", lambda epoch: epoch + by)


def first_for_all(name):
    """Lets a method take the first group's entry of the list ``name`` for every group's."""
    return with_attribute(name, lambda entries: entries[:1] * len(entries))


@around
def first_group_only(original, self):
    """A get_lr whose rates are for the first group; the others keep theirs."""
    return [original(self)[0], *rates_of(self.optimizer)[1:]]


@around
def muted(original, *args, **kwargs):
    """A function that swallows its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return original(*args, **kwargs)
