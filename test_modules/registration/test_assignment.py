"""What an assignment to an attribute registers, replaces and rejects."""

import contextlib

import pytest
import torch
from torch import nn

from models.perceptron import Linear
from torchclaims import claim
from torchclaims.tolerance import assert_same


def names(module):
    return [name for name, _ in module.named_parameters()]


@claim("module-attr-registers-param")
def test_only_a_parameter_is_registered(cell):
    module = nn.Module()
    module.w = nn.Parameter(cell.tensor([[1.0, 2.0]]))
    module.plain = cell.tensor([3.0])
    module.learnable_looking = cell.tensor([4.0], requires_grad=True)
    assert names(module) == ["w"]
    assert list(module.state_dict()) == ["w"]
    assert list(module.buffers()) == []
    assert "w" not in vars(module)


@claim("module-number-is-no-param")
@pytest.mark.parametrize("number", [0, 0.0, True, None], ids=repr)
def test_a_number_is_a_plain_attribute(number, cell):
    module = Linear(2, 2)
    module.rcnn_loss_cls = number
    assert names(module) == ["w", "b"]
    assert vars(module)["rcnn_loss_cls"] is number
    module.rcnn_loss_cls = cell.tensor(1.5, requires_grad=True) * 2
    assert names(module) == ["w", "b"]
    assert list(module.state_dict()) == ["w", "b"]
    assert list(module.buffers()) == []


@claim("module-late-param")
def test_assigned_after_construction(cell):
    layer = cell.place(Linear(2, 2))
    layer.scale = nn.Parameter(cell.tensor([1.0]))
    layer.head = Linear(2, 1)
    assert names(layer) == ["w", "b", "scale", "head.w", "head.b"]
    assert list(layer.state_dict()) == names(layer)


@claim("module-late-param")
def test_assigned_in_forward(cell):
    class Late(nn.Module):
        def forward(self, x):
            if not hasattr(self, "w"):
                self.w = nn.Parameter(torch.zeros_like(x))
            return x + self.w

    module = Late()
    assert names(module) == []
    module(cell.tensor([1.0, 2.0])).sum().backward()
    first = module.w
    assert first.grad.tolist() == [1, 1]
    module(cell.tensor([1.0, 2.0]))
    assert names(module) == ["w"]
    assert module.w is first


CONTAINERS = {
    "list": (list, nn.ParameterList, nn.ModuleList),
    "tuple": (tuple, nn.ParameterList, nn.ModuleList),
    "dict": (lambda pair: dict(zip("ab", pair, strict=True)), nn.ParameterDict, nn.ModuleDict),
}


@claim("module-plain-container-invisible")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_plain_containers_hide(kind):
    plain, parameter_container, module_container = CONTAINERS[kind]
    module = nn.Module()
    module.parameters_held = plain([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))])
    module.modules_held = plain([Linear(1, 1), Linear(1, 1)])
    assert names(module) == []
    assert list(module.children()) == []
    assert not module.state_dict()
    module.parameters_held = parameter_container(module.parameters_held)
    module.modules_held = module_container(module.modules_held)
    first, second = "ab" if kind == "dict" else "01"
    assert names(module) == [
        f"parameters_held.{first}", f"parameters_held.{second}",
        *(f"modules_held.{key}.{name}" for key in (first, second) for name in "wb"),
    ]  # fmt: skip


@claim("plist-converts")
def test_parameter_list(cell):
    tensor, parameter = cell.tensor([1.0]), nn.Parameter(cell.tensor([2.0]), requires_grad=False)
    held = nn.ParameterList([parameter, "text", 3, tensor])
    assert [type(one) for one in held] == [nn.Parameter, str, int, nn.Parameter]
    assert held[0] is parameter
    assert held[3].requires_grad
    assert held[3].data_ptr() == tensor.data_ptr()
    assert list(held.state_dict()) == ["0", "3"]


