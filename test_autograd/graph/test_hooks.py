"""Hooks on tensors and nodes: what they see, what they replace, and in which order they run."""

import pytest
import torch
from torch.autograd import graph

from torchclaims import claim
from torchclaims.tolerance import assert_same


@pytest.fixture
def x(cell):
    return cell.tensor([2.0, 3.0], requires_grad=True)


@claim("graph-node")
def test_node(x):
    y = x.clone().exp()
    node = y.grad_fn
    assert isinstance(node, graph.Node)
    assert node.name() == "ExpBackward0"
    ((inner, index),) = node.next_functions
    assert (inner.name(), index) == ("CloneBackward0", 0)
    ((leaf, _),) = inner.next_functions
    assert "AccumulateGrad" in leaf.name()
    assert leaf.variable is x
    node.metadata["mark"] = 7
    assert y.grad_fn.metadata["mark"] == 7
    assert (x * x).grad_fn.metadata == {}


@claim("graph-node")
def test_node_hooks(x):
    y = x.clone()
    seen = []

    def post(inputs, outputs):
        seen.append((inputs[0].tolist(), outputs[0].tolist()))
        return (outputs[0] * 2,)

    handle = y.grad_fn.register_hook(post)
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [2, 2]
    assert seen == [([1, 1], [1, 1])]
    handle.remove()
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [3, 3]
    handle = y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 5,))
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [8, 8]
    handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [9, 9]


@claim("graph-gradient-edge")
def test_gradient_edge(x):
    y = x * 2
    z = (y * y).sum()
    for tensor in (x, y):
        edge = graph.get_gradient_edge(tensor)
        (by_tensor,) = torch.autograd.grad(z, tensor, retain_graph=True)
        (by_edge,) = torch.autograd.grad(z, edge, retain_graph=True)
        assert_same(by_edge, by_tensor, what="gradient by the edge")
    assert by_edge.tolist() == [8, 12]
    assert edge.node is y.grad_fn


@claim("graph-multi-grad-hook")
def test_multi_grad_hook(cell, x):
    other = cell.tensor([1.0, 1.0], requires_grad=True)
    c, d = x * other, x * other
    calls = []
    handle = graph.register_multi_grad_hook(
        (x, other, c, d), lambda grads: calls.append([g is not None for g in grads])
    )
    c.sum().backward(retain_graph=True)
    assert calls == [[True, True, True, False]]
    c.sum().backward(inputs=(x,), retain_graph=True)
    assert calls[1:] == [[True, False, True, False]]
    handle.remove()
    c.sum().backward()
    assert len(calls) == 2


@claim("tensor-hook")
def test_tensor_hooks(cell, x):
    y = x * 3
    seen = []
    first = y.register_hook(lambda g: seen.append(("first", g.tolist())) or g * 2)
    y.register_hook(lambda g: seen.append(("second", g.tolist())))
    (y * cell.tensor([1.0, 10.0])).sum().backward(retain_graph=True)
    assert seen == [("first", [1, 10]), ("second", [2, 20])]
    assert x.grad.tolist() == [6, 60]
    first.remove()
    y.sum().backward(retain_graph=True)
    assert seen[2:] == [("second", [1, 1])]
    x.grad = None
    x.register_hook(lambda g: g + 1)
    (torch.autograd.grad(y.sum(), x))
    (y.sum() if False else (x * 3).sum()).backward()
    assert x.grad.tolist() == [4, 4]


@claim("tensor-hook")
def test_tensor_hook_sees_the_sum(x):
    seen = []
    y = x * 1
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 2 + y * 5).sum().backward()
    assert seen == [[7, 7]]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        x.detach().register_hook(print)


@claim("tensor-hook-before-write")
def test_hook_and_write(cell):
    leaf = cell.tensor([0.5], requires_grad=True)
    t = leaf * 1
    seen = {}
    t.register_hook(lambda g: seen.setdefault("before", g.item()) and None)
    t.mul_(4)
    t.register_hook(lambda g: seen.setdefault("after", g.item()) and None)
    (t * 3).backward()
    assert seen == {"after": 3, "before": 12}


@claim("tensor-hook-post-accumulate")
def test_post_accumulate(x):
    seen = []

    def step(parameter):
        seen.append((parameter is x, parameter.grad.tolist(), torch.is_grad_enabled()))
        parameter.add_(parameter.grad, alpha=-0.5)
        parameter.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert seen == [(True, [2, 2], False)]
    assert x.tolist() == [1, 2]
    assert x.grad is None
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)


@claim("hook-order")
def test_order(x):
    order = []

    def say(what):
        return lambda *_: order.append(what)

    y = x * 2
    accumulate = y.grad_fn.next_functions[0][0]
    y.grad_fn.register_hook(say("node after"))
    y.grad_fn.register_prehook(say("node before"))
    y.grad_fn.register_prehook(say("node before again"))
    y.register_hook(say("tensor"))
    y.register_hook(say("tensor again"))
    accumulate.register_hook(say("leaf's node after"))
    x.register_post_accumulate_grad_hook(lambda p: order.append(f"accumulated {p.grad.tolist()[0]:g}"))
    accumulate.register_prehook(say("leaf's node before"))
    x.register_hook(say("leaf"))
    y.sum().backward()
    assert order == [
        "tensor",
        "tensor again",
        "node before",
        "node before again",
        "node after",
        "leaf",
        "leaf's node before",
        "accumulated 2",
        "leaf's node after",
    ]


@claim("hook-order-retained")
@pytest.mark.parametrize("retained", ["first", "last"])
def test_retained_gradient_and_pre_hooks(x, retained):
    y = x * 2
    seen = []
    if retained == "first":
        y.retain_grad()
    y.register_hook(lambda gradient: seen.append(y.grad is None) or gradient * 3)
    y.grad_fn.register_prehook(lambda gradients: seen.append(y.grad is None) or (gradients[0] * 5,))
    y.grad_fn.register_hook(lambda *_: seen.append(y.grad is None))
    if retained == "last":
        y.retain_grad()
    y.sum().backward()
    assert x.grad.tolist() == [30, 30]
    assert seen[0], "the gradient was kept before the tensor's hook ran"
    assert not seen[2], "the gradient was not kept when the node had run"
    assert seen[1], f"the gradient, {y.grad.tolist()}, was kept before the node's pre-hook ran"
    assert y.grad.tolist() == [15, 15]
