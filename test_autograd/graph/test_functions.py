"""Custom functions: what their context marks and saves, and gradcheck."""

import pytest
import torch
from torch.autograd import Function, gradcheck
from torch.autograd.function import once_differentiable

from torchclaims import claim


def function(forward, backward):
    return type("Custom", (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}).apply


@claim("function-dirty")
@pytest.mark.parametrize("marked", [True, False])
def test_mark_dirty(cell, marked):
    def forward(ctx, x):
        x.data.add_(1)
        if marked:
            ctx.mark_dirty(x)
        return x if marked else x.clone()

    a = cell.tensor([1.0], requires_grad=True).clone()
    b = a * a
    result = function(forward, lambda ctx, gradient: gradient)(a)
    assert (a.item(), a._version) == (2, int(marked))
    assert (result is a) == marked
    if marked:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            b.backward()
    else:
        b.backward()


@claim("function-non-differentiable")
def test_non_differentiable(cell):
    seen = []

    def forward(ctx, x):
        values, index = x.sort()
        rounded = x.round()
        ctx.mark_non_differentiable(index, rounded)
        ctx.save_for_backward(index)
        return values, index, rounded

    def backward(ctx, g_values, g_index, g_rounded):
        seen.append((g_index.tolist(), g_rounded.tolist()))
        (index,) = ctx.saved_tensors
        return torch.zeros_like(g_values).index_add_(0, index, g_values)

    x = cell.tensor([3.0, 1.0, 2.0], requires_grad=True)
    values, index, rounded = function(forward, backward)(x)
    assert [one.requires_grad for one in (values, index, rounded)] == [True, False, False]
    values.backward(cell.tensor([1.0, 2.0, 4.0]))
    assert x.grad.tolist() == [4, 1, 2]
    assert seen == [([0, 0, 0], [0, 0, 0])]


@claim("function-materialize")
@pytest.mark.parametrize("materialize", [None, True, False])
def test_materialize(cell, materialize):
    seen = []

    def forward(ctx, x):
        if materialize is not None:
            ctx.set_materialize_grads(materialize)
        return x * 2, x[:1] * 3

    def backward(ctx, first, second):
        seen.append((first.tolist(), None if second is None else second.tolist()))
        return first * 2

    x = cell.tensor([1.0, 2.0], requires_grad=True)
    function(forward, backward)(x)[0].sum().backward()
    assert seen == [([1, 1], None if materialize is False else [0])]
    assert x.grad.tolist() == [2, 2]


@claim("function-once-differentiable")
@pytest.mark.parametrize("once", [True, False])
def test_once_differentiable(cell, once):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * gradient * x**2

    x = cell.tensor([2.0], requires_grad=True)
    y = function(forward, once_differentiable(backward) if once else backward)(x)
    (first,) = torch.autograd.grad(y * y, x, create_graph=True)
    assert first.item() == 192
    if once:
        with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
            first.backward()
    else:
        assert torch.autograd.grad(first, x)[0].item() == 480


@claim("function-saves-none")
def test_saves_none(cell):
    def forward(ctx, x):
        ctx.save_for_backward(None, x, None)
        return x * 2

    def backward(ctx, gradient):
        nothing, x, again = ctx.saved_tensors
        assert nothing is None
        assert again is None
        return gradient * x

    x = cell.tensor([3.0], requires_grad=True)
    function(forward, backward)(x).backward()
    assert x.grad.item() == 3

    def saving_a_number(ctx, x):
        ctx.save_for_backward(7)
        return x * 2

    with pytest.raises(TypeError, match="save_for_backward can only save variables"):
        function(saving_a_number, backward)(x).backward()


@claim("gradcheck-notices")
@pytest.mark.parametrize("wrong", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck(cell, rng, wrong, fast):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        result = gradient * x.cos()
        return result + torch.tensor([0.0, 0.0, wrong], dtype=x.dtype, device=x.device) * gradient

    x = cell.tensor(rng.uniform(-1, 1, 3), requires_grad=True)
    custom = function(forward, backward)
    assert gradcheck(custom, (x,), raise_exception=False, fast_mode=fast) is (wrong == 0)
    if wrong:
        with pytest.raises(RuntimeError, match=r"Jacobian mismatch|gradcheck"):
            gradcheck(custom, (x,), fast_mode=fast)
    else:
        assert gradcheck(custom, (x,), fast_mode=fast) is True