@claim("lazy-materialise")
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_linear(cell):
    layer = nn.LazyLinear(3, device=cell.device.name, dtype=cell.dtype)
    weight, bias = layer.weight, layer.bias
    assert [type(one).__name__ for one in (layer, weight, bias)] == [
        "LazyLinear", "UninitializedParameter", "UninitializedParameter",
    ]  # fmt: skip
    assert names(layer) == ["weight", "bias"]
    with pytest.raises(RuntimeError, match=r"(?i)can't access the shape of an uninitialized"):
        _ = weight.shape
    output = layer(cell.tensor([[1.0] * 5] * 2))
    assert output.shape == (2, 3)
    assert (type(layer), layer.in_features) == (nn.Linear, 5)
    assert (layer.weight is weight, layer.bias is bias) == (True, True)
    assert [(type(one), tuple(one.shape)) for one in (weight, bias)] == [
        (nn.Parameter, (3, 5)), (nn.Parameter, (3,)),
    ]  # fmt: skip


@claim("lazy-materialise")
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_linear_takes_the_last_dimension(cell):
    layer = nn.LazyLinear(3, device=cell.device.name, dtype=cell.dtype)
    with contextlib.suppress(RuntimeError):  # of an output that cannot be computed; the size tells why
        layer(cell.tensor([[[1.0] * 5] * 4] * 2))
    assert layer.weight.shape == (3, 5)


@claim("module-replace-keeps-order")
def test_replacing_keeps_the_place():
    net = nn.Module()
    for name in "qaz":
        setattr(net, f"p_{name}", nn.Parameter(torch.zeros(1)))
        setattr(net, f"m_{name}", nn.Linear(1, 1))
        net.register_buffer(f"b_{name}", torch.zeros(1))
    net.p_q = parameter = nn.Parameter(torch.zeros(2))
    net.m_q = child = nn.ReLU()
    net.b_q = buffer = torch.zeros(2)
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["p_q", "p_a", "p_z"]
    assert [name for name, _ in net.named_children()] == ["m_q", "m_a", "m_z"]
    assert [name for name, _ in net.named_buffers()] == ["b_q", "b_a", "b_z"]
    assert (net.p_q is parameter, net.m_q is child, net.b_q is buffer) == (True, True, True)


PREDECESSORS = {
    "number": lambda module: setattr(module, "value", 0),
    "plain tensor": lambda module: setattr(module, "value", torch.zeros(1)),
    "buffer": lambda module: module.register_buffer("value", torch.zeros(1)),
    "child": lambda module: setattr(module, "value", nn.ReLU()),
}


@claim("module-attr-kind-switch")
@pytest.mark.parametrize("before", PREDECESSORS)
def test_a_parameter_takes_the_place(before):
    module = nn.Module()
    PREDECESSORS[before](module)
    module.value = parameter = nn.Parameter(torch.zeros(2))
    assert module.value is parameter
    assert names(module) == ["value"]
    assert list(module.state_dict()) == ["value"]
    assert (list(module.buffers()), list(module.children())) == ([], [])
    assert "value" not in vars(module)


@claim("module-delete-unregisters")
@pytest.mark.parametrize("name", ["weight", "running_mean", "child"])
def test_delete(name):
    module = nn.BatchNorm1d(2)
    module.child = nn.Linear(1, 1)
    kept = [key for key in module.state_dict() if not key.startswith(name)]
    delattr(module, name)
    assert list(module.state_dict()) == kept
    assert not hasattr(module, name)


@claim("module-assign-tensor-to-param")
def test_a_plain_tensor_is_rejected(cell):
    layer = cell.place(Linear(2, 2))
    before = layer.w
    values = before.detach().clone()
    with pytest.raises(TypeError, match=r"cannot assign '.*Tensor' as parameter 'w'"):
        layer.w = cell.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert layer.w is before
    assert_same(before.detach(), values, what="the parameter")
    assert "w" not in vars(layer)
    layer.w = None
    assert names(layer) == ["b"]


@claim("module-assign-nonmodule-to-child")
@pytest.mark.parametrize("value", [0, "text", torch.relu], ids=["int", "str", "function"])
def test_a_child_is_replaced_by_modules_only(value):
    net = nn.Module()
    net.child = child = nn.ReLU()
    with pytest.raises(TypeError, match=r"cannot assign '.*' as child module 'child'"):
        net.child = value
    assert net.child is child
    net.child = None
    assert (net.child, list(net.children())) == (None, [])
    net.child = child
    assert list(net.children()) == [child]
