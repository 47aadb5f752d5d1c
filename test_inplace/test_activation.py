"""Activations with ``inplace=True``: what they change, when that is legal, what they save of memory."""

import weakref
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.conv_bn_relu import conv_bn_relu
from torchclaims import claim
from torchclaims.comparison import laid_out
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same

REFUSED = "needed for gradient computation has been modified by an inplace operation"


def outputs(model, x):
    """The output of each layer in turn, and a copy made before the next layer ran."""
    seen = []
    for layer in model:
        x = layer(x)
        seen.append((x, x.detach().clone()))
    return seen


@claim("inplace-relu-object")
@pytest.mark.parametrize("grad", [True, False], ids=["training", "no_grad"])
def test_relu_writes_into_the_batch_norms_output(cell, rng, grad):
    model = cell.place(conv_bn_relu([2, 3], inplace=True))
    x = cell.tensor(rng.normal(size=(2, 2, 4, 5)))
    with torch.set_grad_enabled(grad):
        (conv, conv_then), (bn, bn_then), (relu, _) = outputs(model, x)
    assert relu is bn
    assert relu.data_ptr() == bn.data_ptr()
    assert conv.data_ptr() != bn.data_ptr()
    assert bn._version == 1
    assert conv._version == 0
    assert (bn_then < 0).any()
    assert_same(conv.detach(), conv_then, what="the convolution's output after the ReLU")
    assert_same(bn.detach(), bn_then * (bn_then > 0), what="the batch norm's output after the ReLU")


@claim("inplace-relu-object")
def test_relu_out_of_place_writes_nowhere(cell, rng):
    model = cell.place(conv_bn_relu([2, 3], inplace=False))
    (conv, conv_then), (bn, bn_then), (relu, _) = outputs(model, cell.tensor(rng.normal(size=(2, 2, 4, 5))))
    assert len({conv.data_ptr(), bn.data_ptr(), relu.data_ptr()}) == 3
    assert_same(conv.detach(), conv_then, what="the convolution's output after the ReLU")
    assert_same(bn.detach(), bn_then, what="the batch norm's output after the ReLU")


@claim("inplace-relu-legal")
def test_gradients_of_the_stack_are_those_of_its_twin(cell, rng, monkeypatch):
    # The same kernels on the same numbers: bitwise, once cuDNN may not add in any order.
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    inplace, twin = (cell.place(conv_bn_relu([2, 3, 2], inplace=flag)) for flag in (True, False))
    twin.load_state_dict(inplace.state_dict())
    values, cotangent = rng.normal(size=(2, 2, 4, 5)), cell.tensor(rng.normal(size=(2, 2, 4, 5)))
    results = []
    for model in (inplace, twin):
        x = cell.tensor(values, requires_grad=True)
        y = cell.run(model)(x)
        y.backward(cotangent)
        results.append([y.detach(), x.grad, *(parameter.grad for parameter in model.parameters())])
    names = ["output", "input's gradient", *(f"gradient of {name}" for name, _ in twin.named_parameters())]
    for name, seen, expected in zip(names, *results, strict=True):
        assert_same(seen, expected, what=name)


@claim("inplace-relu-legal")
def test_gradient_of_the_shift_sums_what_the_relu_let_pass(cell, rng):
    model = cell.place(conv_bn_relu([2, 3], inplace=True))
    # Small whole numbers: their sum is exact in any order.
    cotangent = cell.tensor(rng.integers(-4, 5, (2, 3, 4, 5)))
    y = cell.run(model)(cell.tensor(rng.normal(size=(2, 2, 4, 5))))
    y.backward(cotangent)
    passed = np.where(to_numpy(y) > 0, to_numpy(cotangent), 0).sum((0, 2, 3))
    assert_same(model[1].bias.grad, cell.tensor(passed), what="gradient of the shift")


