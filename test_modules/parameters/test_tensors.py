"""Parameter, Buffer, UninitializedParameter and UninitializedBuffer by themselves and as attributes."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torchclaims import claim
from torchclaims.tolerance import assert_same


def names(pairs):
    return [name for name, _ in pairs]


@claim("param-empty")
def test_no_data():
    for parameter in (nn.Parameter(), nn.Parameter(None)):
        assert (type(parameter), tuple(parameter.shape), parameter.requires_grad) == (nn.Parameter, (0,), True)
    assert nn.Parameter(requires_grad=False).requires_grad is False


@claim("param-of-parameter")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_parameter_of_a_parameter(first, second, cell):
    inner = nn.Parameter(cell.tensor([1.0, 2.0]), requires_grad=first)
    outer = nn.Parameter(inner, requires_grad=second)
    assert type(outer) is nn.Parameter
    assert outer is not inner
    assert outer.data_ptr() == inner.data_ptr()
    assert (inner.requires_grad, outer.requires_grad) == (first, second)
    assert nn.Parameter(inner).requires_grad is True


def saved_and_loaded(parameter):
    file = io.BytesIO()
    torch.save(parameter, file)
    file.seek(0)
    return torch.load(file)


@claim("param-copied-saved")
@pytest.mark.parametrize("way", [copy.deepcopy, saved_and_loaded], ids=["deepcopy", "save"])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_copies(requires_grad, way, cell):
    parameter = nn.Parameter(cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).t(), requires_grad=requires_grad)
    copied = way(parameter)
    assert type(copied) is nn.Parameter
    assert copied is not parameter
    assert copied.data_ptr() != parameter.data_ptr()
    assert (copied.requires_grad, copied.is_leaf, copied.stride()) == (requires_grad, True, (1, 3))
    assert_same(copied.detach(), parameter.detach(), what="values")


@claim("param-copied-saved")
def test_one_copy_of_one_parameter(cell):
    parameter = nn.Parameter(cell.tensor([1.0]))
    first, second = copy.deepcopy([parameter, parameter])
    assert first is second
    first, second = saved_and_loaded([parameter, nn.Parameter(parameter)])
    assert first.data_ptr() == second.data_ptr()


class Marked(torch.Tensor):
    """A subclass of Tensor without anything of its own."""


@claim("param-tensor-subclass")
@pytest.mark.parametrize("requires_grad", [True, False])
def test_tensor_subclass(requires_grad, cell):
    data = cell.tensor([1.0]).as_subclass(Marked)
    parameter = nn.Parameter(data, requires_grad=requires_grad)
    assert type(parameter) is Marked
    assert (isinstance(parameter, nn.Parameter), isinstance(data, nn.Parameter)) == (True, False)
    assert (parameter.requires_grad, parameter.is_leaf) == (requires_grad, True)
    assert parameter.data_ptr() == data.data_ptr()
    module = nn.Module()
    module.w = parameter
    module.data = data
    assert names(module.named_parameters()) == ["w"]


# --- Buffer


@claim("buffer-registers")
def test_buffers_are_registered(cell):
    module = nn.Module()
    module.mean = buffer = nn.Buffer(cell.tensor([1.0]))
    module.plain = cell.tensor([2.0])
    assert [(name, one is buffer) for name, one in module.named_buffers()] == [("mean", True)]
    assert list(module.parameters()) == []
    assert module.mean is buffer
    assert "mean" not in vars(module)
    assert list(module.state_dict()) == ["mean"]
    module.half()
    assert (module.mean.dtype, module.plain.dtype) == (torch.float16, torch.float32)


@claim("buffer-persistent")
@pytest.mark.parametrize(
    ("options", "kept"), [({}, True), ({"persistent": True}, True), ({"persistent": False}, False)]
)
def test_persistence(options, kept, cell):
    net = nn.Sequential(nn.Module())
    net[0].mean = nn.Buffer(cell.tensor([1.0]), **options)
    assert list(net.state_dict()) == (["0.mean"] if kept else [])
    assert names(net.named_buffers()) == ["0.mean"]


@claim("buffer-replaced")
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False, None], ids=["persistent", "fleeting", "tensor"])
def test_replaced(after, before, cell):
    module = nn.Module()
    module.mean = nn.Buffer(cell.tensor([1.0]), persistent=before)
    new = cell.tensor([2.0])
    module.mean = new = new if after is None else nn.Buffer(new, persistent=after)
    assert module.mean is new
    assert list(module.state_dict()) == (["mean"] if (before if after is None else after) else [])
    module.mean = None
    assert (module.mean, list(module.buffers())) == (None, [])
    module.mean = cell.tensor([3.0])
    assert names(module.named_buffers()) == ["mean"]


@claim("buffer-instance")
def test_instances(cell):
    tensor = cell.tensor([1.0])
    buffer = nn.Buffer(tensor)
    assert isinstance(buffer, nn.Buffer)
    assert isinstance(buffer, torch.Tensor)
    assert not isinstance(buffer, nn.Parameter)
    others = [tensor, nn.Parameter(tensor), buffer + 1, buffer.clone(), [buffer], None]
    assert [isinstance(one, nn.Buffer) for one in others] == [False] * 6


@claim("buffer-shares")
def test_memory_and_history(cell):
    leaf = cell.tensor([1.0, 2.0], requires_grad=True)
    made = leaf * 2
    buffer = nn.Buffer(made)
    assert buffer is not made
    assert buffer.data_ptr() == made.data_ptr()
    assert (buffer.requires_grad, buffer.grad_fn, buffer.is_leaf) == (True, None, True)
    plain = nn.Buffer(made.detach())
    assert plain.requires_grad is False
    assert [tuple(one.shape) for one in (nn.Buffer(), nn.Buffer(None, persistent=False))] == [(0,), (0,)]


@claim("buffer-subclass")
def test_class_of_a_buffer(cell):
    kind = type(nn.Buffer(cell.tensor([1.0])))
    assert issubclass(kind, torch.Tensor)
    assert kind is not torch.Tensor, f"expected a subclass, seen {kind.__name__}"


@claim("buffer-over-attribute")
@pytest.mark.parametrize("before", [1, None, torch.zeros(1)], ids=["number", "None", "tensor"])
def test_buffer_over_an_attribute(before, cell):
    module = nn.Module()
    module.mean = before
    try:
        module.mean = nn.Buffer(cell.tensor([1.0]))
    except KeyError as error:
        pytest.fail(f"expected a buffer, seen KeyError: {error}")
    assert names(module.named_buffers()) == ["mean"]


# --- uninitialised tensors

KINDS = {"parameter": UninitializedParameter, "buffer": UninitializedBuffer}
both = pytest.mark.parametrize("kind", KINDS)


@claim("uninit-kinds")
def test_kinds():
    assert UninitializedParameter is nn.UninitializedParameter
    parameter, buffer = UninitializedParameter(), UninitializedBuffer()
    assert isinstance(parameter, nn.Parameter)
    assert isinstance(buffer, torch.Tensor)
    assert not isinstance(buffer, nn.Parameter)
    assert [parameter.requires_grad, buffer.requires_grad] == [True, False]
    assert UninitializedParameter(requires_grad=False).requires_grad is False
    assert UninitializedBuffer(requires_grad=True).requires_grad is True
    assert [repr(parameter), str(buffer)] == ["<UninitializedParameter>", "<UninitializedBuffer>"]
    module = nn.Module()
    module.w = parameter
    assert names(module.named_parameters()) == ["w"]
    lazy = [torch.nn.parameter.is_lazy(one) for one in (parameter, buffer, nn.Parameter(), torch.zeros(1), None)]
    assert lazy == [True, True, False, False, False]


@claim("uninit-no-shape")
@both
def test_no_shape(kind):
    with pytest.raises(RuntimeError, match=r"(?i)can't access the shape of an uninitialized parameter or buffer"):
        _ = KINDS[kind]().shape
    with pytest.raises(RuntimeError, match=r"(?i)can't share memory on an uninitialized parameter or buffer"):
        KINDS[kind]().share_memory_()


OPERATIONS = {
    "+": lambda one: one + 1,
    "matmul": lambda one: one @ one,
    "sum": lambda one: one.sum(),
    "fill_": lambda one: one.fill_(1),
    "clone": lambda one: one.clone(),
    "detach": lambda one: one.detach(),
    "view": lambda one: one.view(-1),
    "numel": lambda one: one.numel(),
    "index": lambda one: one[0],
    "function": lambda one: torch.relu(one),
    "argument": lambda one: torch.zeros(1).add_(one),
}


@claim("uninit-no-operations")
@both
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operations(operation, kind):
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        OPERATIONS[operation](KINDS[kind]())


CONVERSIONS = {
    "half": (lambda module: module.half(), torch.float16),
    "float": (lambda module: module.double().float(), torch.float32),
    "double": (lambda module: module.double(), torch.float64),
    "to dtype": (lambda module: module.to(torch.bfloat16), torch.bfloat16),
    "to dtype and device": (lambda module: module.to("cpu", torch.float64), torch.float64),
    "cpu": (lambda module: module.cpu(), torch.float32),
}


def holder():
    module = nn.Module()
    module.parameter = UninitializedParameter()
    module.register_buffer("buffer", UninitializedBuffer())
    return module


@claim("uninit-converts")
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_conversions(conversion):
    convert, dtype = CONVERSIONS[conversion]
    module = holder()
    parameter = module.parameter
    assert convert(module) is module
    assert module.parameter is parameter
    assert [str(module.parameter), str(parameter.dtype)] == ["<UninitializedParameter>", str(dtype)]
    parameter.materialize((2, 3))
    assert (type(parameter), tuple(parameter.shape), parameter.dtype) == (nn.Parameter, (2, 3), dtype)


@claim("uninit-meta")
def test_to_the_meta_device():
    parameter = holder().to("meta").parameter
    seen = (type(parameter), parameter.device.type)
    assert seen == (UninitializedParameter, "meta"), f"seen a {type(parameter).__name__} on {parameter.device}"


@claim("uninit-converts-all")
@pytest.mark.parametrize("method", ["bfloat16", "type"])
def test_other_conversions(method):
    module = nn.Module()
    module.parameter = UninitializedParameter()
    try:
        module.bfloat16() if method == "bfloat16" else module.type(torch.bfloat16)
    except ValueError as error:
        pytest.fail(f"expected bfloat16, seen ValueError: {error}")
    assert module.parameter.dtype is torch.bfloat16


@claim("uninit-materialize")
@both
@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("shape", [(2, 3), (), (0,), torch.Size([4])], ids=str)
def test_materialize(shape, requires_grad, kind):
    tensor = same = KINDS[kind](requires_grad=requires_grad, dtype=torch.float64)
    assert tensor.materialize(shape) is None
    assert same is tensor
    assert type(tensor) is (nn.Parameter if kind == "parameter" else torch.Tensor)
    assert (tuple(tensor.shape), tensor.dtype, tensor.requires_grad) == (tuple(shape), torch.float64, requires_grad)
    assert (tensor + 1).shape == tensor.shape


@claim("uninit-materialize")
@both
def test_materialize_with_options(kind):
    first, second = KINDS[kind](device="meta"), KINDS[kind](dtype=torch.float64)
    first.materialize((2,))
    assert (first.device.type, first.dtype) == ("meta", torch.get_default_dtype())
    second.materialize((2,), dtype=torch.float16)
    assert (second.dtype, second.device.type) == (torch.float16, "cpu")
    third = KINDS[kind]()
    third.materialize((2,), device=torch.device("cpu"))
    assert (third.dtype, third.device.type) == (torch.get_default_dtype(), "cpu")


@claim("uninit-deepcopy")
@pytest.mark.parametrize("requires_grad", [True, False])
def test_deepcopy(requires_grad):
    parameter = UninitializedParameter(requires_grad=requires_grad, dtype=torch.float64)
    copied, same = copy.deepcopy([parameter, parameter])
    assert copied is same
    assert copied is not parameter
    assert (type(copied), copied.requires_grad) == (UninitializedParameter, requires_grad)
    copied.materialize((2,))
    assert copied.dtype is torch.float64
    assert type(parameter) is UninitializedParameter
