"""Hooks of tensors and of the graph's nodes: the order in which they fire, what they see and change."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings


@claim("hook-register-hook-example")
def test_a_hook_doubles_the_gradient(cell):
    v = cell.tensor([0.0, 0.0, 0.0], requires_grad=True)
    handle = v.register_hook(lambda grad: grad * 2)
    v.backward(cell.tensor([1.0, 2.0, 3.0]))
    assert v.grad.tolist() == [2, 4, 6]
    handle.remove()
    v.backward(cell.tensor([1.0, 2.0, 3.0]))
    assert v.grad.tolist() == [3, 6, 9]


@claim("hook-tensor-order")
def test_order_at_an_inner_tensor(cell):
    log, x = [], cell.tensor([1.0], requires_grad=True)
    y = x * 3
    node = y.grad_fn
    node.register_hook(lambda into, out: log.append(("post1", into[0].tolist(), out[0].tolist())))
    node.register_prehook(lambda out: log.append(("pre1", out[0].tolist())))
    y.register_hook(lambda grad: log.append(("tensor1", grad.tolist())))
    node.register_prehook(lambda out: (out[0] * 10,))
    node.register_prehook(lambda out: log.append(("pre3", out[0].tolist())))
    y.register_hook(lambda grad: grad + 1)
    y.register_hook(lambda grad: log.append(("tensor3", grad.tolist())))
    node.register_hook(lambda into, out: (into[0] * 100, None))
    node.register_hook(lambda into, out: log.append(("post3", into[0].tolist(), out[0].tolist())))
    y.backward(cell.tensor([1.0]))
    assert log == [
        ("tensor1", [1]), ("tensor3", [2]), ("pre1", [2]), ("pre3", [20]), ("post1", [60], [20]),
        ("post3", [6000], [20]),
    ]  # fmt: skip
    assert x.grad.tolist() == [6000]


@claim("hook-tensor-order")
def test_order_at_a_leaf(cell):
    log, x = [], cell.tensor([1.0], requires_grad=True)

    def accumulated():
        return None if x.grad is None else x.grad.tolist()

    x.register_post_accumulate_grad_hook(lambda leaf: log.append(("after1", leaf is x, accumulated())))
    for number in (1, 2):
        x.register_hook(lambda grad, number=number: log.append((f"tensor{number}", accumulated())) or grad * 2)
    x.register_post_accumulate_grad_hook(lambda leaf: log.append(("after2", leaf is x, accumulated())))
    (x * 3).backward(cell.tensor([10.0]))
    assert log == [("tensor1", None), ("tensor2", None), ("after1", True, [120]), ("after2", True, [120])]
    log.clear()
    (x * 3).backward(cell.tensor([1.0]))
    assert log == [("tensor1", [120]), ("tensor2", [120]), ("after1", True, [132]), ("after2", True, [132])]


@claim("hook-tensor-order")
def test_a_tensor_used_twice_sees_the_sum_once(cell):
    log, x = [], cell.tensor([1.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda grad: log.append(grad.tolist()))
    (y * 2 + y * 5).backward(cell.tensor([10.0]))
    assert log == [[70]]


@claim("hook-tensor-inplace-binding")
def test_a_hook_is_bound_to_the_value_that_it_was_given(cell):
    seen = {}
    t = cell.tensor(1.0, requires_grad=True).sin()
    t.register_hook(lambda grad: seen.update(before=grad))
    t.cos_()
    t.register_hook(lambda grad: seen.update(after=grad))
    t.backward()
    assert seen["after"].item() == 1
    expected = np.array(-math.sin(math.sin(1.0)))
    # sin of a sine that was rounded: two evaluations to within a few units in the last place.
    bound = roundings(cell, 8, np.array(1.0))
    assert_within(seen["before"], expected, bound, what="gradient with respect to the sine", because="two sines")


@claim("hook-post-accumulate-leaf")
def test_a_hook_after_accumulation_needs_a_leaf(cell):
    x = cell.tensor([1.0], requires_grad=True)
    log = []
    for tensor in (x * 2, x.view(1), x.clone()):
        with pytest.raises(RuntimeError, match="cannot be registered on non-leaf"):
            tensor.register_post_accumulate_grad_hook(log.append)
        tensor.backward()
    assert log == []
    with x.register_post_accumulate_grad_hook(lambda leaf: log.append(leaf.grad.tolist())):
        (x * 2).backward()
    (x * 2).backward()
    assert log == [[6]]
    assert x.grad.tolist() == [8]


@claim("hook-post-accumulate-step")
def test_a_parameter_is_stepped_in_the_backward_pass(cell):
    w = nn.Parameter(cell.tensor([4.0, 8.0]))

    def step(leaf):
        with torch.no_grad():
            leaf -= leaf.grad / 2
        leaf.grad = None

    w.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        (w * cell.tensor([2.0, 4.0])).sum().backward()
    assert w.tolist() == [2, 4]
    assert w.grad is None


@claim("hook-tensor-untracked")
def test_a_hook_needs_a_gradient(cell):
    for tensor in (cell.tensor([1.0]), cell.tensor([1.0], requires_grad=True).detach(), torch.ones(1).long()):
        for register in (tensor.register_hook, tensor.register_post_accumulate_grad_hook):
            with pytest.raises(RuntimeError, match="register a hook on a tensor that doesn't require gradient"):
                register(lambda *_: None)


@claim("hook-tensor-replaces")
def test_what_a_hook_returns_goes_on(cell):
    w, x = (cell.tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    y = x * w
    y.register_hook(lambda grad: grad * cell.tensor([10.0, 0.0]))
    y.register_hook(lambda grad: None)
    y.backward(cell.tensor([1.0, 1.0]))
    assert x.grad.tolist() == w.grad.tolist() == [20, 0]


@claim("hook-tensor-replaces")
@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda grad: grad[:1], "has changed the size of value"),
        (lambda grad: 1.0, "expected Variable|expected.*Tensor"),
    ],
    ids=["size", "number"],
)
def test_what_a_hook_may_not_return(result, message, cell):
    x = cell.tensor([2.0, 3.0], requires_grad=True)
    y = x * 2
    y.register_hook(result)
    with pytest.raises((RuntimeError, TypeError), match=message):
        y.sum().backward()
    assert x.grad is None


@claim("hook-tensor-replaces")
def test_hooks_of_retained_gradients_see_the_replacement(cell):
    x = cell.tensor([2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    y.backward()
    assert (y.grad.tolist(), x.grad.tolist()) == ([10], [20])


@claim("hook-tensor-fires")
def test_hooks_of_an_input_of_grad(cell):
    log, x = [], cell.tensor([1.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda grad: log.append("tensor") or grad * 10)
    y.grad_fn.register_hook(lambda *_: log.append("node"))
    y.grad_fn.register_prehook(lambda *_: log.append("node before"))
    (gradient,) = torch.autograd.grad(y * 2, y)
    assert log == ["tensor"]
    assert gradient.tolist() == [20]
    log.clear()
    torch.autograd.grad(y * 2, [y, x])
    assert log == ["tensor", "node before", "node"]


@claim("hook-tensor-fires")
def test_hooks_after_accumulation_need_accumulation(cell):
    log, x = [], cell.tensor([1.0], requires_grad=True)
    x.register_hook(lambda grad: log.append("tensor"))
    x.register_post_accumulate_grad_hook(lambda leaf: log.append("after"))
    torch.autograd.grad(x * 2, x)
    assert log == ["tensor"]
    other = cell.tensor([1.0], requires_grad=True)
    (x * other).backward(inputs=[other])
    assert log == ["tensor"]
    (x * other).backward(inputs=[x])
    assert log == ["tensor", "tensor", "after"]


@claim("hook-multi-grad")
def test_a_hook_of_several_tensors(cell):
    tensors = [cell.tensor([float(number)], requires_grad=True) for number in range(4)]
    log = []
    handle = torch.autograd.graph.register_multi_grad_hook(
        tensors, lambda grads: log.append([None if grad is None else grad.tolist() for grad in grads])
    )
    (tensors[0] * 2 + tensors[2] * 5).backward()
    assert log == [[[2], None, [5], None]]
    (tensors[0] * 2 + tensors[1] * 3 + tensors[3] * 7).backward()
    assert log[1:] == [[[2], [3], None, [7]]]
    handle.remove()
    (tensors[0] * 2).backward()
    assert len(log) == 2


@claim("hook-multi-grad-any")
def test_a_hook_of_the_first_of_several_tensors(cell):
    tensors = [cell.tensor([float(number)], requires_grad=True) for number in range(3)]
    log = []
    handle = torch.autograd.graph.register_multi_grad_hook(tensors, lambda grad: log.append(grad.tolist()), mode="any")
    for _ in range(2):
        (tensors[0] * 2 + tensors[2] * 2).backward()
    assert log == [[2], [2]]
    handle.remove()
    tensors[0].backward()
    assert len(log) == 2


@claim("hook-tensor-remove")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=repr)
@pytest.mark.parametrize("where", ["tensor", "node", "node before", "after"])
def test_remove(where, order, cell):
    x, log = cell.tensor([1.0], requires_grad=True), []
    y = x * 2
    register = {
        "tensor": x.register_hook, "node": y.grad_fn.register_hook, "node before": y.grad_fn.register_prehook,
        "after": x.register_post_accumulate_grad_hook,
    }[where]  # fmt: skip
    handles = [register(lambda *_, number=number: log.append(number)) for number in range(3)]
    left = [0, 1, 2]
    for number in order:
        handles[number].remove()
        handles[number].remove()
        left.remove(number)
        y.backward(retain_graph=True)
        assert log == left
        log.clear()


@claim("hook-tensor-not-copied")
def test_hooks_stay_with_their_tensor(cell):
    x, log = cell.tensor([1.0], requires_grad=True), []
    x.register_hook(lambda grad: log.append(to_numpy(grad)))
    for other in (x.detach().requires_grad_(), x.data.requires_grad_(), nn.Parameter(x)):
        (other * 2).backward()
    assert log == []
    x.clone().backward()
    assert len(log) == 1
