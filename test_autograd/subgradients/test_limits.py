"""Where no subgradient exists: growth without bound, outside the domain, division by zero, random functions."""

import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torchclaims import claim
from torchclaims.tolerance import assert_same

INFINITE = {
    "sqrt": (lambda x: torch.sqrt(x), 0.0, math.inf),
    "x ** 0.5": (lambda x: x**0.5, 0.0, math.inf),
    "x ** 0.25": (lambda x: x**0.25, 0.0, math.inf),
    "x ** tensor(0.5)": (lambda x: x ** torch.full_like(x, 0.5), 0.0, math.inf),
    "float_power": (lambda x: torch.float_power(x, 0.5), 0.0, math.inf),
    "rsqrt": (lambda x: torch.rsqrt(x), 0.0, -math.inf),
    "reciprocal": (lambda x: torch.reciprocal(x), 0.0, -math.inf),
    "log": (lambda x: torch.log(x), 0.0, math.inf),
    "log2": (lambda x: torch.log2(x), 0.0, math.inf),
    "log10": (lambda x: torch.log10(x), 0.0, math.inf),
    "log1p": (lambda x: torch.log1p(x), -1.0, math.inf),
    "asin at 1": (lambda x: torch.asin(x), 1.0, math.inf),
    "asin at -1": (lambda x: torch.asin(x), -1.0, math.inf),
    "acos at 1": (lambda x: torch.acos(x), 1.0, -math.inf),
    "acos at -1": (lambda x: torch.acos(x), -1.0, -math.inf),
    "acosh": (lambda x: torch.acosh(x), 1.0, math.inf),
    "atanh": (lambda x: torch.atanh(x), 1.0, math.inf),
    "erfinv at 1": (lambda x: torch.erfinv(x), 1.0, math.inf),
    "erfinv at -1": (lambda x: torch.erfinv(x), -1.0, math.inf),
    "logit at 0": (lambda x: torch.logit(x), 0.0, math.inf),
    "logit at 1": (lambda x: torch.logit(x), 1.0, math.inf),
    "entr": (lambda x: torch.special.entr(x), 0.0, math.inf),
    "ndtri": (lambda x: torch.special.ndtri(x), 0.0, math.inf),
}
OUTSIDE = {
    "sqrt": (torch.sqrt, -1.0),
    "log": (torch.log, -1.0),
    "acos": (torch.acos, 2.0),
    "acosh": (torch.acosh, 0.5),
    "atanh": (torch.atanh, 2.0),
    "erfinv": (torch.erfinv, 2.0),
    "logit": (torch.logit, -0.5),
    "x ** 0.5": (lambda x: x**0.5, -1.0),
    "relu of NaN": (F.relu, math.nan),
    "max of NaN": (torch.max, math.nan),
}


@claim("subgradient-continuity")
@pytest.mark.parametrize("name", INFINITE)
def test_infinite(cell, name):
    function, point, slope = INFINITE[name]
    x = cell.tensor(np.full(5, point), requires_grad=True)
    y = cell.run(function)(x)
    y.backward(cell.tensor([1.0, 2.0, -1.0, 1.0, -0.5]).to(y.dtype))
    assert_same(x.grad, cell.tensor([slope, slope, -slope, slope, -slope]), what=f"gradient of {name} at {point}")


@claim("subgradient-undefined")
@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_domain(cell, name):
    function, point = OUTSIDE[name]
    x = cell.tensor([point], requires_grad=True)
    y = function(x).sum()
    assert math.isnan(y.item())
    y.backward()
    assert x.grad.shape == (1,)


@claim("subgradient-division-by-zero")
def test_masked_after_division(cell):
    x = cell.tensor([1.0, 1.0], requires_grad=True)
    divisor = cell.tensor([0.0, 1.0])
    y = x / divisor
    assert_same(y.detach(), cell.tensor([math.inf, 1.0]), what="the quotient")
    y[divisor != 0].sum().backward()
    assert_same(x.grad, cell.tensor([math.nan, 1.0]), what="gradient")


@claim("subgradient-division-by-zero")
def test_masked_before_division(cell):
    x = cell.tensor([1.0, 1.0], requires_grad=True)
    divisor = cell.tensor([0.0, 1.0])
    mask = divisor != 0
    safe = torch.zeros_like(x)
    safe[mask] = x[mask] / divisor[mask]
    safe.sum().backward()
    assert_same(x.grad, cell.tensor([0.0, 1.0]), what="gradient")


REFUSED = {
    "bernoulli of a number": lambda x: x.bernoulli(0.5),
    "multinomial": lambda x: torch.multinomial(x, 1),
    "binomial": lambda x: torch.binomial(torch.full_like(x, 5.0), x),
}
SAMPLERS = {
    "bernoulli": lambda x: torch.bernoulli(x),
    "Tensor.bernoulli": lambda x: x.bernoulli(),
    "poisson": lambda x: torch.poisson(x),
    "normal of means": lambda x: torch.normal(x, 1.0),
    "normal of deviations": lambda x: torch.normal(0.0, x),
    "normal of both": lambda x: torch.normal(x, x),
}


def refused(sample, x):
    """Whether the backward of ``sample`` raised."""
    try:
        sample(x).sum().backward()
    except RuntimeError as error:
        if not re.search("derivative .* is not implemented|does not require grad", str(error)):
            raise
        return True
    return False


@claim("subgradient-random-refused")
@pytest.mark.parametrize("name", REFUSED)
def test_random_refused(cell, name):
    x = cell.tensor([0.25, 0.75], requires_grad=True)
    assert refused(REFUSED[name], x), f"backward of {name} raised nothing"
    assert x.grad is None
    with torch.no_grad():
        assert REFUSED[name](x).requires_grad is False


@claim("subgradient-random-samplers")
@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler(cell, name):
    x = cell.tensor([0.25, 0.75], requires_grad=True)
    assert refused(SAMPLERS[name], x), f"backward raised nothing and left the gradient {x.grad.tolist()}"
