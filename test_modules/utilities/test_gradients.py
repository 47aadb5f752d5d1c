"""Gradients clipped, parameters strung together, layers fused."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import utils

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma

SHAPES = [(3,), (2, 4), (1,), (), (0, 2), (5, 1, 2)]


def with_gradients(cell, rng, scale=3.0):
    """Parameters with gradients, one without between them."""
    parameters = [nn.Parameter(cell.tensor(np.zeros(shape))) for shape in SHAPES]
    for parameter in parameters:
        parameter.grad = cell.tensor(rng.normal(0.0, scale, tuple(parameter.shape)))
    return [*parameters[:2], nn.Parameter(cell.tensor([1.0])), *parameters[2:]]


def gradients(parameters):
    return [one.grad for one in parameters if one.grad is not None]


def string(tensors):
    return np.concatenate([to_numpy(one).ravel() for one in tensors])


@claim("clip-norm-total")
@pytest.mark.parametrize("kind", [2, 2.0, 1, 3, 0.5, "inf", math.inf, "default"], ids=repr)
def test_total_norm(kind, cell, rng):
    parameters = with_gradients(cell, rng)
    if kind in ("inf", math.inf):  # an empty tensor has no maximum
        del parameters[5]
    values = np.abs(string(gradients(parameters)))
    power = 2.0 if kind == "default" else float(kind)
    expected = values.max() if power == math.inf else (values**power).sum() ** (1 / power)
    options = {} if kind == "default" else {"norm_type": kind}
    before = [one.clone() for one in gradients(parameters)]
    total = utils.clip_grad_norm_(parameters, 1e9, **options)
    bound = gamma(200, accumulation_unit(cell)) * expected
    assert_within(
        total, expected, bound, what="norm", because="22 powers and sums, and two roots of few roundings each"
    )
    for seen, one in zip(gradients(parameters), before, strict=True):
        assert_same(seen, one, what="gradient")
    assert parameters[2].grad is None


@claim("clip-norm-total")
def test_total_norm_of_one_tensor_and_of_none(cell):
    parameter = nn.Parameter(cell.tensor([0.0, 0.0]))
    assert utils.clip_grad_norm_(parameter, 1.0).item() == 0
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    parameter.grad = cell.tensor([3.0, -4.0])
    assert utils.clip_grad_norm_(parameter, 10.0).item() == 5
    assert utils.clip_grad_norm_(iter([parameter]), 10.0).item() == 5


@claim("clip-norm-total-zero")
def test_total_norm_of_order_zero(cell):
    parameters = [nn.Parameter(cell.tensor(np.zeros(3))) for _ in range(2)]
    parameters[0].grad, parameters[1].grad = cell.tensor([3.0, 0.0, 4.0]), cell.tensor([0.0, 0.0, 1.0])
    seen = utils.clip_grad_norm_(parameters, 100.0, norm_type=0).item()
    assert seen == 3, f"expected 3 elements that are not 0, seen {seen}"


@claim("clip-norm-scales")
@pytest.mark.parametrize("limit", [0.5, 3.0, 0.0, 1e4], ids=str)
@pytest.mark.parametrize("foreach", [None, False, True], ids=str)
@pytest.mark.parametrize("scale", [3.0, 1e-7], ids=str)
def test_gradients_are_scaled(scale, foreach, limit, cell, rng):
    parameters = with_gradients(cell, rng, scale)
    before = [(id(one), to_numpy(one)) for one in gradients(parameters)]
    total = np.sqrt(sum((value**2).sum() for _, value in before))
    limit = limit * scale / 3
    factor = min(1.0, limit / (total + 1e-6))
    utils.clip_grad_norm_(parameters, limit, foreach=foreach)
    for seen, (identity, value) in zip(gradients(parameters), before, strict=True):
        assert id(seen) == identity
        bound = gamma(60, accumulation_unit(cell)) * np.abs(value * factor) * (factor < 1)
        assert_within(seen, value * factor, bound, what="gradient", because="a norm of 22 and three roundings")
    assert parameters[2].grad is None


@claim("clip-norm-nonfinite")
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan], ids=str)
@pytest.mark.parametrize("kind", [2.0, math.inf], ids=str)
def test_norms_that_are_not_finite(kind, value, cell):
    parameter = nn.Parameter(cell.tensor([0.0, 0.0]))
    parameter.grad = cell.tensor([1.0, value])
    with pytest.raises(RuntimeError, match=r"total norm of order .* is non-finite"):
        utils.clip_grad_norm_([parameter], 0.5, norm_type=kind, error_if_nonfinite=True)
    assert_same(parameter.grad, cell.tensor([1.0, value]), what="gradient")
    seen = utils.clip_grad_norm_([parameter], 0.5, norm_type=kind).item()
    assert math.isnan(seen) if math.isnan(value) else seen == math.inf


@claim("clip-norm-two-steps")
@pytest.mark.parametrize("kind", [2.0, 1.0, math.inf], ids=str)
@pytest.mark.parametrize("limit", [0.5, 1e4], ids=str)
def test_clipping_in_two_steps(limit, kind, cell, rng):
    parameters = [one for one in with_gradients(cell, rng) if one.numel()]
    others = copy.deepcopy(parameters)
    for one, other in zip(parameters, others, strict=True):
        other.grad = None if one.grad is None else one.grad.clone()
    total = utils.clip_grad_norm_(parameters, limit, norm_type=kind)
    again = utils.get_total_norm(gradients(others), norm_type=kind)
    assert_same(again, total, what="norm")
    assert utils.clip_grads_with_norm_(others, limit, again) is None
    for one, other in zip(gradients(parameters), gradients(others), strict=True):
        assert_same(other, one, what="gradient")


@claim("clip-value")
@pytest.mark.parametrize("foreach", [None, False, True], ids=str)
def test_gradients_are_clipped(foreach, cell):
    parameters = [nn.Parameter(cell.tensor(np.zeros(6))) for _ in range(3)]
    values = [-3.0, -1.5, 0.25, 1.5, 1.75, math.inf]
    parameters[0].grad = cell.tensor(values)
    parameters[2].grad = cell.tensor([*values[:5], math.nan])
    kept = [one.grad for one in parameters]
    assert utils.clip_grad_value_(parameters, 1.5, foreach=foreach) is None
    assert all(one.grad is grad for one, grad in zip(parameters, kept, strict=True))
    assert parameters[0].grad.tolist() == [-1.5, -1.5, 0.25, 1.5, 1.5, 1.5]
    assert parameters[2].grad[:5].tolist() == [-1.5, -1.5, 0.25, 1.5, 1.5]
    assert math.isnan(parameters[2].grad[5])
    utils.clip_grad_value_(parameters[0], 0.5)
    assert parameters[0].grad.tolist() == [-0.5, -0.5, 0.25, 0.5, 0.5, 0.5]


@claim("clip-value-none")
def test_nothing_to_clip(cell):
    parameter = nn.Parameter(cell.tensor([1.0]))
    try:
        utils.clip_grad_value_([parameter], 1.0)
    except RuntimeError as error:
        raise AssertionError(f"expected nothing, seen {error}") from None
    assert parameter.grad is None


@claim("vector-round-trip")
def test_parameters_become_a_vector_and_back(cell):
    layer = cell.place(nn.Linear(3, 2))
    layer.weight.data.copy_(cell.tensor(np.arange(6.0).reshape(2, 3)))
    layer.bias.data.copy_(cell.tensor([6.0, 7.0]))
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.tolist() == list(range(8))
    vector.backward(cell.tensor(np.arange(8.0) * 10))
    assert layer.weight.grad.tolist() == [[0, 10, 20], [30, 40, 50]]
    assert layer.bias.grad.tolist() == [60, 70]
    before = [id(one) for one in layer.parameters()]
    utils.vector_to_parameters(cell.tensor(np.arange(8.0) + 100), layer.parameters())
    assert layer.weight.tolist() == [[100, 101, 102], [103, 104, 105]]
    assert layer.bias.tolist() == [106, 107]
    assert [id(one) for one in layer.parameters()] == before
    assert all(one.requires_grad and one.is_leaf for one in layer.parameters())


@claim("vector-round-trip")
def test_what_is_no_vector(cell):
    layer = cell.place(nn.Linear(1, 1))
    with pytest.raises(TypeError, match=r"expected torch\.Tensor"):
        utils.vector_to_parameters([1.0, 2.0], layer.parameters())


@claim("vector-any-layout")
def test_channels_last_becomes_a_vector(cell):
    conv = cell.place(nn.Conv2d(2, 3, 2, bias=False))
    conv.weight.data.copy_(cell.tensor(np.arange(24.0).reshape(3, 2, 2, 2)))
    conv.to(memory_format=torch.channels_last)
    try:
        vector = utils.parameters_to_vector(conv.parameters())
    except RuntimeError as error:
        raise AssertionError(f"expected a vector, seen {error}") from None
    assert vector.tolist() == list(range(24))


@claim("vector-is-copied")
def test_the_vector_is_copied(cell):
    parameter, vector = nn.Parameter(cell.tensor([0.0, 0.0])), cell.tensor([1.0, 2.0])
    utils.vector_to_parameters(vector, [parameter])
    assert parameter.tolist() == [1, 2]
    vector.fill_(9)
    assert parameter.tolist() == [1, 2], f"expected [1.0, 2.0], seen {parameter.tolist()}"
