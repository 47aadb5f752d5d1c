"""Modes and gradients of a module: what is set, on what, and what stays."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, normalisation_bound, rounding_unit


def nested(cell):
    return cell.place(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))))


def listed(gradient):
    return None if gradient is None else gradient.tolist()


@claim("mode-train-bool")
@pytest.mark.parametrize("mode", [1, 0, None, "train", np.bool_(True), torch.tensor(True)], ids=repr)
@pytest.mark.parametrize("before", [False, True])
def test_modes_are_booleans(before, mode):
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout())).train(before)
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(mode)
    assert [module.training for module in net.modules()] == [before] * 4


@claim("mode-nograd-not-eval")
@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_layers_train_without_gradients(without, cell, rng):
    dropout, norm = nn.Dropout(0.5), cell.place(nn.BatchNorm1d(3))
    x = cell.tensor(rng.normal(2.0, 3.0, (64, 3)))
    with without():
        dropped, output = cell.run(dropout)(x), cell.run(norm)(x)
    kept = dropped != 0
    assert 0 < kept.sum() < x.numel()
    assert_same(dropped[kept], (x * 2)[kept], what="kept elements")
    rows = to_numpy(x)
    bound = normalisation_bound(cell, rows, (0,), norm.eps)
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + norm.eps)
    assert_within(output, expected, bound.output, what="output", because="a normalisation over 64 rows")
    assert_within(
        norm.running_mean,
        rows.mean(0) / 10,
        bound.mean[0] + gamma(4, rounding_unit(cell.dtype)) * np.abs(rows).max(),
        what="running mean",
        because="a mean of 64 values and 3 roundings",
    )
    assert norm.num_batches_tracked.item() == 1


@claim("mode-only-certain-modules")
@pytest.mark.parametrize(
    "layer",
    [nn.Linear(3, 3), nn.Tanh(), nn.LayerNorm(3), nn.Softmax(1), nn.Identity(), nn.GroupNorm(1, 3), nn.Dropout(0.0)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_without_a_mode(layer, cell, rng):
    layer = cell.place(layer)
    x = cell.tensor(rng.normal(size=(4, 3)))
    assert_same(cell.run(layer.train())(x), cell.run(layer.eval())(x), what="output")


@claim("mode-only-certain-modules")
def test_layers_with_a_mode(cell, rng):
    x = cell.tensor(rng.normal(2.0, 3.0, (64, 3)))
    dropout, norm = nn.Dropout(0.5), cell.place(nn.BatchNorm1d(3))
    assert (cell.run(dropout.train())(x) == 0).any()
    assert_same(cell.run(dropout.eval())(x), x, what="dropout in evaluation")
    cell.run(norm.eval())(x)
    assert norm.num_batches_tracked.item() == 0
    cell.run(norm.train())(x)
    assert norm.num_batches_tracked.item() == 1


@claim("mode-no-parameters-touched")
@pytest.mark.parametrize("switch", [nn.Module.eval, nn.Module.train], ids=["eval", "train"])
def test_the_mode_leaves_parameters_alone(switch, cell):
    net = nested(cell)
    net[0].requires_grad_(False)
    for parameter in net[1].parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {
        name: (id(one), one.requires_grad, one.data_ptr(), one.tolist(), id(one.grad))
        for name, one in net.named_parameters()
    }
    switch(net)
    after = {
        name: (id(one), one.requires_grad, one.data_ptr(), one.tolist(), id(one.grad))
        for name, one in net.named_parameters()
    }
    assert after == before


@claim("mode-overridden")
def test_a_part_decides_its_mode():
    modes = []

    class Frozen(nn.Linear):
        def train(self, mode=True):
            modes.append(mode)
            return super().train(False)

    net = nn.Sequential(nn.Sequential(Frozen(1, 1)), nn.Dropout())
    net.train()
    assert [module.training for module in net.modules()] == [True, True, False, True]
    net.eval()
    net.train(True)
    assert modes == [True, False, True]
    assert not net[0][0].training


@claim("grad-freeze")
def test_frozen_parameters_record_nothing(cell):
    net = nested(cell)
    net[0].weight.grad = gradient = torch.ones_like(net[0].weight)
    before = [id(parameter) for parameter in net.parameters()]
    assert net.requires_grad_(False) is net
    assert [(id(one), one.requires_grad) for one in net.parameters()] == [(number, False) for number in before]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        output = net(cell.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert (output.requires_grad, output.grad_fn, saved) == (False, None, [])
    assert net[0].weight.grad is gradient
    assert gradient.tolist() == [[1, 1], [1, 1]]


@claim("grad-freeze")
@pytest.mark.parametrize("number", range(6))
def test_freezing_what_is_partly_frozen(number, cell):
    net = nested(cell)
    list(net.parameters())[number].requires_grad_(False)
    net.requires_grad_(False)
    assert {one.requires_grad for one in net.parameters()} == {False}


@claim("grad-freeze-part")
def test_gradients_flow_through_what_is_frozen(cell):
    first, middle, last = (cell.place(nn.Linear(2, 2, bias=False)) for _ in range(3))
    for layer, values in ((first, [[1, 2], [3, 4]]), (middle, [[2, 0], [1, 3]]), (last, [[1, 1], [0, 2]])):
        layer.weight.data.copy_(cell.tensor(np.array(values, dtype=float)))
    middle.requires_grad_(False)
    x = cell.tensor([[1.0, 10.0]])
    cell.run(lambda x: last(middle(first(x))))(x).backward(cell.tensor([[1.0, 1.0]]))
    a, b, c = (to_numpy(layer.weight) for layer in (first, middle, last))
    rows, ones = to_numpy(x), np.ones((1, 2))
    assert middle.weight.grad is None
    # Small whole numbers: exact in any order of summation.
    for layer, expected in ((first, (ones @ c @ b).T @ rows), (last, ones.T @ (rows @ a.T @ b.T))):
        assert listed(layer.weight.grad) == expected.tolist()


@claim("grad-unfreeze")
@pytest.mark.parametrize("argument", [(), (True,)], ids=["default", "True"])
def test_unfreezing(argument, cell):
    net = nested(cell).requires_grad_(False)
    assert net.requires_grad_(*argument) is net
    assert {one.requires_grad for one in net.parameters()} == {True}
    assert {one.requires_grad for one in net.buffers()} == {False}


@claim("grad-unfreeze")
@pytest.mark.parametrize("number", range(6))
def test_unfreezing_what_is_partly_unfrozen(number, cell):
    net = nested(cell).requires_grad_(False)
    list(net.parameters())[number].requires_grad_()
    net.requires_grad_()
    assert {one.requires_grad for one in net.parameters()} == {True}


@claim("grad-unfreeze")
def test_unfreezing_a_part(cell):
    net = nested(cell).requires_grad_(False)
    net[1].requires_grad_()
    assert [name for name, one in net.named_parameters() if one.requires_grad] == [
        "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias",
    ]  # fmt: skip


@claim("grad-zero-grad")
@pytest.mark.parametrize("arguments", [{}, {"set_to_none": True}], ids=["default", "set_to_none"])
def test_zero_grad_drops(arguments, cell):
    net = nested(cell)
    net(cell.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    kept = [parameter.grad for parameter in net.parameters()]
    before = [gradient.tolist() for gradient in kept]
    assert None not in kept
    next(net.parameters()).requires_grad_(False)
    assert net.zero_grad(**arguments) is None
    assert [parameter.grad for parameter in net.parameters()] == [None] * 6
    assert [gradient.tolist() for gradient in kept] == before


@claim("grad-zero-grad")
def test_zero_grad_zeroes_in_place(cell):
    net = nested(cell)
    net(cell.tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    before = [id(parameter.grad) for parameter in net.parameters()]
    next(net.parameters()).requires_grad_(False)
    net.zero_grad(set_to_none=False)
    assert [id(parameter.grad) for parameter in net.parameters()] == before
    assert all(not parameter.grad.any() for parameter in net.parameters())


@claim("grad-zero-grad")
@pytest.mark.parametrize("history", [False, True], ids=["requires grad", "has history"])
def test_zero_grad_cuts_the_graph(history, cell):
    layer = cell.place(nn.Linear(1, 1, bias=False))
    # Assigned by hand, as backward(create_graph=True) would leave it.
    leaf = cell.tensor([[2.0]], requires_grad=True)
    layer.weight.grad = gradient = leaf * 3 if history else leaf
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is gradient
    assert (gradient.requires_grad, gradient.grad_fn, gradient.tolist()) == (False, None, [[0]])


@claim("grad-zero-grad-absent")
@pytest.mark.parametrize("set_to_none", [False, True])
def test_zero_grad_leaves_the_rest(set_to_none, cell):
    net, other = nested(cell), nn.Parameter(cell.tensor([1.0]))
    net.listed = [other]
    net.register_buffer("table", cell.tensor([1.0], requires_grad=True))
    for leaf in (other, net.table, net[0].weight):
        leaf.grad = torch.ones_like(leaf)
    net.zero_grad(set_to_none=set_to_none)
    assert (listed(other.grad), listed(net.table.grad)) == ([1], [1])
    assert [name for name, one in net.named_parameters() if one.grad is not None] == (
        [] if set_to_none else ["0.weight"]
    )


@claim("grad-none-vs-zero")
@pytest.mark.parametrize("set_to_none", [False, True])
def test_steps_without_a_gradient(set_to_none, cell):
    layer = cell.place(nn.Linear(1, 1, bias=False))
    layer.weight.data.fill_(8.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.5, weight_decay=0.25)
    layer(cell.tensor([[2.0]])).backward()
    optimizer.step()
    # gradient 2 and decay 8 / 4 make the velocity 4
    assert layer.weight.item() == 8 - 0.5 * 4
    optimizer.zero_grad(set_to_none=set_to_none)
    optimizer.step()
    # velocity 4 / 2 + 6 / 4
    assert layer.weight.item() == (6 if set_to_none else 6 - 0.5 * 3.5)


@claim("grad-inputs-dict")
def test_backward_into_some_leaves(cell):
    net = cell.place(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    for parameter in net.parameters():
        parameter.data.fill_(3.0)
    net[1].weight.grad = torch.ones_like(net[1].weight)
    net(cell.tensor([[2.0]])).backward(inputs=[net[0].weight, net[1].bias])
    grads = {name: None if one.grad is None else one.grad.item() for name, one in net.named_parameters()}
    assert grads == {"0.weight": 6, "0.bias": None, "1.weight": 1, "1.bias": 1}
