"""AveragedModel and update_bn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import swa_utils

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, rounding_unit, roundings

SHAPES = {"weight": (3, 2), "bias": (3,)}


def draw(cell, rng, module):
    """Fills the module's parameters anew, and returns them as arrays."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(cell.tensor(rng.normal(1.0, 2.0, tuple(parameter.shape))))
    return [to_numpy(parameter) for parameter in module.parameters()]


def assert_average(cell, averaged, expected, magnitude, count, what):
    for seen, wanted, size in zip(averaged.module.parameters(), expected, magnitude, strict=True):
        bound = gamma(6 * count, rounding_unit(cell.dtype)) * size + roundings(cell, 1, wanted)
        assert_within(
            seen, wanted, bound, what=what, because="six roundings an update, of numbers of the largest's size"
        )


@claim("averaged-copy")
def test_a_copy_of_the_model(cell, rng):
    model = cell.place(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))).eval()
    averaged = swa_utils.AveragedModel(model)
    x = cell.tensor(rng.normal(size=(4, 2)))
    expected = model(x).detach().clone()
    assert averaged.module is not model
    addresses = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert not addresses & {tensor.data_ptr() for tensor in averaged.module.state_dict().values()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert_same(averaged(x).detach(), expected, what="output of the copy")
    assert (averaged.n_averaged.item(), averaged.n_averaged.dtype) == (0, torch.int64)
    assert list(averaged.state_dict()) == ["n_averaged", *(f"module.{key}" for key in model.state_dict())]


@claim("averaged-equal-weights")
def test_equal_weights(cell, rng):
    assert_equal_weights(cell, rng)


@claim("averaged-equal-weights-functions")
def test_equal_weights_by_parameter(cell, rng):
    assert_equal_weights(cell, rng, avg_fn=swa_utils.get_swa_avg_fn())


@claim("averaged-equal-weights-functions")
def test_equal_weights_by_list(cell, rng):
    assert_equal_weights(cell, rng, multi_avg_fn=swa_utils.get_swa_multi_avg_fn())


def assert_equal_weights(cell, rng, **options):
    model = cell.place(nn.Linear(2, 3))
    averaged = swa_utils.AveragedModel(model, **options)
    seen = []
    for count in range(1, 6):
        seen.append(draw(cell, rng, model))
        averaged.update_parameters(model)
        assert averaged.n_averaged.item() == count
        expected = [np.mean(values, axis=0) for values in zip(*seen, strict=True)]
        magnitude = [np.abs(values).max(axis=0) for values in zip(*seen, strict=True)]
        if count == 1:
            for one, other in zip(averaged.module.parameters(), model.parameters(), strict=True):
                assert_same(one.detach(), other.detach(), what="first average")
        assert_average(cell, averaged, expected, magnitude, count, f"average of {count}")
        for one, values in zip(model.parameters(), seen[-1], strict=True):
            assert (to_numpy(one) == values).all(), "the model itself was changed"


@claim("averaged-exponential")
@pytest.mark.parametrize("kind", ["avg_fn", "multi_avg_fn"])
@pytest.mark.parametrize("decay", [None, 0.75, 0.0, 1.0])
def test_exponential_weights(cell, rng, kind, decay):
    make = swa_utils.get_ema_avg_fn if kind == "avg_fn" else swa_utils.get_ema_multi_avg_fn
    model = cell.place(nn.Linear(2, 3))
    averaged = swa_utils.AveragedModel(model, **{kind: make() if decay is None else make(decay)})
    expected = magnitude = None
    for count in range(1, 6):
        values = draw(cell, rng, model)
        averaged.update_parameters(model)
        kept = 0.999 if decay is None else decay
        if expected is None:
            expected, magnitude = values, [np.abs(one) for one in values]
        else:
            expected = [kept * one + (1 - kept) * other for one, other in zip(expected, values, strict=True)]
            magnitude = [np.maximum(one, np.abs(other)) for one, other in zip(magnitude, values, strict=True)]
        assert_average(cell, averaged, expected, magnitude, count, f"exponential average after {count}")


@claim("averaged-exponential")
def test_default_decay_in_full_precision():
    """With 0.999 a parameter that goes from 0 to 1 leaves a thousandth."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    for options in ({"avg_fn": swa_utils.get_ema_avg_fn()}, {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn()}):
        averaged = swa_utils.AveragedModel(model, **options)
        for value in (0.0, 1.0):
            nn.init.constant_(model.weight, value)
            averaged.update_parameters(model)
        assert abs(averaged.module.weight.item() - 0.001) < 1e-15


@claim("averaged-decay-range")
@pytest.mark.parametrize("decay", [-0.01, 1.01])
def test_decay_out_of_range(decay):
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match="Invalid decay value"):
            make(decay)


@claim("averaged-custom")
def test_functions_of_ones_own():
    model = nn.Linear(2, 3)
    asked = []

    def largest(average, parameter, number):
        asked.append((tuple(average.shape), int(number)))
        return torch.maximum(average, parameter)

    averaged = swa_utils.AveragedModel(model, avg_fn=largest)
    expected = {name: values.detach().clone() for name, values in model.named_parameters()}
    for _ in range(3):
        averaged.update_parameters(model)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                expected[name] = torch.maximum(expected[name], parameter)
                parameter.copy_(torch.randn_like(parameter))
    assert asked == [((3, 2), 1), ((3,), 1), ((3, 2), 2), ((3,), 2)], "the first update copies"
    for name, parameter in averaged.module.named_parameters():
        assert_same(parameter.detach(), expected[name], what=name)
    assert set(averaged.state_dict()) == {"n_averaged", "module.weight", "module.bias"}


@claim("averaged-custom")
def test_a_function_of_lists():
    model = nn.Linear(2, 3)
    seen = []

    def doubled(averages, parameters, number):
        seen.append((len(averages), len(parameters), int(number)))
        for average, parameter in zip(averages, parameters, strict=True):
            average.copy_(2 * parameter)

    averaged = swa_utils.AveragedModel(model, multi_avg_fn=doubled)
    averaged.update_parameters(model)
    averaged.update_parameters(model)
    assert seen == [(2, 2, 1)]
    assert_same(averaged.module.weight.detach(), 2 * model.weight.detach(), what="weight")


@claim("averaged-custom")
def test_two_functions_are_refused():
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)


def updated(cell, rng, averaged, model, count=3):
    """The running mean and variance that the model had at each update."""
    seen = []
    for _ in range(count):
        model(cell.tensor(rng.normal(1.0, 2.0, (5, 3))))
        seen.append([to_numpy(model.running_mean), to_numpy(model.running_var)])
        averaged.update_parameters(model)
    return seen


@claim("averaged-buffers")
@pytest.mark.parametrize("average", [False, True], ids=["copied", "averaged"])
def test_buffers(cell, rng, average):
    model = cell.place(nn.BatchNorm1d(3))
    averaged = swa_utils.AveragedModel(model, use_buffers=average)
    seen = updated(cell, rng, averaged, model)
    expected = np.mean(seen, axis=0) if average else seen[-1]
    bound = gamma(20, rounding_unit(cell.dtype)) * np.abs(seen).max(axis=0)
    for buffer, wanted, allowed in zip(
        (averaged.module.running_mean, averaged.module.running_var), expected, bound, strict=True
    ):
        assert_within(buffer, wanted, allowed if average else 0.0, what="buffer", because="six roundings an update")
    if not average:
        assert averaged.module.num_batches_tracked.item() == 3


@claim("averaged-integer-buffers")
def test_integer_buffers(cell, rng):
    model = cell.place(nn.BatchNorm1d(3))
    options = {"use_buffers": True, "multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}
    averaged, plain = swa_utils.AveragedModel(model, **options), swa_utils.AveragedModel(model, use_buffers=True)
    for _ in range(3):
        model(cell.tensor(rng.normal(1.0, 2.0, (5, 3))))
        plain.update_parameters(model)
        averaged.update_parameters(model)
    assert averaged.module.num_batches_tracked.item() == plain.module.num_batches_tracked.item()


def batches_of(cell, rng, count=3):
    return [cell.tensor(rng.normal(2.0, 3.0, (6, 3))) for _ in range(count)]


@claim("update-bn")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_statistics_made_anew(cell, rng, training):
    model = cell.place(nn.Sequential(nn.BatchNorm1d(3, momentum=0.25), nn.Tanh(), nn.BatchNorm1d(3, momentum=None)))
    first, _, last = model
    model(cell.tensor(rng.normal(100.0, 1.0, (6, 3))))
    model.train(training)
    batches = batches_of(cell, rng)
    swa_utils.update_bn(batches, model)
    values = [to_numpy(batch) for batch in batches]
    size = np.max([np.abs(value).max() for value in values])
    for seen, wanted, power in (
        (first.running_mean, np.mean([value.mean(0) for value in values], axis=0), 1),
        (first.running_var, np.mean([value.var(0, ddof=1) for value in values], axis=0), 2),
    ):
        bound = gamma(60, rounding_unit(cell.dtype)) * (2 * size) ** power
        assert_within(seen, wanted, bound, what="statistics", because="sums of 6, averaged over 3 batches")
    assert [first.momentum, last.momentum] == [0.25, None]
    assert [first.num_batches_tracked.item(), last.num_batches_tracked.item()] == [3, 3]
    assert model.training == training
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())


@claim("update-bn-batches")
@pytest.mark.parametrize(
    "pack", [lambda x: x, lambda x: (x, None), lambda x: [x, "label"]], ids=["tensor", "tuple", "list"]
)
def test_batches(cell, rng, pack):
    model, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=None)
    batches = batches_of(cell, rng)
    swa_utils.update_bn([pack(batch) for batch in batches], model)
    for batch in batches:
        other(batch)
    for name, value in other.state_dict().items():
        assert_same(model.state_dict()[name], value, what=name)


@claim("update-bn-batches")
def test_nothing_to_update():
    calls = []

    class Loader:
        def __iter__(self):
            calls.append(1)
            return iter(())

    swa_utils.update_bn(Loader(), nn.Linear(2, 2))
    assert calls == []
