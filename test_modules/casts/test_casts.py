"""Casts and moves: which tensors they reach, what they keep, what they refuse."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


class Mixed(nn.Module):
    """Parameters and buffers of all kinds, some in a child."""

    def __init__(self):
        super().__init__()
        self.f = nn.Parameter(torch.ones(2))
        self.c = nn.Parameter(torch.ones(2, dtype=torch.complex64))
        self.i = nn.Parameter(torch.ones(2, dtype=torch.int32), requires_grad=False)
        self.absent = nn.Parameter(torch.ones(1))
        self.absent = None
        self.child = nn.Module()
        for name, dtype in (("bf", torch.float32), ("bb", torch.bool), ("bi", torch.int64), ("bc", torch.complex64)):
            self.child.register_buffer(name, torch.ones(2, dtype=dtype))
        self.register_buffer("none", None)
        self.register_buffer("hidden", torch.ones(1), persistent=False)


FLOATING = ("f", "hidden", "child.bf")
COMPLEX = ("c", "child.bc")
OTHERS = {"i": torch.int32, "child.bb": torch.bool, "child.bi": torch.int64}


def kinds(module):
    return {name: one.dtype for name, one in (*module.named_parameters(), *module.named_buffers())}


def expected(floating, of_complex=torch.complex64):
    return dict.fromkeys(FLOATING, floating) | dict.fromkeys(COMPLEX, of_complex) | OTHERS


CASTS = {
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "float": torch.float32,
    "double": torch.float64,
}


@claim("cast-float-only")
@pytest.mark.parametrize("method", CASTS)
@pytest.mark.parametrize("before", [torch.float32, torch.float64], ids=str)
def test_named_casts(before, method):
    module = Mixed()
    for name in ("f", "hidden"):
        getattr(module, name).data = getattr(module, name).data.to(before)
    module.child.bf = module.child.bf.to(before)
    assert getattr(module, method)() is module
    assert kinds(module) == expected(CASTS[method])
    assert (module.none, module.absent) == (None, None)


FORMS = {
    "dtype": lambda module, dtype: module.to(dtype),
    "keyword": lambda module, dtype: module.to(dtype=dtype),
    "device and dtype": lambda module, dtype: module.to("cpu", dtype),
    "non_blocking": lambda module, dtype: module.to(dtype, True),
    "tensor": lambda module, dtype: module.to(torch.ones(1, dtype=dtype)),
    "with a memory format": lambda module, dtype: module.to(dtype=dtype, memory_format=torch.channels_last),
}


@claim("cast-to-dtype")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.complex128], ids=str)
def test_to_a_dtype(dtype, form):
    module = Mixed()
    with warnings.catch_warnings():
        # A cast of complex values to real ones warns, and so does one to complex.
        warnings.simplefilter("ignore")
        assert FORMS[form](module, dtype) is module
    assert kinds(module) == expected(dtype, dtype)


@claim("cast-to-dtype")
@pytest.mark.parametrize("arguments", [(), (None,), ("cpu",), (torch.device("cpu"),)], ids=repr)
def test_to_without_a_dtype(arguments):
    module = Mixed()
    assert module.to(*arguments) is module
    assert kinds(module) == expected(torch.float32)


@claim("cast-to-int")
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, torch.bool], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_integers_are_refused(form, dtype):
    module = Mixed()
    with pytest.raises(
        TypeError, match=f"only accepts floating point or complex dtypes, but got desired dtype={dtype}"
    ):
        FORMS[form](module, dtype)
    assert kinds(module) == expected(torch.float32)


@claim("cast-identity")
@pytest.mark.parametrize(
    "cast",
    [lambda net: net.double(), lambda net: net.to(torch.float64), lambda net: net.type(torch.float64)],
    ids=["double", "to", "type"],
)
def test_casts_keep_the_parameters(cast, cell):
    net = cell.place(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1))))
    net[0].bias.requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    net(cell.tensor([[1.0, 2.0]])).sum().backward()
    before = [(id(one), one.requires_grad, one.is_leaf) for one in net.parameters()]
    values = [(one.tolist(), None if one.grad is None else one.grad.tolist()) for one in net.parameters()]
    net.register_forward_hook(lambda *_: None)
    assert cast(net) is net
    assert [(id(one), one.requires_grad, one.is_leaf) for one in net.parameters()] == before
    assert {type(one) for one in net.parameters()} == {nn.Parameter}
    assert {one.dtype for one in net.parameters()} == {torch.float64}
    assert [one.grad is None for one in net.parameters()] == [False, True, False, False]
    assert {one.grad.dtype for one in net.parameters() if one.grad is not None} == {torch.float64}
    assert [(one.tolist(), None if one.grad is None else one.grad.tolist()) for one in net.parameters()] == values
    optimizer.step()
    assert net[1][0].bias.item() == values[3][0][0] - 1


@claim("cast-identity")
def test_casting_records_nothing(cell):
    layer = cell.place(nn.Linear(1, 1)).double()
    assert (layer.weight.grad_fn, layer.weight.requires_grad) == (None, True)
    layer(cell.tensor([[2.0]], dtype=torch.float64)).backward()
    assert layer.weight.grad.dtype == torch.float64
    assert layer.weight.grad.tolist() == [[2]]


@claim("cast-identity")
def test_a_gradient_that_requires_gradients_is_cast(cell):
    layer = cell.place(nn.Linear(1, 1, bias=False))
    layer.weight.grad = cell.tensor([[3.0]], requires_grad=True)
    layer.double()
    seen = layer.weight.grad
    assert (seen.dtype, seen.requires_grad, seen.grad_fn, seen.tolist()) == (torch.float64, True, None, [[3]])


@claim("cast-no-change")
@pytest.mark.parametrize(
    "cast",
    [
        lambda net, cell: net.to(cell.dtype),
        lambda net, cell: net.to(cell.device.name),
        lambda net, cell: net.to(net.weight),
    ],
    ids=["dtype", "device", "tensor"],
)
def test_casts_to_what_is_there(cast, cell):
    norm = cell.place(nn.BatchNorm1d(2))
    before = {name: (id(one), one.data_ptr(), one.tolist()) for name, one in norm.state_dict(keep_vars=True).items()}
    cast(norm, cell)
    after = {name: (id(one), one.data_ptr(), one.tolist()) for name, one in norm.state_dict(keep_vars=True).items()}
    assert after == before


HALVES = {
    1.0: 1.0,
    1 + 2.0**-11: 1.0,  # a tie, to even
    1 + 3 * 2.0**-11: 1 + 2.0**-9,  # a tie, to even
    1 + 2.0**-11 + 2.0**-20: 1 + 2.0**-10,
    65504.0: 65504.0,
    65519.0: 65504.0,
    65520.0: np.inf,
    -1e30: -np.inf,
    2.0**-24: 2.0**-24,
    2.0**-25: 0.0,
    -0.0: -0.0,
    np.inf: np.inf,
    np.nan: np.nan,
}
BFLOATS = {
    1.0: 1.0,
    1 + 2.0**-8: 1.0,  # a tie, to even
    -1 - 3 * 2.0**-8: -1 - 2.0**-6,  # a tie, to even
    1 + 2.0**-8 + 2.0**-20: 1 + 2.0**-7,
    2.0**127: 2.0**127,
    2.0**128 - 2.0**104: np.inf,
    2.0**-126 + 2.0**-134: 2.0**-126,  # a tie, to even
    -0.0: -0.0,
    -np.inf: -np.inf,
    np.nan: np.nan,
}
ROUNDED = {
    "half": (lambda module: module.half(), HALVES, torch.float16),
    "to float16": (lambda module: module.to(torch.float16), HALVES, torch.float16),
    "bfloat16": (lambda module: module.bfloat16(), BFLOATS, torch.bfloat16),
    "to bfloat16": (lambda module: module.to(torch.bfloat16), BFLOATS, torch.bfloat16),
}


@claim("cast-values")
@pytest.mark.parametrize("name", ROUNDED)
def test_values_are_rounded(name, cell):
    cast, known, dtype = ROUNDED[name]
    module = nn.Module()
    module.p = nn.Parameter(cell.tensor(list(known)))
    module.register_buffer("b", cell.tensor(list(known)))
    cast(module)
    for seen in (module.p.detach(), module.b):
        assert_same(seen, cell.tensor(list(known.values()), dtype=dtype), what="values")
        assert torch.signbit(seen[list(known).index(0.0)]).item()


@pytest.fixture
def swapping():
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(before)


SWAPPING = {
    "double": (lambda module: module.double(), torch.float64, "cpu"),
    "bfloat16": (lambda module: module.to(torch.bfloat16), torch.bfloat16, "cpu"),
    "meta": (lambda module: module.to("meta"), torch.float32, "meta"),
    "meta, empty": (lambda module: module.to_empty(device="meta"), torch.float32, "meta"),
}


@claim("cast-swap")
@pytest.mark.usefixtures("swapping")
@pytest.mark.parametrize("graded", [False, True], ids=["", "graded"])
@pytest.mark.parametrize("name", SWAPPING)
def test_swapping_keeps_the_tensors(name, graded):
    convert, dtype, device = SWAPPING[name]
    module = nn.Linear(2, 3)
    module.bias.requires_grad_(False)
    held = [module.weight, module.bias]
    if graded:
        module(torch.ones(1, 2)).sum().backward()
    convert(module)
    assert all(one is old for one, old in zip(module.parameters(), held, strict=True))
    assert [one.requires_grad for one in held] == [True, False]
    assert (module.weight.grad is not None) == graded
    for one in [*held, module.weight.grad] if graded else held:
        assert (one.dtype, one.device.type) == (dtype, device)


@claim("cast-swap")
def test_no_swapping_by_default():
    assert torch.__future__.get_swap_module_params_on_conversion() is False
    module = nn.Linear(2, 3)
    weight = module.weight
    assert module.to("meta").weight is not weight
    assert weight.device.type == "cpu"


@claim("cast-tied")
@pytest.mark.parametrize(
    "cast", [lambda net: net.double(), lambda net: net.type(torch.float64)], ids=["double", "type"]
)
def test_ties_survive_casts(cast, cell):
    one, other = (cell.place(nn.Linear(2, 2, bias=False)) for _ in range(2))
    other.weight = one.weight
    net = nn.Sequential(one, other, one)
    one.weight.grad = torch.ones_like(one.weight)
    cast(net)
    assert net[0] is net[2]
    assert net[0].weight is net[1].weight
    assert (one.weight.dtype, one.weight.grad.dtype) == (torch.float64, torch.float64)
    assert len(list(net.parameters())) == 1


@claim("cast-type-all")
@pytest.mark.parametrize("kind", [torch.float64, "torch.DoubleTensor"], ids=str)
def test_type_casts_everything(kind):
    module = Mixed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert module.type(kind) is module
    assert set(kinds(module).values()) == {torch.float64}
    assert len(kinds(module)) == 8


@claim("cast-type-all", "cast-type-needs-float")
def test_type_to_integers():
    layer = nn.Linear(1, 1, bias=False).requires_grad_(False)
    layer.weight.fill_(2.75)
    layer.type(torch.int32)
    assert (layer.weight.dtype, layer.weight.tolist()) == (torch.int32, [[2]])


@claim("cast-type-needs-float")
@pytest.mark.parametrize("dtype", [torch.int32, torch.bool], ids=str)
def test_type_to_integers_with_gradients(dtype):
    layer = nn.Linear(1, 1, bias=False)
    before = layer.weight.tolist()
    with pytest.raises(RuntimeError, match="requires gradients must be floating point or complex dtype"):
        layer.type(dtype)
    assert (layer.weight.dtype, layer.weight.tolist()) == (torch.float32, before)


@claim("cast-memory-format")
def test_channels_last(cell, rng):
    net = cell.place(nn.Sequential(nn.Conv2d(2, 3, (2, 4)), nn.Conv1d(2, 3, 2), nn.Linear(2, 3), nn.BatchNorm2d(3)))
    net.register_buffer("image", cell.tensor(rng.normal(size=(2, 3, 4, 5))))
    strides = {name: one.stride() for name, one in net.state_dict().items()}
    values = {name: one.tolist() for name, one in net.state_dict().items()}
    parameters = [id(one) for one in net.parameters()]
    assert net.to(memory_format=torch.channels_last) is net
    assert {name: one.tolist() for name, one in net.state_dict().items()} == values
    assert [id(one) for one in net.parameters()] == parameters
    strides |= {"image": (3 * 4 * 5, 1, 5 * 3, 3), "0.weight": (2 * 2 * 4, 1, 4 * 2, 2)}
    assert {name: one.stride() for name, one in net.state_dict().items()} == strides


@claim("cast-memory-format")
def test_channels_last_with_a_dtype(cell):
    conv = cell.place(nn.Conv2d(2, 3, 2)).to(dtype=torch.float64, memory_format=torch.channels_last)
    assert conv.weight.stride() == (8, 1, 4, 2)
    assert (conv.weight.dtype, conv.bias.dtype) == (torch.float64, torch.float64)
    conv.to(memory_format=torch.contiguous_format)
    assert conv.weight.stride() == (8, 4, 2, 1)


@claim("cast-memory-format-5d")
def test_channels_last_beside_five_dimensions(cell):
    net = cell.place(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv3d(2, 2, 1)))
    before = net[1].weight.stride()
    try:
        net.to(memory_format=torch.channels_last)
    except RuntimeError as error:
        raise AssertionError(f"expected five dimensions to stay, seen {error}") from None
    assert net[1].weight.stride() == before


@claim("cast-to-empty")
@pytest.mark.parametrize("recurse", [True, False])
def test_to_empty(recurse, cell):
    net = nn.Sequential(nn.BatchNorm1d(3, device="meta", dtype=torch.float64), nn.Linear(2, 3, device="meta"))
    net.register_parameter("own", nn.Parameter(torch.ones(2, 5, device="meta")))
    shapes = {name: (one.shape, one.dtype) for name, one in net.state_dict().items()}
    assert net.to_empty(device=cell.device.name, recurse=recurse) is net
    assert {name: (one.shape, one.dtype) for name, one in net.state_dict().items()} == shapes
    moved = [name for name, one in net.state_dict().items() if not one.is_meta]
    assert moved == (list(shapes) if recurse else ["own"])
    assert {type(one) for one in net.parameters()} == {nn.Parameter}
    assert all(one.requires_grad for one in net.parameters())


@claim("cast-to-empty")
def test_to_empty_on_the_same_device(cell):
    layer = cell.place(nn.Linear(2, 3))
    before = {one.data_ptr(): one for one in layer.state_dict().values()}
    layer.to_empty(device=cell.device.name)
    assert before.keys().isdisjoint(one.data_ptr() for one in layer.parameters())


@claim("cast-meta")
def test_meta_has_nothing_to_move(cell):
    layer = nn.Linear(2, 3, device="meta")
    with pytest.raises(NotImplementedError, match=r"no data! Please use torch\.nn\.Module\.to_empty\(\) instead"):
        layer.to(cell.device.name)
    assert layer.weight.is_meta
    assert layer.to("meta") is layer
    assert layer.to("meta", torch.float64).weight.dtype == torch.float64


@claim("cast-to-complex")
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_layers(dtype, cell):
    layer = cell.place(nn.Linear(2, 1, bias=False))
    layer.weight.data.copy_(cell.tensor([[2.0, 3.0]]))
    with pytest.warns(UserWarning, match="Complex modules are a new feature"):
        layer.to(dtype)
    assert layer.weight.dtype == dtype
    x = torch.complex(cell.tensor([[1.0, 0.0]]), cell.tensor([[0.0, 5.0]])).to(dtype)
    assert layer(x).tolist() == [[2 + 15j]]


@claim("cast-to-complex")
def test_real_casts_do_not_warn(cell):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cell.place(nn.Linear(1, 1)).to(torch.float64)
    assert [str(one.message) for one in seen] == []


LAYERS = {
    "Linear": lambda **kwargs: nn.Linear(2, 3, **kwargs),
    "Conv2d": lambda **kwargs: nn.Conv2d(2, 2, 3, groups=2, **kwargs),
    "ConvTranspose1d": lambda **kwargs: nn.ConvTranspose1d(2, 2, 3, **kwargs),
    "BatchNorm2d": lambda **kwargs: nn.BatchNorm2d(2, **kwargs),
    "InstanceNorm1d": lambda **kwargs: nn.InstanceNorm1d(2, affine=True, track_running_stats=True, **kwargs),
    "GroupNorm": lambda **kwargs: nn.GroupNorm(2, 4, **kwargs),
    "LayerNorm": lambda **kwargs: nn.LayerNorm((2, 3), **kwargs),
    "Embedding": lambda **kwargs: nn.Embedding(3, 2, **kwargs),
    "EmbeddingBag": lambda **kwargs: nn.EmbeddingBag(3, 2, **kwargs),
    "PReLU": lambda **kwargs: nn.PReLU(2, **kwargs),
    "Bilinear": lambda **kwargs: nn.Bilinear(2, 2, 2, **kwargs),
    "LSTM": lambda **kwargs: nn.LSTM(2, 2, bidirectional=True, **kwargs),
    "GRUCell": lambda **kwargs: nn.GRUCell(2, 2, **kwargs),
    "MultiheadAttention": lambda **kwargs: nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True, **kwargs),
    "TransformerEncoderLayer": lambda **kwargs: nn.TransformerEncoderLayer(4, 2, 4, **kwargs),
    "TransformerDecoderLayer": lambda **kwargs: nn.TransformerDecoderLayer(4, 2, 4, **kwargs),
    "Transformer": lambda **kwargs: nn.Transformer(4, 2, 1, 1, 4, batch_first=True, **kwargs),
    "AdaptiveLogSoftmaxWithLoss": lambda **kwargs: nn.AdaptiveLogSoftmaxWithLoss(16, 6, [2, 4], **kwargs),
}  # fmt: skip


@claim("cast-factory-kwargs")
@pytest.mark.parametrize("layer", LAYERS)
def test_factory_arguments(layer, cell):
    kwargs = {"device": cell.device.name, "dtype": cell.dtype}
    state = LAYERS[layer](**kwargs).state_dict()
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert counters == ({"num_batches_tracked"} if layer in ("BatchNorm2d", "InstanceNorm1d") else set())
    assert {state[name].dtype for name in counters} <= {torch.int64}
    assert {one.dtype for name, one in state.items() if name not in counters} == {cell.dtype}
    assert {one.device.type for one in state.values()} == {torch.device(cell.device.name).type}


@claim("cast-factory-kwargs")
@pytest.mark.parametrize("layer", LAYERS)
def test_factory_device(layer):
    built = LAYERS[layer](device="meta")
    assert {one.is_meta for one in (*built.parameters(), *built.buffers())} == {True}
    assert {one.dtype for one in built.parameters()} == {torch.float32}


@claim("cast-factory-default")
def test_the_default_dtype_at_construction():
    before = nn.BatchNorm1d(2)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        after = nn.BatchNorm1d(2)
        explicit = nn.BatchNorm1d(2, dtype=torch.float16)
    finally:
        torch.set_default_dtype(default)
    for norm, dtype in ((before, torch.float32), (after, torch.float64), (explicit, torch.float16)):
        assert [one.dtype for one in norm.state_dict().values()] == [dtype] * 4 + [torch.int64]
