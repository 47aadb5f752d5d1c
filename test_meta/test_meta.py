"""Meta tensors: what works without data, and what does not."""

import io
import resource
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

REFUSED = {
    "to": (lambda x: x.to("cpu"), NotImplementedError, "Cannot copy out of meta tensor"),
    "cpu": (lambda x: x.cpu(), NotImplementedError, "Cannot copy out of meta tensor"),
    "copy_": (lambda x: torch.ones(3).copy_(x), NotImplementedError, "Cannot copy out of meta tensor"),
    "tolist": (lambda x: x.tolist(), NotImplementedError, "Cannot copy out of meta tensor"),
    "numpy": (lambda x: x.numpy(), TypeError, "can't convert meta device type tensor to numpy"),
    "item": (lambda x: x[0].item(), RuntimeError, "Tensor.item.. cannot be called on meta tensors|_local_scalar_dense"),
    "bool": (lambda x: bool(x[0]), RuntimeError, "cannot be called on meta tensors|_local_scalar_dense"),
    "branch": (lambda x: bool((x == x).all()), RuntimeError, "cannot be called on meta tensors|_local_scalar_dense"),
    "float": (lambda x: float(x[0]), RuntimeError, "cannot be called on meta tensors|_local_scalar_dense"),
    "nonzero": (lambda x: x.nonzero(), NotImplementedError, "nonzero"),
    "unique": (lambda x: x.unique(), NotImplementedError, "_unique2"),
}


@claim("meta-no-data")
@pytest.mark.parametrize(("ask", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_needs_data(ask, error, message):
    x = torch.ones(3, device="meta")
    with pytest.raises(error, match=message):
        ask(x)
    assert (x.is_meta, x.shape) == (True, (3,))


@claim("meta-no-data")
def test_real_and_meta_do_not_mix():
    with pytest.raises(RuntimeError, match=r"meta"):
        torch.ones(3, device="meta") + torch.ones(3)


@claim("meta-prints")
def test_printing():
    text = repr(torch.randn(2, 3, device="meta"))
    assert text == "tensor(..., device='meta', size=(2, 3))"
    assert "size=(4, 3)" in repr(nn.Linear(3, 4, device="meta").weight)


OPERATIONS = {
    "sum": lambda x: x.sum(1),
    "sum, kept": lambda x: x.sum((0, 2), keepdim=True),
    "matmul": lambda x: x @ x.transpose(1, 2),
    "broadcast": lambda x: x + x[:1, :, :1],
    "transpose": lambda x: x.transpose(0, 2),
    "slice": lambda x: x[1:, ::2, None],
    "cat": lambda x: torch.cat([x, x], 1),
    "comparison": lambda x: x > 0,
    "argmax": lambda x: x.argmax(2),
    "maximum": lambda x: x.max(0).values,
    "sort": lambda x: x.sort(1).indices,
    "to float32": lambda x: x.to(torch.float32),
    "integers": lambda x: x.long() // 2,
    "promotion": lambda x: x + torch.ones((), dtype=torch.float64, device=x.device),
    "expand": lambda x: x[:, :1].expand(2, 3, 4),
    "reshape": lambda x: x.transpose(0, 1).reshape(3, 8),
    "softmax": lambda x: F.softmax(x, -1),
    "one-hot": lambda x: torch.zeros(2, 5, device=x.device).scatter(1, x[:, :1, 0].long() * 0, 1.0),
    "cumsum": lambda x: x.cumsum(0),
    "empty": lambda x: x[:0],
    "einsum": lambda x: torch.einsum("abc,dbc->ad", x, x),
    "where": lambda x: torch.where(x > 0, x, x.new_zeros(())),
}


def kind(tensor):
    return tuple(tensor.shape), tensor.dtype, tensor.stride()


@claim("meta-results")
@pytest.mark.parametrize("function", OPERATIONS.values(), ids=OPERATIONS)
def test_shape_dtype_and_strides(cell, rng, function):
    x = cell.tensor(rng.normal(size=(2, 3, 4)))
    seen = function(x.to("meta"))
    assert seen.is_meta
    assert kind(seen) == kind(function(x))


LAYERS = {
    "Linear": (lambda: nn.Linear(6, 5), (4, 6)),
    "Conv1d": (lambda: nn.Conv1d(6, 4, 3, stride=2, padding=1, dilation=2), (2, 6, 17)),
    "Conv2d": (lambda: nn.Conv2d(6, 4, (2, 3), stride=(1, 2), padding=(0, 1), groups=2), (2, 6, 7, 9)),
    "Conv3d": (lambda: nn.Conv3d(6, 4, 2, padding="same"), (1, 6, 3, 4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1), (2, 6, 5, 7)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6), (2, 6, 3, 4)),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), (2, 6, 3, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), (2, 6, 5)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 6, 8, 9)),
    "AvgPool2d": (lambda: nn.AvgPool2d((2, 3), ceil_mode=True), (2, 6, 8, 9)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, None)), (2, 6, 8, 9)),
    "Flatten": (lambda: nn.Flatten(), (2, 6, 3, 4)),
    "Dropout": (lambda: nn.Dropout(), (2, 6)),
    "Upsample": (lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"), (2, 6, 5, 7)),
    "Sequential": (lambda: nn.Sequential(nn.Conv2d(6, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4)), (2, 6, 4, 5)),
}


