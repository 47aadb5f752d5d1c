"""Bilinear, Identity, and what F.linear takes beside a dense matrix."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, uniform
from torchclaims.reference.convolution import linear
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, kernel_sum_bound, sum_bound

BECAUSE = "a sum of products in any order, rounded once"

# (leading dimensions, in1_features, in2_features, out_features, bias)
CASES = {
    "vectors": ((), 3, 4, 5, True),
    "a batch": ((4,), 3, 4, 5, True),
    "without bias": ((4,), 3, 4, 5, False),
    "a sequence": ((2, 3), 4, 3, 2, True),
    "three more dimensions": ((2, 1, 2), 2, 3, 2, True),
    "one sample": ((1,), 3, 4, 5, True),
    "one feature each": ((3,), 1, 1, 1, True),
    "one out": ((2,), 7, 9, 1, True),
    "wide": ((2,), 15, 17, 3, True),
    "no samples": ((0,), 3, 4, 5, True),
}
every_case = pytest.mark.parametrize(("lead", "first", "second", "out", "bias"), CASES.values(), ids=CASES)


def bilinear(x1, x2, weight, bias):
    result = np.einsum("...i,oij,...j->...o", x1, weight, x2)
    return result if bias is None else result + bias


def setting(cell, rng, lead, first, second, out, bias):
    layer = cell.place(nn.Bilinear(first, second, out, bias))
    inputs = [cell.tensor(rng.normal(size=(*lead, size)), requires_grad=True) for size in (first, second)]
    return layer, inputs, [None if t is None else to_numpy(t) for t in (*inputs, layer.weight, layer.bias)]


@claim("bilinear-formula")
@every_case
def test_forward(cell, rng, lead, first, second, out, bias):
    layer, inputs, factors = setting(cell, rng, lead, first, second, out, bias)
    expected = bilinear(*factors)
    magnitude = bilinear(*(None if factor is None else abs(factor) for factor in factors))
    # Each product has three factors: two roundings.
    bound = sum_bound(cell, 2 * first * second + 3, magnitude, expected)
    assert_within(cell.run(layer)(*inputs), expected, bound, what="output", because=BECAUSE)


@claim("bilinear-gradients")
@every_case
def test_gradients(cell, rng, lead, first, second, out, bias):
    layer, inputs, (x1, x2, weight, _) = setting(cell, rng, lead, first, second, out, bias)
    grad = cell.tensor(rng.normal(size=(*lead, out)))
    cell.run(layer)(*inputs).backward(grad)
    given = to_numpy(grad)
    lead_axes = tuple(range(given.ndim - 1))
    rows = [array.reshape(-1, array.shape[-1]) for array in (given, x1, x2)]

    def gradients(g, a, b, w):
        flat = [array.reshape(rows[0].shape[0], array.shape[-1]) for array in (g, a, b)]
        return (
            np.einsum("...o,oij,...j->...i", g, w, b),
            np.einsum("...o,oij,...i->...j", g, w, a),
            np.einsum("no,ni,nj->oij", *flat),
            g.sum(lead_axes),
        )

    expected = gradients(given, x1, x2, weight)
    magnitudes = gradients(*map(abs, (given, x1, x2, weight)))
    count = rows[0].shape[0]
    terms = (out * second, out * first, count, count)
    seen = [inputs[0].grad, inputs[1].grad, layer.weight.grad, layer.bias.grad if bias else None]
    names = ("first input", "second input", "weight", "bias")
    for name, gradient, wanted, magnitude, number in zip(names, seen, expected, magnitudes, terms, strict=True):
        if bias or name != "bias":
            assert gradient is not None, f"no gradient of {name}"
            bound = sum_bound(cell, 2 * number + 3, magnitude, wanted)
            assert_within(gradient, wanted, bound, what=f"gradient of {name}", because=BECAUSE)


@claim("bilinear-parameters")
def test_parameters():
    layer = nn.Bilinear(2, 3, 4, device="meta")
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"weight": (4, 2, 3), "bias": (4,)}
    assert repr(layer) == "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)"
    without = nn.Bilinear(2, 3, 4, False, "meta", torch.float64)
    assert without.bias is None
    assert [name for name, _ in without.named_parameters()] == ["weight"]
    assert (without.weight.device.type, without.weight.dtype) == ("meta", torch.float64)
    assert (without.in1_features, without.in2_features, without.out_features) == (2, 3, 4)
    assert repr(without) == "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=False)"


@claim("bilinear-parameters")
@pytest.mark.parametrize("parameter", ["weight", "bias"])
@pytest.mark.parametrize("reset", [False, True], ids=["made", "reset"])
def test_initial_values(cell, parameter, reset):
    def draw():
        layer = nn.Bilinear(*((16, 25, 50) if parameter == "weight" else (16, 2, 20_000)), device=cell.device.name)
        if reset:
            with torch.no_grad():
                getattr(layer, parameter).zero_()
            layer.reset_parameters()
        return getattr(layer, parameter).detach()

    assert_follows(draw, uniform(-0.25, 0.25), what=parameter)


@claim("bilinear-refused")
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((5, 3), (5, 3), "input1 size does not match weight size: got 3 but expected 2"),
        ((5, 2), (5, 4), "input2 size does not match weight size: got 4 but expected 3"),
        ((5, 2), (6, 3), "batch dimensions do not match at dim 0: got 5 and 6"),
        ((5, 2), (3,), "input dimensions do not match: got 2 and 1"),
    ],
    ids=["first", "second", "batch", "dimensions"],
)
def test_refused(first, second, message):
    with pytest.raises(RuntimeError, match=message):
        nn.Bilinear(2, 3, 4)(torch.ones(first), torch.ones(second))


@claim("bilinear-features-positive")
def test_no_features():
    with pytest.raises(ValueError, match=r"in1_features must be > 0, but got \(in1_features=0\)"):
        nn.Bilinear(0, 2, 3)
    assert nn.Bilinear(1, 2, 3).weight.abs().max() <= 1


@claim("identity-object")
def test_identity():
    layer = nn.Identity(54, unused_argument1=0.1, unused_argument2=False)
    for thing in (torch.randn(3, 2), torch.tensor(1), [torch.ones(1)], None):
        assert layer(thing) is thing
    assert list(layer.state_dict()) == []
    assert repr(layer) == "Identity()"


LEADS = {"1-D": (), "2-D": (4,), "3-D": (2, 3), "4-D": (2, 1, 3)}


def check_vector(cell, rng, lead, bias):
    x, weight = cell.tensor(rng.normal(size=(*lead, 5))), cell.tensor(rng.normal(size=5))
    shift = cell.tensor(0.5) if bias else None
    out = cell.run(nn.functional.linear)(x, weight, shift)
    factors = [to_numpy(x), to_numpy(weight)[None], to_numpy(shift).reshape(1) if bias else None]
    expected = linear(*factors)[..., 0]
    magnitude = linear(*(None if factor is None else abs(factor) for factor in factors))[..., 0]
    parts = 0 if lead else 5  # up to 2.6 a dot product of two vectors was added up in half precision
    bound = kernel_sum_bound(cell, 6, magnitude, expected, parts)
    assert_within(out, expected, bound, what="output", because=BECAUSE)


@claim("linear-vector-weight")
@pytest.mark.parametrize("lead", LEADS.values(), ids=LEADS)
def test_vector_weight(cell, rng, lead):
    check_vector(cell, rng, lead, bias=False)


@claim("linear-vector-weight-bias")
@pytest.mark.parametrize("lead", LEADS.values(), ids=LEADS)
def test_vector_weight_and_bias(cell, rng, lead):
    check_vector(cell, rng, lead, bias=True)


@claim("linear-sparse-weight")
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr], ids=str)
def test_sparse_weight(cell, rng, layout):
    values = rng.normal(size=(7, 9)) * (rng.random((7, 9)) < 0.4)
    weight, x = cell.tensor(values), cell.tensor(rng.normal(size=(4, 9)))
    sparse = weight.to_sparse() if layout is torch.sparse_coo else weight.to_sparse_csr()
    factors = [to_numpy(x), to_numpy(weight)]
    expected, magnitude = linear(*factors), linear(*map(abs, factors))
    out = nn.functional.linear(x, sparse)
    assert_within(out, expected, sum_bound(cell, 10, magnitude, expected), what="output", because=BECAUSE)


@claim("linear-arguments")
def test_arguments():
    layer = nn.Linear(2, 3, device="meta")
    assert (layer.in_features, layer.out_features, layer.bias is not None) == (2, 3, True)
    assert repr(layer) == "Linear(in_features=2, out_features=3, bias=True)"
    without = nn.Linear(4, 5, False, "meta", torch.float16)
    assert (without.in_features, without.out_features, without.bias) == (4, 5, None)
    assert (without.weight.device.type, without.weight.dtype) == ("meta", torch.float16)
    assert repr(without) == "Linear(in_features=4, out_features=5, bias=False)"
    lazy = nn.LazyLinear(3, False, "meta", torch.float16)
    assert repr(lazy) == "LazyLinear(in_features=0, out_features=3, bias=False)"
    assert (lazy.weight.device.type, lazy.weight.dtype) == ("meta", torch.float16)


@claim("linear-lazy")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_lazy(cell, rng, bias):
    layer = cell.place(nn.LazyLinear(256, bias))
    names = ["weight", "bias"] if bias else ["weight"]
    assert [name for name, _ in layer.named_parameters()] == names
    layer.reset_parameters()
    assert all(isinstance(parameter, nn.UninitializedParameter) for parameter in layer.parameters())
    x = cell.tensor(rng.normal(size=(2, 3, 9)))
    out = layer(x)
    assert type(layer) is nn.Linear
    assert (layer.in_features, layer.out_features) == (9, 256)
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {"weight": (256, 9)} | ({"bias": (256,)} if bias else {})
    # From U(-1/3, 1/3) the largest of 256 is below 0.31 once in 10 ** 8 runs.
    assert all(0.31 < float(parameter.detach().abs().max()) <= (1 + 1e-6) / 3 for parameter in layer.parameters())
    factors = [to_numpy(x), to_numpy(layer.weight), to_numpy(layer.bias) if bias else None]
    expected = linear(*factors)
    magnitude = linear(*(None if factor is None else abs(factor) for factor in factors))
    assert_within(out, expected, sum_bound(cell, 10, magnitude, expected), what="output", because=BECAUSE)
    assert_same(layer(x), out, what="second output")
