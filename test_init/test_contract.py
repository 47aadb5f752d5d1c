"""What all functions of torch.nn.init promise, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, relative_bound

FUNCTIONS = [
    pytest.param(name, shape, options, id=name)
    for name, shape, options in [
        ("uniform_", (3, 4), {}),
        ("normal_", (3, 4), {}),
        ("trunc_normal_", (3, 4), {}),
        ("constant_", (3, 4), {"val": 0.3}),
        ("ones_", (3, 4), {}),
        ("zeros_", (3, 4), {}),
        ("eye_", (3, 4), {}),
        ("dirac_", (3, 4, 3), {}),
        ("xavier_uniform_", (3, 4), {}),
        ("xavier_normal_", (3, 4), {}),
        ("kaiming_uniform_", (3, 4), {}),
        ("kaiming_normal_", (3, 4), {}),
        ("orthogonal_", (3, 4), {}),
        ("sparse_", (3, 4), {"sparsity": 0.5}),
    ]
]

GAINS = [
    *((name, None, 1) for name in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid")),
    *((f"conv_transpose{rank}d", None, 1) for rank in (1, 2, 3)),
    ("tanh", None, 5 / 3),
    ("relu", None, math.sqrt(2)),
    ("leaky_relu", None, math.sqrt(2 / 1.0001)),
    ("leaky_relu", 0, math.sqrt(2)),
    ("leaky_relu", 0.5, math.sqrt(2 / 1.25)),
    ("leaky_relu", 2, math.sqrt(2 / 5)),
    ("leaky_relu", -0.5, math.sqrt(2 / 1.25)),
    ("selu", None, 3 / 4),
]


@claim("init-in-place")
@pytest.mark.parametrize(("name", "shape", "options"), FUNCTIONS)
def test_parameter_in_place(cell, name, shape, options):
    parameter = nn.Parameter(cell.tensor(np.full(shape, 9.0)))
    place, version = parameter.data_ptr(), parameter._version
    assert getattr(nn.init, name)(parameter, **options) is parameter
    assert parameter.data_ptr() == place
    assert (to_numpy(parameter) != 9).all()
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad_fn is None
    assert parameter._version > version
    assert torch.is_grad_enabled()


@claim("init-view")
@pytest.mark.parametrize(("name", "shape", "options"), [row for row in FUNCTIONS if row.id != "orthogonal_"])
def test_only_the_view(cell, name, shape, options):
    whole = cell.tensor(np.full((*shape, 2), 9.0))
    getattr(nn.init, name)(whole[..., 0], **options)
    assert (to_numpy(whole[..., 0]) != 9).all()
    assert (to_numpy(whole[..., 1]) == 9).all()


@claim("init-gain")
@pytest.mark.parametrize(("name", "parameter", "gain"), GAINS)
def test_gain(name, parameter, gain):
    assert abs(nn.init.calculate_gain(name, parameter) - gain) <= relative_bound(np.float64(gain), 4)


@claim("init-gain-errors")
@pytest.mark.parametrize(
    ("name", "parameter", "message"),
    [
        ("softmax", None, "Unsupported nonlinearity softmax"),
        ("ReLU", None, "Unsupported nonlinearity ReLU"),
        ("leaky_relu", "0.1", "0.1 not a valid number"),
        ("leaky_relu", True, "True not a valid number"),
    ],
    ids=["unknown", "capitals", "text", "bool"],
)
def test_gain_errors(name, parameter, message):
    with pytest.raises(ValueError, match=message):
        nn.init.calculate_gain(name, parameter)


REFUSED = [
    pytest.param(name, shape, options, message, id=f"{name}-{len(shape)}d" + "".join(f"-{key}" for key in options))
    for name, shape, options, message in [
        *(
            (f"{family}_{kind}_", (5,), {}, "fewer than 2 dimensions")
            for family in ("xavier", "kaiming")
            for kind in ("uniform", "normal")
        ),
        ("kaiming_normal_", (), {}, "fewer than 2 dimensions"),
        ("orthogonal_", (5,), {}, "2 or more dimensions"),
        ("eye_", (5,), {}, "2 dimensions"),
        ("eye_", (2, 2, 2), {}, "2 dimensions"),
        ("sparse_", (2, 2, 2), {"sparsity": 0.5}, "2 dimensions"),
        ("dirac_", (3, 3), {}, "3, 4, or 5 dimensions"),
        ("dirac_", (1, 1, 1, 1, 1, 1), {}, "3, 4, or 5 dimensions"),
        ("dirac_", (4, 2, 3), {"groups": 3}, "divisible by groups"),
        ("kaiming_uniform_", (3, 4), {"mode": "fan_avg"}, "Mode fan_avg not supported"),
        ("kaiming_normal_", (3, 4), {"mode": "fan_avg"}, "Mode fan_avg not supported"),
        ("kaiming_normal_", (3, 4), {"nonlinearity": "softmax"}, "Unsupported nonlinearity softmax"),
    ]
]


@claim("init-refuses")
@pytest.mark.parametrize(("name", "shape", "options", "message"), REFUSED)
def test_refused(cell, name, shape, options, message):
    tensor = cell.tensor(np.full(shape, 9.0))
    before = tensor.clone()
    with pytest.raises(ValueError, match=message):
        getattr(nn.init, name)(tensor, **options)
    assert_same(tensor, before, what="what was refused")


@claim("init-zero-elements")
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_no_elements(cell, name):
    tensor = torch.empty(0, 3, dtype=cell.dtype, device=cell.device.name)
    with pytest.warns(UserWarning, match="zero-element"):
        assert getattr(nn.init, name)(tensor) is tensor