@claim("meta-layers")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
def test_layers(make, shape):
    real, meta = make(), make().to("meta")
    x = torch.randn(shape, requires_grad=True)
    x_meta = torch.empty(shape, device="meta", requires_grad=True)
    out, out_meta = real(x), meta(x_meta)
    assert (out_meta.is_meta, out_meta.shape, out_meta.dtype) == (True, out.shape, out.dtype)
    out.sum().backward()
    out_meta.sum().backward()
    for one, other in zip([x, *real.parameters()], [x_meta, *meta.parameters()], strict=True):
        assert (other.grad.is_meta, other.grad.shape) == (True, one.grad.shape)


@claim("meta-layers")
def test_a_step_of_an_optimizer():
    linear = nn.Linear(3, 2, device="meta")
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.5, momentum=0.5)
    linear(torch.ones(4, 3, device="meta")).sum().backward()
    optimizer.step()
    assert optimizer.state[linear.weight]["momentum_buffer"].is_meta


MAKERS = {
    "randn": lambda **k: torch.randn(2, 3, **k),
    "tensor": lambda **k: torch.tensor([1.0, 2.0], **k),
    "arange": lambda **k: torch.arange(3, **k),
    "zeros": lambda **k: torch.zeros(3, **k),
    "full": lambda **k: torch.full((3,), 2.0, **k),
    "eye": lambda **k: torch.eye(3, **k),
    "Linear": lambda **k: nn.Linear(2, 3, **k).weight,
    "BatchNorm1d": lambda **k: nn.BatchNorm1d(3, **k).running_var,
    "counter": lambda **k: nn.BatchNorm1d(3, **k).num_batches_tracked,
    "Embedding": lambda **k: nn.Embedding(4, 3, **k).weight,
    "Conv2d": lambda **k: nn.Conv2d(2, 3, 3, **k).bias,
}


@claim("meta-context")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_within_the_context(make):
    with torch.device("meta"):
        inside, elsewhere = make(), make(device="cpu")
        with torch.device("cpu"):
            nested = make()
    assert [one.device.type for one in (inside, elsewhere, nested, make())] == ["meta", "cpu", "cpu", "cpu"]
    assert (inside.shape, inside.dtype) == (elsewhere.shape, elsewhere.dtype)


@claim("meta-map-location")
def test_loading_onto_meta():
    file = io.BytesIO()
    torch.save({"a": torch.randn(2, 3), "b": [torch.arange(4)], **nn.Linear(3, 2).state_dict()}, file)
    file.seek(0)
    loaded = torch.load(file, map_location="meta", weights_only=True)
    seen = [(one.device.type, tuple(one.shape), one.dtype) for one in (loaded["a"], loaded["b"][0], loaded["weight"])]
    assert seen == [("meta", (2, 3), torch.float32), ("meta", (4,), torch.int64), ("meta", (2, 3), torch.float32)]


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 2, bias=False)))


@claim("meta-module-to")
def test_moving_a_module_away():
    with torch.device("meta"):
        module = network()
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        module.to("cpu")
    assert all(value.is_meta for value in module.state_dict().values())