@claim("inplace-relu-legal")
def test_gradient_in_whole_numbers(cell):
    # Column by column: y = relu(2 a + b) is positive, negative, exactly zero; there the gradient is zero.
    leaf = cell.tensor([[1.0, 2.0, -3.0]], requires_grad=True)
    linear = cell.place(nn.Linear(3, 3))
    with torch.no_grad():
        linear.weight.copy_(cell.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 4.0], [3.0, 0.0, 1.0]]))
        linear.bias.copy_(cell.tensor([1.0, 1.0, 0.0]))
    y = cell.run(lambda x: F.relu(linear(x), inplace=True))(leaf)
    assert_same(y.detach(), cell.tensor([[3.0, 0.0, 0.0]]), what="y")
    y.backward(cell.tensor([[5.0, 7.0, 11.0]]))
    assert_same(leaf.grad, cell.tensor([[10.0, 0.0, 0.0]]), what="gradient of the input")
    assert_same(linear.bias.grad, cell.tensor([5.0, 0.0, 0.0]), what="gradient of the bias")
    rows = [[5.0, 10.0, -15.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert_same(linear.weight.grad, cell.tensor(rows), what="gradient of the weight")


NEEDS_ITS_RESULT = {
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Softmax": lambda: nn.Softmax(1),
    "Exp": lambda: torch.exp,
}


@claim("inplace-relu-after-saved-result")
@pytest.mark.parametrize("name", NEEDS_ITS_RESULT)
def test_relu_after_a_layer_that_saved_its_result(cell, name):
    leaf = cell.tensor([[0.5, -1.5, 2.5]], requires_grad=True)
    y = F.relu(NEEDS_ITS_RESULT[name]()(leaf), inplace=True)
    with pytest.raises(RuntimeError, match=REFUSED):
        y.sum().backward()
    assert leaf.grad is None, "the refused backward left a gradient"
    twin = F.relu(NEEDS_ITS_RESULT[name]()(leaf))
    assert_same(y.detach(), twin.detach(), what="the value, which was computed all the same")
    twin.sum().backward()
    assert leaf.grad is not None


# Outside training, rrelu is deterministic.
ACTIVATIONS = {
    "relu": {},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.25},
    "rrelu": {"training": False},
    "elu": {"alpha": 1.5},
    "celu": {"alpha": 0.75},
    "selu": {},
    "hardtanh": {"min_val": -0.5, "max_val": 1.25},
    "hardsigmoid": {},
    "hardswish": {},
    "silu": {},
    "mish": {},
    "threshold": {"threshold": 0.25, "value": -2.0},
}


@claim("inplace-activation-twins")
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("layout", ["plain", "every other", "reversed axes"])
def test_activation_beside_its_twin(cell, rng, name, layout):
    function, options = getattr(F, name), ACTIVATIONS[name]
    x = laid_out(cell, rng.normal(0, 4, (2, 3, 4, 5)), layout)
    before, memory = x.clone(), x.data_ptr()
    twin = cell.run(function)(x, **options)
    assert twin.data_ptr() != memory
    assert_same(x, before, what="the input of the out-of-place twin")
    assert not torch.equal(twin, before), "the input does not tell the function from the identity"
    assert cell.run(function)(x, inplace=True, **options) is x
    assert x.data_ptr() == memory
    assert x._version >= 1
    assert_same(x, twin, what=f"{name} in place")


@claim("inplace-activation-twins")
@pytest.mark.parametrize(
    "layer",
    [
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU),
        *(nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.SiLU, nn.Mish, partial(nn.Threshold, 0.25, -2.0)),
    ],
    ids=lambda layer: getattr(layer, "func", layer).__name__,
)
def test_layer_beside_its_twin(cell, rng, layer):
    x = cell.tensor(rng.normal(0, 4, (2, 3, 4)))
    twin = cell.run(layer().eval())(x)
    assert twin is not x
    assert cell.run(layer(inplace=True).eval())(x) is x
    assert_same(x, twin, what="the layer in place")


NEGATIVE = {
    "leaky_relu": lambda x: F.leaky_relu(x, -0.25, inplace=True),
    "elu": lambda x: F.elu(x, -0.5, inplace=True),
    "celu": lambda x: F.celu(x, -0.5, inplace=True),
}


