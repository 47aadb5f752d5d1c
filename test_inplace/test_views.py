"""Views: writes travel between a base and its views, with their gradients; some writes are refused."""

import pytest
import torch

from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("inplace-view-rebase")
def test_base_written_after_the_view(cell):
    leaf = cell.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = leaf * 1
    view = x[:2]
    x.mul_(3)
    assert_same(view.detach(), cell.tensor([3.0, 6.0]), what="the view")
    (x.sum() + view.sum()).backward()
    assert_same(leaf.grad, cell.tensor([6.0, 6.0, 3.0, 3.0]), what="leaf.grad")


@claim("inplace-view-rebase")
def test_view_written_after_the_base(cell):
    leaf = cell.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = leaf * 2
    view, sibling = x[1:], x[:2]
    view.mul_(5)
    assert_same(x.detach(), cell.tensor([2.0, 20.0, 30.0, 40.0]), what="the base")
    (x + x).sum().backward(retain_graph=True)
    assert_same(leaf.grad, cell.tensor([4.0, 20.0, 20.0, 20.0]), what="the gradient through the base")
    leaf.grad = None
    sibling.sum().backward()
    assert_same(leaf.grad, cell.tensor([2.0, 10.0, 0.0, 0.0]), what="the gradient through the other view")


@claim("inplace-view-rebase")
def test_view_of_a_view_written(cell):
    leaf = cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    x = leaf * 1
    x.t()[1:].view(2, 2)[0].mul_(7)
    x.sum().backward()
    assert_same(leaf.grad, cell.tensor([[1.0, 7.0, 1.0], [1.0, 7.0, 1.0]]), what="leaf.grad")


@claim("inplace-view-rebase")
@pytest.mark.parametrize("disjoint", [True, False], ids=["disjoint", "overlapping"])
def test_write_to_memory_that_another_tensor_uses(cell, disjoint):
    leaf = cell.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = leaf * 1
    left, right = x[:2], x[2:] if disjoint else x[1:]
    left.add_(10)
    right.mul_(3)
    left.sum().backward()
    expected = [1.0, 1.0, 0.0, 0.0] if disjoint else [1.0, 3.0, 0.0, 0.0]
    assert_same(leaf.grad, cell.tensor(expected), what="leaf.grad")


@claim("inplace-view-rebase")
def test_saved_view_is_noticed(cell):
    leaf = cell.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = leaf * 1
    y = x[:2].square().sum()
    # Another part of the same memory: the one count of versions cannot tell them apart.
    x[2:].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert leaf.grad is None


MULTIPLE = {
    "unbind": lambda x: torch.unbind(x),
    "iteration": list,
    "chunk": lambda x: torch.chunk(x, 2),
    "split": lambda x: torch.split(x, [1, 1]),
}


@claim("inplace-multi-output-view")
@pytest.mark.parametrize("how", MULTIPLE)
def test_one_of_several_views_refused(cell, how):
    leaf = cell.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = leaf * 1
    view = MULTIPLE[how](x)[0]
    with pytest.raises(RuntimeError, match=r"is a view and is being modified inplace.*multiple views"):
        view.mul_(2)
    assert_same(x.detach(), leaf.detach(), what="the base after the refusal")
    assert x._version == 0
    x.sum().backward()
    assert_same(leaf.grad, torch.ones_like(leaf), what="the gradient after the refusal")


@claim("inplace-multi-output-view")
@pytest.mark.parametrize("how", MULTIPLE)
def test_one_of_several_views_of_a_constant(cell, how):
    x = cell.tensor([[1.0, 2.0], [3.0, 4.0]])
    MULTIPLE[how](x)[1].mul_(2)
    assert_same(x, cell.tensor([[1.0, 2.0], [6.0, 8.0]]), what="the base")


@claim("inplace-multi-output-view")
def test_single_view_allowed(cell):
    leaf = cell.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = leaf * 1
    x[0].mul_(2)
    x.narrow(0, 1, 1).mul_(3)
    x.sum().backward()
    assert_same(leaf.grad, cell.tensor([[2.0, 2.0], [3.0, 3.0]]), what="leaf.grad")


@claim("inplace-no-grad-view")
@pytest.mark.parametrize("view_of", ["index", "view", "transpose"])
def test_view_made_without_grad_mode(cell, view_of):
    leaf = cell.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = leaf * 1
    with torch.no_grad():
        view = {"index": x[:1], "view": x.view(4), "transpose": x.t()}[view_of]
    with pytest.raises(RuntimeError, match="view was created in no_grad mode"):
        view.mul_(2)
    assert_same(x.detach(), leaf.detach(), what="the base after the refusal")
    assert x._version == 0
    with torch.no_grad():
        view.mul_(2)
    assert x._version == 1
    x.sum().backward()
    assert_same(leaf.grad, torch.ones_like(leaf), what="the gradient, to which the write is unknown")


OVERLAPPING = {
    "add_": lambda x: x.add_(1),
    "mul_": lambda x: x.mul_(2),
    "copy_": lambda x: x.copy_(torch.ones_like(x)),
    "relu_": lambda x: torch.relu_(x),
}


@claim("inplace-expanded-refused")
@pytest.mark.parametrize("how", OVERLAPPING)
def test_expanded_refused(cell, how):
    x = cell.tensor([[1.0], [-2.0]])
    expanded = x.expand(2, 3)
    with pytest.raises(RuntimeError, match=r"unsupported operation.*single memory location"):
        OVERLAPPING[how](expanded)
    assert_same(x, cell.tensor([[1.0], [-2.0]]), what="x after the refusal")
    OVERLAPPING[how](expanded.clone())
    assert_same(x, cell.tensor([[1.0], [-2.0]]), what="x after a write to a clone")


