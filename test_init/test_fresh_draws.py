"""That each element has a number of its own, which no distribution of single elements shows."""

import numpy as np
import pytest
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_uncorrelated
from torchclaims.targets import to_numpy

LAYERS = [
    pytest.param("Conv2d", (5, 1000, 2), "weight", id="Conv2d-weight"),
    pytest.param("Conv2d", (1, 10_000, 1), "bias", id="Conv2d-bias"),
    pytest.param("Linear", (100, 100), "weight", id="Linear-weight"),
    pytest.param("Linear", (1, 10_000), "bias", id="Linear-bias"),
]
FUNCTIONS = [
    *("uniform_", "normal_", "trunc_normal_"),
    *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
]


def assert_fresh(first, second):
    """Asserts that the elements of two equally large samples repeat and follow each other nowhere."""
    values = np.concatenate([first, second])
    # Of 20,000 draws from 2**23 magnitudes or more about 24 coincide.
    distinct = len(np.unique(np.abs(values)))
    assert distinct > 0.99 * len(values), f"only {distinct} of {len(values)} numbers are different"
    for what, pairs in {
        "neighbours": (values[:-1], values[1:]),
        "elements of two samples": (first, second),
        "the halves of a sample": np.split(first, 2),
    }.items():
        assert_uncorrelated(*pairs, what=what)


@claim("init-fresh-draws")
@pytest.mark.parametrize(("name", "sizes", "parameter"), LAYERS)
def test_layers(cell, name, sizes, parameter):
    layers = [getattr(nn, name)(*sizes, device=cell.device.name, dtype=cell.dtype) for _ in range(2)]
    assert_fresh(*(to_numpy(getattr(layer, parameter)).ravel() for layer in layers))


@claim("init-fresh-draws")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(cell, name):
    weights = [cell.tensor(np.zeros((100, 100))) for _ in range(2)]
    for weight in weights:
        getattr(nn.init, name)(weight)
    assert_fresh(*(to_numpy(weight).ravel() for weight in weights))


@claim("init-fresh-draws")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_remainders(cell, name):
    # What is left over after whole vectors is drawn anew. Of 37 draws three coincide less than once in 1e9.
    weight = cell.tensor(np.zeros((1, 37)))
    getattr(nn.init, name)(weight)
    distinct = len(np.unique(np.abs(to_numpy(weight))))
    assert distinct >= 35, f"only {distinct} of 37 numbers are different"
