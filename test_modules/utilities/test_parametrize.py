"""Parametrized tensors, and modules called with other parameters."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.factor


class Scaled(Times):
    def right_inverse(self, y):
        return y / self.factor


class Plus(nn.Module):
    def forward(self, x):
        return x + 1

    def right_inverse(self, y):
        return y - 1


def linear(cell, *values):
    layer = cell.place(nn.Linear(len(values), 1, bias=False))
    layer.weight.data.copy_(cell.tensor([values]))
    return layer


@claim("parametrize-value")
def test_value_and_gradient(cell):
    layer = linear(cell, 2.0, 3.0)
    weight = layer.weight
    assert not parametrize.is_parametrized(layer)
    assert parametrize.register_parametrization(layer, "weight", Times(4)) is layer
    assert parametrize.register_parametrization(layer, "weight", Plus()) is layer
    assert parametrize.is_parametrized(layer)
    assert (parametrize.is_parametrized(layer, "weight"), parametrize.is_parametrized(layer, "bias")) == (True, False)
    assert layer.parametrizations.weight.original is weight
    assert [name for name, _ in layer.named_parameters()] == ["parametrizations.weight.original"]
    # Times has no right inverse and leaves the original; Plus is undone only by assigning.
    original = weight.tolist()[0]
    assert layer.weight.tolist() == [[original[0] * 4 + 1, original[1] * 4 + 1]]
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(cell.tensor([[1.0, 10.0]])).backward()
    assert weight.grad.tolist() == [[4, 40]]
    optimizer.step()
    assert layer.weight.tolist() == [[(original[0] - 4) * 4 + 1, (original[1] - 40) * 4 + 1]]


@claim("parametrize-value")
def test_buffers_and_modules_of_one_class(cell):
    layer, other = linear(cell, 2.0), linear(cell, 2.0)
    layer.register_buffer("scale", cell.tensor([5.0]))
    parametrize.register_parametrization(layer, "scale", Times(2))
    assert layer.scale.tolist() == [10]
    assert [name for name, _ in layer.named_buffers()] == ["parametrizations.scale.original"]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert not parametrize.is_parametrized(other)
    assert isinstance(layer, nn.Linear)


@claim("parametrize-assign")
def test_assigning(cell):
    layer = linear(cell, 2.0)
    parametrize.register_parametrization(layer, "weight", Scaled(4))
    assert layer.weight.tolist() == [[2]]
    assert layer.parametrizations.weight.original.tolist() == [[0.5]]
    parametrize.register_parametrization(layer, "weight", Plus())
    original = layer.parametrizations.weight.original
    layer.weight = cell.tensor([[9.0]])
    assert layer.weight.tolist() == [[9]]
    assert (layer.parametrizations.weight.original is original, original.tolist()) == (True, [[2]])


@claim("parametrize-assign")
def test_assigning_without_a_right_inverse(cell):
    layer = linear(cell, 2.0)
    parametrize.register_parametrization(layer, "weight", Times(4))
    with pytest.raises(RuntimeError, match="does not implement"):
        layer.weight = cell.tensor([[9.0]])
    assert layer.weight.tolist() == [[8]]


class Doubled(nn.Module):
    def forward(self, x):
        return torch.cat([x, x])


class ToDouble(nn.Module):
    def forward(self, x):
        return x.double()


REFUSED = {
    "shape": ("weight", Doubled, "may not change the shape"),
    "dtype": ("weight", ToDouble, "may not change the dtype"),
    "no such name": ("wait", Plus, "does not have a parameter"),
}


@claim("parametrize-checked")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, cell):
    name, kind, message = REFUSED[case]
    layer = linear(cell, 2.0)
    weight = layer.weight
    with pytest.raises(ValueError, match=message):
        parametrize.register_parametrization(layer, name, kind())
    assert (type(layer), layer.weight is weight, weight.tolist()) == (nn.Linear, True, [[2]])
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@claim("parametrize-checked")
def test_unsafe(cell):
    layer = linear(cell, 2.0)
    parametrize.register_parametrization(layer, "weight", Doubled(), unsafe=True)
    assert layer.weight.tolist() == [[2], [2]]


@claim("parametrize-mode")
@pytest.mark.parametrize("training", [True, False])
def test_mode(training, cell):
    layer, first, second = linear(cell, 2.0).train(training), Plus().train(not training), Plus().train(not training)
    parametrize.register_parametrization(layer, "weight", first)
    parametrize.register_parametrization(layer, "weight", second)
    assert (first.training, second.training) == (training, training)
    layer.train(not training)
    assert (first.training, second.training) == (not training, not training)


@claim("parametrize-cached")
def test_cache(cell):
    layer, times = linear(cell, 2.0), Times(4)
    parametrize.register_parametrization(layer, "weight", times)
    times.calls = 0
    assert layer.weight is not layer.weight
    assert times.calls == 2
    with parametrize.cached():
        first = layer.weight
        assert layer.weight is first
        with parametrize.cached():
            assert layer.weight is first
        assert layer.weight is first
    assert times.calls == 3
    layer.parametrizations.weight.original.data.fill_(5)
    assert layer.weight.tolist() == [[20]]
    with parametrize.cached():
        assert layer.weight.tolist() == [[20]]
    assert times.calls == 5


@claim("parametrize-remove")
@pytest.mark.parametrize("leave", [None, True, False], ids=str)
def test_removal(leave, cell):
    layer = linear(cell, 2.0)
    weight = layer.weight
    parametrize.register_parametrization(layer, "weight", Times(4))
    options = {} if leave is None else {"leave_parametrized": leave}
    assert parametrize.remove_parametrizations(layer, "weight", **options) is layer
    assert type(layer) is nn.Linear
    assert (layer.weight is weight, layer.weight.tolist()) == (True, [[2 if leave is False else 8]])
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert not parametrize.is_parametrized(layer)
    with pytest.raises(ValueError, match="does not have a parametrization"):
        parametrize.remove_parametrizations(layer, "weight")


def norm_over_others(v, dim):
    axes = None if dim is None else tuple(axis for axis in range(v.ndim) if axis != dim)
    return np.sqrt((v**2).sum(axes, keepdims=dim is not None))


@claim("parametrize-weight-norm")
@pytest.mark.parametrize("dim", [0, 1, None], ids=str)
@pytest.mark.parametrize("make", [lambda: nn.Linear(3, 4), lambda: nn.Conv2d(2, 3, (2, 3))], ids=["linear", "conv"])
def test_weight_norm(make, dim, cell, rng):
    layer = cell.place(make())
    before = to_numpy(layer.weight)
    assert parametrizations.weight_norm(layer, dim=dim) is layer
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    bound = gamma(60, accumulation_unit(cell)) * np.abs(before)
    assert_within(layer.weight, before, bound, what="weight at first", because="a norm of 18 and a product")
    g.data.copy_(cell.tensor(rng.uniform(0.5, 2.0, tuple(g.shape))))
    v.data.copy_(cell.tensor(rng.normal(size=tuple(v.shape))))
    values = to_numpy(v)
    expected = to_numpy(g) * values / norm_over_others(values, dim)
    bound = gamma(60, accumulation_unit(cell)) * np.abs(expected)
    assert_within(layer.weight, expected, bound, what="weight", because="a norm of 18 and a product")


@claim("parametrize-weight-norm")
def test_weight_norm_default(cell):
    layer = parametrizations.weight_norm(cell.place(nn.Linear(20, 40)))
    shapes = {name: tuple(one.shape) for name, one in layer.named_parameters()}
    assert shapes == {
        "bias": (40,), "parametrizations.weight.original0": (40, 1), "parametrizations.weight.original1": (40, 20),
    }  # fmt: skip


def holder(cell, values):
    module = nn.Module()
    module.weight = nn.Parameter(cell.tensor(values))
    return module


def assert_orthonormal(cell, q):
    values = to_numpy(q)
    rows = values if values.shape[-2] < values.shape[-1] else values.swapaxes(-1, -2)
    product = rows @ rows.swapaxes(-1, -2)
    expected = np.broadcast_to(np.eye(product.shape[-1]), product.shape)
    unit = accumulation_unit(cell)
    assert_within(q @ q.mT if values.shape[-2] < values.shape[-1] else q.mT @ q, expected, 500 * unit, what="product",
                  because="products, exponentials and inverses of 5 x 5 matrices at most")  # fmt: skip
    assert np.abs(product - expected).max() <= 500 * unit


@claim("parametrize-orthogonal")
@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder", None], ids=str)
@pytest.mark.parametrize("trivialization", [True, False])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3), (1, 1)], ids=str)
def test_orthogonal(shape, trivialization, how, cell, rng):
    module = holder(cell, rng.normal(size=shape))
    assert parametrizations.orthogonal(module, orthogonal_map=how, use_trivialization=trivialization) is module
    first = module.weight.detach().clone()
    assert_orthonormal(cell, first)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.3)
    (module.weight * cell.tensor(rng.normal(size=shape))).sum().backward()
    optimizer.step()
    assert_orthonormal(cell, module.weight.detach())
    if shape != (1, 1):
        assert not torch.equal(module.weight, first)


@claim("parametrize-orthogonal-initial")
@pytest.mark.parametrize(
    ("how", "trivialization"),
    [("matrix_exp", True), ("cayley", True), ("householder", True), ("householder", False)],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)], ids=str)
def test_where_orthogonal_begins(shape, how, trivialization, cell, rng):
    tall = max(shape), min(shape)
    values = rng.normal(size=tall)
    q, r = np.linalg.qr(values)
    # The decomposition is unique once the diagonal of r is positive.
    q = q * np.sign(np.diag(r))
    for start in (q, values):
        module = holder(cell, start if shape == tall else start.T)
        parametrizations.orthogonal(module, orthogonal_map=how, use_trivialization=trivialization)
        seen = module.weight if shape == tall else module.weight.mT
        # Of a general matrix each column of Q is fixed up to its sign.
        signs = np.ones(tall[1]) if start is q else np.sign((to_numpy(seen) * q).sum(0))
        condition = np.linalg.cond(values) if start is values else 1
        bound = np.full(tall, 1000 * condition * accumulation_unit(cell))
        assert_within(seen, q * signs, bound, what="Q", because="a QR decomposition of 5 x 3, by its condition")


@claim("parametrize-spectral-norm")
@pytest.mark.parametrize(
    ("make", "front"),
    [(lambda: nn.Linear(3, 4), 0), (lambda: nn.Conv2d(2, 3, 2), 0), (lambda: nn.ConvTranspose2d(3, 2, 2), 1)],
    ids=["linear", "conv", "transposed"],
)
def test_spectral_norm(make, front, cell, rng):
    layer = cell.place(make())
    # With singular values 5, 1, ... one power iteration is worth a factor of 25.
    shape = tuple(layer.weight.shape)
    outputs = shape[front]
    u, _, v = np.linalg.svd(rng.normal(size=(outputs, math.prod(shape) // outputs)), full_matrices=False)
    matrix = u * np.array([5.0, 1.0, 0.5, 0.25][:outputs])[: u.shape[1]] @ v
    moved = matrix.reshape(outputs, *(size for axis, size in enumerate(shape) if axis != front))
    values = np.moveaxis(moved, 0, front)
    layer.weight.data.copy_(cell.tensor(values))
    assert parametrizations.spectral_norm(layer, n_power_iterations=30) is layer
    expected = values / 5
    bound = gamma(200, accumulation_unit(cell)) * np.ones(shape)
    assert_within(layer.weight, expected, bound, what="weight", because="sums of 12 products at most, converged")
    layer.eval()
    state = {name: one.clone() for name, one in layer.state_dict().items()}
    assert_same(layer.weight, layer.weight, what="weight in evaluation")
    for name, one in layer.state_dict().items():
        assert_same(one, state[name], what=name)


@claim("parametrize-spectral-norm")
def test_no_iteration_in_evaluation(cell):
    layer = cell.place(nn.Linear(2, 2))
    layer.weight.data.copy_(cell.tensor([[4.0, 0.0], [0.0, 1.0]]))
    parametrizations.spectral_norm(layer).eval()
    # What the vectors have converged to is far from this matrix's: an iteration would move them.
    layer.parametrizations.weight.original.data.copy_(cell.tensor([[1.0, 2.0], [3.0, 4.0]]))
    state = {name: one.clone() for name, one in layer.state_dict().items()}
    assert_same(layer.weight, layer.weight, what="weight in evaluation")
    for name, one in layer.state_dict().items():
        assert_same(one, state[name], what=name)


@claim("parametrize-spectral-norm")
def test_spectral_norm_of_a_vector(cell):
    module = parametrizations.spectral_norm(holder(cell, [3.0, -4.0]))
    bound = gamma(10, accumulation_unit(cell))
    assert_within(module.weight, np.array([0.6, -0.8]), bound, what="vector", because="a length and a quotient")


@claim("functional-call")
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_other_parameters(fails, cell):
    class Checked(nn.Linear):
        def forward(self, x, *, fail=False):
            if fail:
                raise LookupError("in forward")
            return super().forward(x)

    layer = cell.place(Checked(2, 1))
    layer.weight.data.copy_(cell.tensor([[1.0, 2.0]]))
    layer.bias.data.fill_(3.0)
    before = [(name, id(one), one.tolist()) for name, one in layer.named_parameters()]
    given = {"weight": cell.tensor([[10.0, 100.0]])}
    x = cell.tensor([[1.0, 1.0]])
    if fails:
        with pytest.raises(LookupError, match="in forward"):
            torch.func.functional_call(layer, given, (x,), {"fail": True})
    else:
        assert torch.func.functional_call(layer, given, (x,)).tolist() == [[113]]
        assert torch.func.functional_call(layer, (given, {"bias": cell.tensor([0.0])}), x).tolist() == [[110]]
    assert [(name, id(one), one.tolist()) for name, one in layer.named_parameters()] == before
    assert layer(x).tolist() == [[6]]


@claim("functional-call-gradients")
def test_gradients_of_what_was_given(cell):
    net = cell.place(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    for parameter in net.parameters():
        parameter.data.fill_(2.0)
    given = {name: cell.tensor(to_numpy(one) + 1, requires_grad=True) for name, one in net.named_parameters()}
    kept = given.pop("1.bias")
    cell.run(lambda x: torch.func.functional_call(net, given, x))(cell.tensor([[5.0]])).backward()
    assert {name: one.grad.item() for name, one in given.items()} == {"0.weight": 15, "0.bias": 3, "1.weight": 18}
    assert {name: one.grad is None for name, one in net.named_parameters()} == {
        "0.weight": True, "0.bias": True, "1.weight": True, "1.bias": False,
    }  # fmt: skip
    assert kept.grad is None


@claim("functional-call-buffers")
def test_buffers_change_in_the_dictionary(cell, rng):
    norm = cell.place(nn.BatchNorm1d(2))
    given = {name: one.detach().clone() for name, one in norm.state_dict().items()}
    torch.func.functional_call(norm, given, cell.tensor(rng.normal(3.0, 1.0, (4, 2))))
    assert (norm.running_mean.tolist(), norm.num_batches_tracked.item()) == ([0, 0], 0)
    assert given["running_mean"].all()
    assert not torch.equal(given["running_var"], norm.running_var)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([2.0]))
        self.b = self.a

    def forward(self, x):
        return self.a * 10 + self.b * x


@claim("functional-call-ties")
@pytest.mark.parametrize("name", ["a", "b"])
def test_ties(name, cell):
    module, x = cell.place(Tied()), cell.tensor([1.0])
    given = {name: cell.tensor([5.0])}
    assert torch.func.functional_call(module, given, x).tolist() == [55]
    apart = torch.func.functional_call(module, given, x, tie_weights=False)
    assert apart.tolist() == [52 if name == "a" else 25]
    same = cell.tensor([3.0])
    assert torch.func.functional_call(module, {"a": same, "b": same}, x).tolist() == [33]
    with pytest.raises(ValueError, match="tied"):
        torch.func.functional_call(module, {"a": cell.tensor([1.0]), "b": cell.tensor([2.0])}, x)
    assert module.a is module.b


@claim("functional-call-distinct")
@pytest.mark.parametrize("sequence", [tuple, list])
@pytest.mark.parametrize("second", [3.0, 2.0], ids=["unlike", "alike"])
def test_a_name_in_two_dicts(sequence, second, cell):
    layer, x = linear(cell, 2.0), cell.tensor([[1.0]])
    before = layer(x).tolist()
    first = {"weight": cell.tensor([[2.0]])}
    twice = {"weight": first["weight"] if second == 2.0 else cell.tensor([[second]])}
    with pytest.raises(ValueError, match=r"'weight'\W* appeared in multiple dictionaries"):
        torch.func.functional_call(layer, sequence([first, twice]), x)
    assert layer(x).tolist() == before


@claim("functional-call-strict")
@pytest.mark.parametrize(
    ("names", "message"),
    [(["weight"], r"Missing key\(s\): 'bias'"), (["weight", "bias", "other"], r"Unexpected key\(s\): 'other'")],
    ids=["missing", "unexpected"],
)
def test_strict(names, message, cell):
    layer, x = linear(cell, 2.0), cell.tensor([[1.0]])
    layer.bias = nn.Parameter(cell.tensor([0.0]))
    given = {name: cell.tensor([[1.0]]) if name == "weight" else cell.tensor([1.0]) for name in names}
    with pytest.raises(RuntimeError, match=message):
        torch.func.functional_call(layer, given, x, strict=True)
    assert layer(x).tolist() == [[2]]
    given = {"weight": cell.tensor([[1.0]]), "bias": cell.tensor([1.0])}
    assert torch.func.functional_call(layer, given, x, strict=True).tolist() == [[2]]
