"""Stochastic gradient descent, beside the steps that its page writes down."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from torchclaims import claim
from torchclaims.reference.optimisers import sgd
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit

# Powers of two: the optimizer rounds none of them.
CASES = {
    "plain": {},
    "momentum": {"momentum": 0.5},
    "dampening": {"momentum": 0.5, "dampening": 0.25},
    "all of it dampened": {"momentum": 0.5, "dampening": 1.0},
    "nesterov": {"momentum": 0.75, "nesterov": True},
    "weight decay": {"weight_decay": 0.25},
    "weight decay and momentum": {"weight_decay": 0.25, "momentum": 0.5, "dampening": 0.5},
    "nesterov and weight decay": {"weight_decay": 0.125, "momentum": 0.5, "nesterov": True},
    "maximise": {"maximize": True, "weight_decay": 0.25, "momentum": 0.5},
    "maximise nesterov": {"maximize": True, "momentum": 0.5, "nesterov": True},
    "dampening alone": {"dampening": 0.5},
}
SIZES = [(1,), (17,), (2, 3), ()]
MISSED = {(1, 1)}  # step and parameter
BY_IMPLEMENTATION = pytest.mark.parametrize(
    "implementation", [{"foreach": True}, {"foreach": False}, {"fused": True}], ids=str
)


def assert_follows(cell, rng, options, steps=4, missed=MISSED, **implementation):
    """Each parameter goes as the page says after each of ``steps``; of those ``missed`` it has no gradient."""
    ps = [nn.Parameter(cell.tensor(rng.normal(1, 1, size))) for size in SIZES]
    start = [to_numpy(one) for one in ps]
    optimizer = SGD(ps, lr=0.125, **options, **implementation)
    grads = [[cell.tensor(rng.normal(size=size)) for size in SIZES] for _ in range(steps)]
    for step in range(steps):
        for index, (one, grad) in enumerate(zip(ps, grads[step], strict=True)):
            one.grad = None if (step, index) in missed else grad.clone()
        optimizer.step()
        for index, one in enumerate(ps):
            seen = [to_numpy(grads[past][index]) for past in range(step + 1) if (past, index) not in missed]
            expected = [start[index], *sgd(start[index], seen, 0.125, **options)][-1]
            # No option lets a term of the sums be larger than the sum of all that went in.
            size = np.abs(start[index]) * 2 + 4 * sum(np.abs(gradient) for gradient in seen)
            bound = gamma(8 * (step + 1), rounding_unit(cell.dtype)) * size
            assert_within(
                one, expected, bound, what=f"parameter {index} after step {step + 1}", because="8 roundings a step"
            )


@claim("optim-sgd")
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_steps(cell, rng, options):
    assert_follows(cell, rng, options)


@claim("optim-sgd-implementations")
@BY_IMPLEMENTATION
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_implementations(cell, rng, options, implementation):
    assert_follows(cell, rng, options, steps=3, **implementation)


@claim("optim-sgd-late-gradient")
@BY_IMPLEMENTATION
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_first_gradient_after_the_others(cell, rng, options, implementation):
    assert_follows(cell, rng, options, missed={(0, 2)}, **implementation)


@claim("optim-sgd-reads-gradients")
@BY_IMPLEMENTATION
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_gradient_is_left_alone(cell, options, implementation):
    p = nn.Parameter(cell.tensor([1.0, 2.0]))
    optimizer = SGD([p], lr=0.5, **options, **implementation)
    p.grad = cell.tensor([1.0, -1.0])
    held = p.grad
    for _ in range(2):
        optimizer.step()
    assert p.grad is held
    seen = held.tolist()
    assert seen == [1.0, -1.0], f"the gradient of {[1.0, -1.0]} is {seen} after two steps"


@claim("optim-sgd-defaults")
def test_defaults():
    (group,) = SGD([nn.Parameter(torch.zeros(1))]).param_groups
    names = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize", "foreach", "differentiable")
    assert [group[name] for name in names] == [1e-3, 0, 0, 0, False, False, None, False]
    assert list(inspect.signature(SGD).parameters)[:6] == [
        "params",
        "lr",
        "momentum",
        "dampening",
        "weight_decay",
        "nesterov",
    ]


@claim("optim-sgd-differentiable")
@pytest.mark.parametrize("differentiable", [True, False])
def test_a_gradient_through_the_step(cell, differentiable):
    source = cell.tensor([3.0], requires_grad=True)
    p = (source * 1.0) if differentiable else nn.Parameter(cell.tensor([3.0]))
    p.retain_grad() if differentiable else None
    optimizer = SGD([p], lr=0.5, differentiable=differentiable)
    p.grad = cell.tensor([2.0], requires_grad=True)
    gradient = p.grad
    optimizer.step()
    assert p.item() == 2.0
    assert (p.grad_fn is not None) == differentiable
    if differentiable:
        p.sum().backward()
        assert source.grad is not None
        assert gradient.grad is not None
        assert (source.grad.item(), gradient.grad.item()) == (1.0, -0.5)
