"""SWALR: a rate annealed to a constant."""

import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler, swa_utils

from test_schedulers.common import BASE, assert_close_to_path, make_optimizer, rates_of, set_rates, trace
from torchclaims import claim
from torchclaims.reference import schedules

CURVES = {"cos": schedules.half_cosine, "linear": schedules.straight}


def annealed(base, target, epochs, curve, count):
    share = CURVES[curve](np.minimum(np.arange(count) / epochs, 1.0))[:, None]
    return np.asarray(target) * share + np.asarray(base) * (1 - share)


@claim("swa-schedule")
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("epochs", [1, 2, 7])
@pytest.mark.parametrize("target", [0.05, [0.5, 0.01]], ids=["one-rate", "a-rate-a-group"])
def test_anneal(curve, epochs, target):
    scheduler = swa_utils.SWALR(make_optimizer(), target, anneal_epochs=epochs, anneal_strategy=curve)
    expected = annealed(BASE, target, epochs, curve, 12)
    # What is left of the base rate is divided by as little as the last step's share of it.
    assert_close_to_path(trace(scheduler, 11), expected, 40 * epochs**2 * 12)
    assert scheduler.get_last_lr() == np.broadcast_to(target, 2).tolist()


@claim("swa-schedule")
def test_ten_epochs_along_a_cosine_by_default():
    expected = annealed(BASE, 0.05, 10, "cos", 13)
    assert_close_to_path(trace(swa_utils.SWALR(make_optimizer(), 0.05), 12), expected, 40 * 100 * 12)


@claim("swa-schedule")
def test_no_epochs_to_anneal():
    assert trace(swa_utils.SWALR(make_optimizer(), 0.05, anneal_epochs=0), 2).tolist() == [[0.05, 0.05]] * 3


@claim("swa-schedule-late")
def test_it_begins_where_training_is():
    optimizer = make_optimizer()
    first = lr_scheduler.ExponentialLR(optimizer, 0.5)
    late = swa_utils.SWALR(optimizer, 0.25, anneal_epochs=4, anneal_strategy="linear")
    optimizer.step()
    for _ in range(3):
        first.step()
    found = np.array(rates_of(optimizer))
    seen = []
    for _ in range(6):
        late.step()
        seen.append(rates_of(optimizer))
    expected = annealed(found, 0.25, 4, "linear", 7)[1:]
    assert_close_to_path(torch.tensor(seen, dtype=torch.float64), expected, 1000)


@claim("swa-arguments")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"swa_lr": [0.1]}, "same length as optimizer.param_groups|swa_lr must have the same length"),
        ({"swa_lr": (0.1,) * 3}, "same length as optimizer.param_groups|swa_lr must have the same length"),
        ({"anneal_strategy": "cosine"}, "anneal_strategy must .*'cos' or 'linear'"),
        ({"anneal_epochs": -1}, "anneal_epochs must be equal or greater than 0"),
        ({"anneal_epochs": 2.0}, "anneal_epochs must be equal or greater than 0"),
    ],
    ids=["too-few", "too-many", "strategy", "negative", "fraction"],
)
def test_refused(options, message):
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=message):
        swa_utils.SWALR(optimizer, **{"swa_lr": 0.1, **options})
    assert rates_of(optimizer) == BASE.tolist()


@claim("swa-argument-names")
@pytest.mark.parametrize(
    "options", [{"swa_lrs": 0.1}, {"annealing_epochs": 2}, {"annealing_strategy": "linear"}], ids=str
)
def test_documented_names(options):
    swa_utils.SWALR(make_optimizer(), **{**({} if "swa_lrs" in options else {"swa_lr": 0.1}), **options})


@claim("swa-state")
@pytest.mark.parametrize("curve", CURVES)
def test_resumed(curve):
    make = partial(swa_utils.SWALR, swa_lr=0.05, anneal_epochs=4)
    whole = trace(make(make_optimizer(), anneal_strategy=curve), 7).tolist()
    for stop in range(7):
        first = make(make_optimizer(), anneal_strategy=curve)
        trace(first, stop)
        saved = pickle.loads(pickle.dumps(first.state_dict()))
        assert set(saved) == set(vars(first)) - {"optimizer", "anneal_func"}
        kept = dict(saved)
        second = make(make_optimizer(), anneal_strategy="linear" if curve == "cos" else "cos")
        second.load_state_dict(saved)
        assert saved == kept
        set_rates(second.optimizer, whole[stop])
        assert trace(second, 7 - stop).tolist() == whole[stop:]


@claim("swa-last-epoch")
@pytest.mark.parametrize("curve", CURVES)
def test_last_epoch(curve):
    make = partial(swa_utils.SWALR, swa_lr=0.05, anneal_epochs=4, anneal_strategy=curve)
    whole = trace(make(make_optimizer()), 6)[:, 1].tolist()
    wrong = []
    for stop in range(1, 6):
        first = make(make_optimizer())
        trace(first, stop)
        optimizer = make_optimizer()
        optimizer.load_state_dict(first.optimizer.state_dict())
        second = make(optimizer, last_epoch=stop - 1)
        seen = trace(second, 6 - stop)[:, 1].tolist()
        if not all(math.isclose(one, other, rel_tol=1e-9) for one, other in zip(seen, whole[stop:], strict=True)):
            wrong.append(stop)
    assert wrong == [], f"wrong after stops at {wrong}"