@claim("inplace-expanded-refused")
def test_shifted_overlap_refused(cell):
    x = cell.tensor([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match=r"unsupported operation.*single memory location"):
        x[1:].add_(x[:-1])
    assert_same(x, cell.tensor([1.0, 2.0, 3.0]), what="x after the refusal")
    assert_same(x.add_(x), cell.tensor([2.0, 4.0, 6.0]), what="x added to itself, which overlaps exactly")


@claim("inplace-detach-of-view")
@pytest.mark.parametrize("how", ["index", "transpose"])
def test_view_cannot_be_detached_in_place(cell, how):
    leaf = cell.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = leaf * 1
    view = x[0] if how == "index" else x.t()
    with pytest.raises(RuntimeError, match=r"[Cc]an't detach views in-place"):
        view.detach_()
    assert view.requires_grad
    assert x.requires_grad
    detached = view.detach()
    assert not detached.requires_grad
    assert detached.data_ptr() == view.data_ptr()
    assert x.detach_() is x
    assert x.is_leaf
    assert not x.requires_grad


SETITEMS = {
    "element": (0, [5.0], [10.0, 0.0, 0.0]),
    "slice": (slice(0, 2), [5.0, 7.0], [10.0, 14.0, 0.0]),
    "broadcast": (slice(None), [5.0], [10.0, 10.0, 10.0]),
    "indices": ([2, 0], [5.0, 7.0], [14.0, 0.0, 10.0]),
    "mask": (torch.tensor([True, False, True]), [5.0, 7.0], [10.0, 0.0, 14.0]),
}


@claim("inplace-setitem-records")
@pytest.mark.parametrize("how", SETITEMS)
def test_setitem_records(cell, how):
    index, values, expected = SETITEMS[how]
    weight = cell.tensor(values, requires_grad=True)
    z = cell.tensor([0.0, 0.0, 0.0])
    z[index] = weight * 2 if how != "element" else weight[0] * 2
    assert z.requires_grad
    assert not z.is_leaf
    assert_same(z.detach(), cell.tensor(expected), what="z")
    scale = cell.tensor([1.0, 10.0, 100.0])
    (z * scale).sum().backward()
    gradient = {
        **{"element": [2.0], "slice": [2.0, 20.0], "broadcast": [222.0]},
        **{"indices": [200.0, 2.0], "mask": [2.0, 200.0]},
    }[how]
    assert_same(weight.grad, cell.tensor(gradient), what="the gradient of what was written")


@claim("inplace-never-grows")
@pytest.mark.parametrize(
    ("shape", "other"), [((1, 3, 1), (3, 1, 7)), ((3,), (2, 3)), ((1,), (3,)), ((), (2,))], ids=str
)
@pytest.mark.parametrize("operation", ["add", "mul"])
def test_operand_never_grows(cell, operation, shape, other):
    x, y = torch.ones(shape, device=cell.device.name, dtype=cell.dtype), torch.full(other, 2.0)
    y = y.to(x)
    assert getattr(x, operation)(y).shape == torch.broadcast_shapes(shape, other)
    with pytest.raises(RuntimeError, match=r"doesn't match the broadcast shape"):
        getattr(x, operation + "_")(y)
    assert_same(x, torch.ones_like(x), what="x after the refusal")
    assert x.shape == shape
    assert x._version == 0


@claim("inplace-never-grows")
def test_copy_never_grows(cell):
    x = cell.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"expand|broadcast"):
        x.copy_(cell.tensor([[3.0, 4.0], [5.0, 6.0]]))
    assert_same(x, cell.tensor([1.0, 2.0]), what="x after the refusal")
    assert x._version == 0


@claim("inplace-never-grows")
def test_other_operand_grows(cell):
    x = cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x.add_(cell.tensor([10.0, 20.0, 30.0])).mul_(cell.tensor([[1.0], [2.0]]))
    assert_same(x, cell.tensor([[11.0, 22.0, 33.0], [28.0, 50.0, 72.0]]), what="x")


@claim("inplace-result-type")
@pytest.mark.parametrize(
    ("operation", "operand"),
    [("add_", 1.5), ("sub_", 1.5), ("mul_", 1.5), ("div_", 1.5), ("div_", 2), ("__itruediv__", 2)],
)
def test_integers_refuse_a_fraction(cell, operation, operand):
    x = cell.tensor([1, 2, 3], dtype=torch.int64)
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        getattr(x, operation)(operand)
    assert_same(x, cell.tensor([1, 2, 3], dtype=torch.int64), what="x after the refusal")
    assert x._version == 0
    assert (x + 1.5).dtype == torch.get_default_dtype()


@claim("inplace-result-type")
def test_assignment_casts(cell):
    x = cell.tensor([1, 2, 3], dtype=torch.int64)
    x[0] = 7.9
    x[1:].copy_(cell.tensor([-2.75, 5.25]))
    assert_same(x, cell.tensor([7, -2, 5], dtype=torch.int64), what="x, cut towards zero")
    single = cell.tensor([1.0], dtype=torch.float32)
    single.add_(cell.tensor([2.0], dtype=torch.float16))
    assert single.dtype == torch.float32
    assert_same(single, cell.tensor([3.0], dtype=torch.float32), what="float32 += float16")
