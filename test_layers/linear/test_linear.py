"""What a linear layer computes, forward and backward."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import linear, linear_backward
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, kernel_sum_bound

# (leading dimensions, in_features, out_features, bias)
CASES = {
    "a vector": ((), 5, 3, True),
    "a vector without bias": ((), 5, 3, False),
    "a batch": ((4,), 5, 3, True),
    "without bias": ((4,), 5, 3, False),
    "a batch of one": ((1,), 7, 8, True),
    "one feature in": ((3,), 1, 4, True),
    "one feature out": ((9,), 16, 1, True),
    "one long row, one feature out": ((1,), 37, 1, True),
    "a long vector, one feature out": ((), 37, 1, True),
    "a sequence": ((2, 3), 8, 7, True),
    "a sequence without bias": ((2, 3), 8, 7, False),
    "images": ((2, 1, 3), 9, 15, True),
    "seventeen": ((17,), 17, 17, True),
    "long sums": ((2,), 100, 2, True),
    "long sums, more rows": ((2, 3), 100, 6, True),
    "many rows": ((33,), 31, 16, True),
    "no samples": ((0,), 4, 3, True),
    "no features in": ((2,), 0, 3, True),
}
BECAUSE = "a sum of products in any order, rounded once"


def make(cell, features, out, bias):
    if features:
        return cell.place(nn.Linear(features, out, bias=bias))
    with pytest.warns(UserWarning, match="zero-element"):
        return cell.place(nn.Linear(features, out, bias=bias))


@claim("linear-formula")
@pytest.mark.parametrize(("lead", "features", "out", "bias"), CASES.values(), ids=CASES)
def test_forward(cell, rng, lead, features, out, bias):
    layer = make(cell, features, out, bias)
    x = cell.tensor(rng.normal(size=(*lead, features)))
    factors = [to_numpy(x), to_numpy(layer.weight), to_numpy(layer.bias) if bias else None]
    expected = linear(*factors)
    magnitude = linear(*(None if factor is None else abs(factor) for factor in factors))
    seen = cell.run(layer)(x)
    assert seen.dtype == cell.dtype
    assert_within(
        seen, expected, kernel_sum_bound(cell, features + 1, magnitude, expected), what="output", because=BECAUSE
    )


@claim("linear-gradients")
@pytest.mark.parametrize(("lead", "features", "out", "bias"), CASES.values(), ids=CASES)
def test_gradients(cell, rng, lead, features, out, bias):
    layer = make(cell, features, out, bias)
    x = cell.tensor(rng.normal(size=(*lead, features)), requires_grad=True)
    grad = cell.tensor(rng.normal(size=(*lead, out)))
    cell.run(layer)(x).backward(grad)
    factors = [to_numpy(tensor) for tensor in (grad, x, layer.weight)]
    expected, magnitudes = linear_backward(*factors), linear_backward(*map(abs, factors))
    rows = int(np.prod(lead))
    seen = {"x": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad if bias else None}
    terms = (out, rows, rows)
    for (name, gradient), wanted, magnitude, count in zip(seen.items(), expected, magnitudes, terms, strict=True):
        if bias or name != "bias":
            assert gradient is not None, f"no gradient of {name}"
            bound = kernel_sum_bound(cell, count, magnitude, wanted)
            assert_within(gradient, wanted, bound, what=f"gradient of {name}", because=BECAUSE)


@claim("linear-parameter-shapes")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_parameter_shapes(bias):
    layer = nn.Linear(5, 3, bias=bias, device="meta")
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == ({"weight": (3, 5), "bias": (3,)} if bias else {"weight": (3, 5)})
    assert bias or layer.bias is None


@claim("linear-features-refused")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 6), r"cannot be multiplied \(2x6 and 4x3\)"),
        ((2, 5, 6), r"\(10x6 and 4x3\)"),
        ((3,), r"and 4x3|size"),
    ],
    ids=["batch", "sequence", "vector"],
)
def test_other_features(cell, shape, message):
    layer = cell.place(nn.Linear(4, 3))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        layer(torch.ones(shape, device=cell.device.name, dtype=cell.dtype))
    assert_same(dict(layer.state_dict()), before, what="parameters")