@claim("inplace-negative-slope")
@pytest.mark.parametrize("name", NEGATIVE)
def test_negative_slope_in_place(cell, name):
    leaf = cell.tensor([1.0, -1.0], requires_grad=True)
    y = NEGATIVE[name](leaf * 1)
    with pytest.raises(RuntimeError, match="negative slope which is not supported"):
        y.sum().backward()
    assert leaf.grad is None


@claim("inplace-negative-slope")
def test_negative_slope_out_of_place(cell):
    leaf = cell.tensor([1.0, -1.0], requires_grad=True)
    F.leaky_relu(leaf * 1, -0.25).sum().backward()
    assert_same(leaf.grad, cell.tensor([1.0, -0.25]), what="the gradient of the out-of-place twin")


def life(tensor):
    """Tells by ``alive`` whether the object is there; unlike a weak reference it cannot bring it back."""
    finalizer = weakref.finalize(tensor, int)
    finalizer.atexit = False
    return finalizer


def saved_storages(model, x):
    """Memory that backward keeps, as bytes by address; the model's own parameters and buffers not counted."""
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = model(x)
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    return {address: size for address, size in saved.items() if address not in own}, y


@claim("inplace-relu-memory")
def test_backward_keeps_the_same_either_way(cell, rng):
    widths = [2, 3, 3, 3]
    x = cell.tensor(rng.normal(size=(2, 2, 4, 5)))
    pixels, element = 2 * 4 * 5, x.element_size()
    large = pixels * element
    kept = []
    for inplace in (False, True):
        storages, y = saved_storages(cell.place(conv_bn_relu(widths, inplace=inplace)), x)
        kept.append(sorted(size for size in storages.values() if size >= large))
        del y
    # Of each stage the convolution's output and the ReLU's; and the input.
    expected = sorted(pixels * width * element for width in [2, *(w for w in widths[1:] for _ in range(2))])
    assert kept[0] == expected, "kept by the out-of-place stack"
    assert kept[1] == expected, "kept by the in-place stack"


@claim("inplace-relu-memory")
def test_out_of_place_holds_one_more_while_the_relu_runs(cell, rng):
    alive = {}
    for inplace in (False, True):
        model = cell.place(conv_bn_relu([2, 3], inplace=inplace))
        addresses = []
        model[2].register_forward_hook(
            lambda _, args, output, seen=addresses: seen.append({args[0].data_ptr(), output.data_ptr()})
        )
        model(cell.tensor(rng.normal(size=(2, 2, 4, 5))))
        alive[inplace] = len(addresses[0])
    assert alive == {False: 2, True: 1}


@claim("inplace-relu-memory")
def test_batch_norms_output_dies_when_the_relu_has_run(cell, rng):
    seen = {}
    for inplace in (False, True):
        model = cell.place(conv_bn_relu([2, 3, 2], inplace=inplace))
        model[1].register_forward_hook(lambda _, args, output, key=inplace: seen.__setitem__(key, life(output)))
        dead = []
        model[3].register_forward_pre_hook(lambda _, args, key=inplace, dead=dead: dead.append(not seen[key].alive))
        model(cell.tensor(rng.normal(size=(2, 2, 4, 5))))
        assert dead == [not inplace], "in place it lives on as the ReLU's output; out of place it is freed"


@claim("inplace-rebinding-frees")
def test_rebinding_frees_what_was_not_saved(cell):
    leaf = cell.tensor([1.0, 2.0], requires_grad=True)
    x = leaf * 2
    first = life(x)
    x = x + 1
    assert not first.alive, "x * 2, which nothing needs, outlived its name"
    second = life(x)
    x = x.sum()
    assert not second.alive, "x + 1, which nothing needs, outlived its name"
    x.backward()
    assert_same(leaf.grad, cell.tensor([2.0, 2.0]), what="leaf.grad")


@claim("inplace-rebinding-frees")
def test_saved_lives_until_backward(cell):
    leaf = cell.tensor([1.0, 2.0], requires_grad=True)
    x = leaf * 2
    saved = life(x)
    x = x.square()
    assert saved.alive, "square saved its input"
    x.sum().backward()
    assert not saved.alive, "backward frees what was saved"
    assert_same(leaf.grad, cell.tensor([8.0, 16.0]), what="leaf.grad")
