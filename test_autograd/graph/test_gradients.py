"""What backward and grad take and give."""

import numpy as np
import pytest
import torch

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings, sum_bound


@claim("grad-reuse-sums")
@pytest.mark.parametrize("uses", [1, 2, 3, 17])
def test_reused(cell, rng, uses):
    w = cell.tensor(rng.normal(size=3), requires_grad=True)
    xs = [cell.tensor(rng.normal(size=3)) for _ in range(uses)]
    sum((w * x).sum() for x in xs).backward()
    values = np.stack([to_numpy(x) for x in xs])
    expected = values.sum(0)
    bound = sum_bound(cell, uses, np.abs(values).sum(0), expected) * (1 if cell.dtype != torch.bfloat16 else uses)
    assert_within(w.grad, expected, bound, what="gradient", because=f"a sum over {uses} uses")


@claim("grad-backward-inputs")
def test_backward_by_inputs(cell):
    a, b = (cell.tensor([value], requires_grad=True) for value in (2.0, 3.0))
    c = a * b
    (c * c).backward(inputs=[a, c])
    assert a.grad.item() == 36
    assert b.grad is None
    assert c.grad.item() == 12
    (a * b).backward(inputs=b)
    assert (a.grad.item(), b.grad.item()) == (36, 2)
    (a * b).backward(inputs=[a])
    assert (a.grad.item(), b.grad.item()) == (39, 2), "what is there is added to"
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (a * b).backward(inputs=[])


@claim("grad-nonscalar")
def test_several_elements(cell):
    x = cell.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        torch.autograd.grad(x * 2, x)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(cell.tensor([1.0, 1.0, 1.0]))
    assert x.grad is None
    (x[:1] * 2).backward()
    assert x.grad.tolist() == [2, 0]
    (x * 2).backward(cell.tensor([3.0, -1.0]))
    assert x.grad.tolist() == [8, -2]
    with pytest.raises(RuntimeError, match="does not require grad"):
        x.detach().sum().backward()


@claim("grad-vector-product")
def test_vector_jacobian_product(cell, rng):
    x = cell.tensor(rng.uniform(0.5, 2, 4), requires_grad=True)
    matrix = cell.tensor(rng.normal(size=(3, 4)))
    u, v = cell.tensor(rng.normal(size=3)), cell.tensor(rng.normal(size=4))
    (gradient,) = torch.autograd.grad([matrix @ x, x * x], [x], [u, v])
    terms = np.concatenate([to_numpy(matrix) * to_numpy(u)[:, None], [2 * to_numpy(x) * to_numpy(v)]])
    expected = terms.sum(0)
    bound = sum_bound(cell, 6, np.abs(terms).sum(0), expected) + roundings(cell, 3, np.abs(terms).sum(0))
    assert_within(gradient, expected, bound, what="product", because="a sum of four terms")
    assert x.grad is None
    assert gradient.requires_grad is False


@claim("grad-unused")
def test_unused(cell):
    x, unused = cell.tensor([3.0], requires_grad=True), cell.tensor([1.0, 2.0], requires_grad=True)

    def gradients(**options):
        return torch.autograd.grad(x * x, [x, unused], **options)

    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        gradients()
    assert gradients(allow_unused=True)[1] is None
    assert gradients(allow_unused=True)[0].item() == 6
    assert_same(gradients(materialize_grads=True)[1], cell.tensor([0.0, 0.0]), what="gradient of an unused input")
    with pytest.raises(ValueError, match="materialize_grads"):
        gradients(materialize_grads=True, allow_unused=False)


@claim("grad-batched")
def test_batch_of_products(cell, rng):
    x = cell.tensor(rng.uniform(0.5, 2, 3), requires_grad=True)
    vectors = cell.tensor(rng.normal(size=(5, 3)))
    (rows,) = torch.autograd.grad(x * x, x, vectors, is_grads_batched=True)
    expected = 2 * to_numpy(vectors) * to_numpy(x)
    assert_within(rows, expected, roundings(cell, 4, expected), what="rows", because="two products, added")


@claim("grad-create-graph")
def test_higher_derivatives(cell, rng):
    x = cell.tensor(rng.uniform(0.5, 2, 3), requires_grad=True)
    y, values = (x**4).sum(), to_numpy(x)
    for order, (factor, power) in enumerate([(4, 3), (12, 2), (24, 1)], 1):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        expected = factor * values**power
        bound = roundings(cell, 8 * order, expected)
        assert_within(y, expected, bound, what=f"derivative {order}", because="powers and products")
        assert y.requires_grad
    square = x.square().sum()
    torch.autograd.grad(square, x, create_graph=True)
    torch.autograd.grad(square, x)
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(square, x)


@claim("grad-retain-grad")
def test_retain_grad(cell):
    x = cell.tensor([3.0], requires_grad=True)
    y = x * 2
    assert (x.retains_grad, y.retains_grad) == (False, False)
    assert y.retain_grad() is None
    x.retain_grad()
    assert (x.retains_grad, y.retains_grad) == (False, True)
    (y * y).backward()
    assert (y.grad.item(), x.grad.item()) == (12, 24)
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        x.detach().retain_grad()


COMPLEX = {
    "c * z": (lambda z: (z * (2 - 3j)).real.sum(), lambda z: np.full_like(z, 2 + 3j)),
    "imaginary part": (lambda z: z.imag.sum(), lambda z: np.full_like(z, 1j)),
    "squared size": (lambda z: (z * z.conj()).real.sum(), lambda z: 2 * z),
    "size": (lambda z: z.abs().sum(), lambda z: z / np.abs(z)),
    "real part of the square": (lambda z: (z * z).real.sum(), lambda z: 2 * z.conj()),
    "real part of exp": (lambda z: z.exp().real.sum(), lambda z: np.exp(z).conj()),
    "angle": (lambda z: z.angle().sum(), lambda z: 1j * z / np.abs(z) ** 2),
}


@claim("grad-complex")
@pytest.mark.parametrize("name", COMPLEX)
def test_complex(cell, rng, name):
    function, derivative = COMPLEX[name]
    parts = cell.tensor(rng.uniform(0.5, 1.5, (2, 5)) * rng.choice([-1, 1], (2, 5)))
    z = torch.complex(parts[0], parts[1]).requires_grad_()
    function(z).backward()
    pair = to_numpy(parts)
    expected = derivative(pair[0] + 1j * pair[1])
    for part, wanted in ((z.grad.real, expected.real), (z.grad.imag, expected.imag)):
        bound = roundings(cell, 16, np.abs(expected) * 4)
        assert_within(part, wanted, bound, what=name, because="16 roundings of complex products")