@claim("meta-to-empty")
def test_to_empty(cell):
    device = cell.device.name
    with torch.device("meta"):
        module = network().to(cell.dtype)
    module[0].bias.requires_grad_(False)
    module.register_buffer("scratch", torch.ones(2, device="meta"), persistent=False)
    assert module.to_empty(device=device) is module
    assert not any(one.is_meta for one in [*module.parameters(), *module.buffers()])
    expected = network().to(device, cell.dtype)
    assert [(name, kind(one)) for name, one in module.state_dict().items()] == [
        (name, kind(one)) for name, one in expected.state_dict().items()
    ]
    assert all(
        one.device == other.device for one, other in zip(module.parameters(), expected.parameters(), strict=True)
    )
    assert [name for name, one in module.named_parameters() if not one.requires_grad] == ["0.bias"]
    assert all(isinstance(one, nn.Parameter) for one in module.parameters())
    torch.manual_seed(1)
    for layer in (module[0], module[1], module[2][0]):
        layer.reset_parameters()
    torch.manual_seed(1)
    for layer in (expected[0], expected[1], expected[2][0]):
        layer.reset_parameters()
    x = cell.tensor(np.ones((2, 3)) * [[1.0], [2.0]])
    assert_same(module(x).detach(), expected(x).detach(), what="output after initialisation")


@claim("meta-to-empty")
def test_to_empty_needs_a_device():
    with pytest.raises(TypeError, match="device"):
        nn.Linear(2, 2, device="meta").to_empty()


@claim("meta-empty-like")
def test_empty_like(cell):
    x = torch.empty(2, 3, dtype=cell.dtype, device="meta").t()
    y = torch.empty_like(x, device=cell.device.name)
    assert (y.is_meta, kind(y)) == (False, kind(x))


@claim("meta-assign")
def test_assign():
    source = network()
    with torch.device("meta"):
        module = network()
    module[0].bias.requires_grad_(False)
    state = source.state_dict()
    result = module.load_state_dict(state, assign=True)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    for name, one in module.state_dict().items():
        assert one.data_ptr() == state[name].data_ptr(), name
    assert all(isinstance(one, nn.Parameter) for one in module.parameters())
    assert [name for name, one in module.named_parameters() if not one.requires_grad] == ["0.bias"]
    x = torch.randn(5, 3)
    assert_same(module.eval()(x).detach(), source.eval()(x).detach(), what="output")


@claim("meta-assign")
def test_without_assign():
    module = nn.Linear(3, 4, bias=False, device="meta")
    with pytest.warns(UserWarning, match="for weight: copying from a non-meta parameter .* no-op"):
        module.load_state_dict(nn.Linear(3, 4, bias=False).state_dict())
    assert module.weight.is_meta


@claim("meta-optimizer")
def test_an_optimizer_made_too_early():
    module = nn.Linear(1, 1, device="meta")
    early = torch.optim.SGD(module.parameters(), lr=0.5)
    module.load_state_dict({"weight": torch.ones(1, 1), "bias": torch.zeros(1)}, assign=True)
    late = torch.optim.SGD(module.parameters(), lr=0.5)
    module(torch.ones(1, 1)).sum().backward()
    early.step()
    assert module.weight.item() == 1.0
    late.step()
    assert module.weight.item() == 0.5


INIT = {
    "uniform_": (3, 4),
    "normal_": (3, 4),
    "trunc_normal_": (3, 4),
    "ones_": (3, 4),
    "zeros_": (3, 4),
    "eye_": (3, 4),
    "dirac_": (3, 4, 3),
    "xavier_uniform_": (3, 4),
    "xavier_normal_": (3, 4),
    "kaiming_uniform_": (3, 4),
    "kaiming_normal_": (3, 4),
    "orthogonal_": (3, 4),
    "sparse_": (3, 4),
}


@claim("meta-init")
@pytest.mark.parametrize("name", INIT)
def test_initialising_nothing(name):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    x = torch.empty(INIT[name], device="meta")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(nn.init, name)(x, **({"sparsity": 0.5} if name == "sparse_" else {})) is x
    assert (x.is_meta, x.shape) == (True, INIT[name])
    assert_same(torch.rand(3), expected, what="the next numbers")


@claim("meta-no-memory")
def test_a_tensor_larger_than_any_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x = torch.empty(2**20, 2**20, device="meta")
    y = (x @ x).relu() + 1
    assert (y.shape, y.data_ptr()) == ((2**20, 2**20), 0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20, "kilobytes, of 4 TB"
