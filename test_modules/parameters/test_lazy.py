"""Lazy layers and LazyModuleMixin."""

import contextlib
import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torchclaims import claim
from torchclaims.tolerance import assert_same

# PyTorch 2.0 warns of each lazy module that is made.
pytestmark = pytest.mark.filterwarnings("ignore:Lazy modules")

ALL = dict(affine=True, track_running_stats=True)
NORM = dict(weight=(3,), bias=(3,), running_mean=(3,), running_var=(3,))
# How to make the lazy layer and the regular one, an input, the attribute inferred, and the shapes that follow.
LAYERS = {
    "Linear": (lambda **kw: nn.LazyLinear(4, **kw), lambda **kw: nn.Linear(3, 4, **kw), (2, 3),
               "in_features", dict(weight=(4, 3), bias=(4,))),
    "Conv1d": (lambda **kw: nn.LazyConv1d(4, 2, **kw), lambda **kw: nn.Conv1d(3, 4, 2, **kw), (2, 3, 5),
               "in_channels", dict(weight=(4, 3, 2), bias=(4,))),
    "Conv2d": (lambda **kw: nn.LazyConv2d(6, (2, 1), groups=3, **kw),
               lambda **kw: nn.Conv2d(3, 6, (2, 1), groups=3, **kw), (2, 3, 5, 4),
               "in_channels", dict(weight=(6, 1, 2, 1), bias=(6,))),
    "Conv3d": (lambda **kw: nn.LazyConv3d(4, 2, **kw), lambda **kw: nn.Conv3d(3, 4, 2, **kw), (2, 3, 5, 4, 6),
               "in_channels", dict(weight=(4, 3, 2, 2, 2), bias=(4,))),
    "ConvTranspose1d": (lambda **kw: nn.LazyConvTranspose1d(4, 2, **kw), lambda **kw: nn.ConvTranspose1d(3, 4, 2, **kw),
                        (2, 3, 5), "in_channels", dict(weight=(3, 4, 2), bias=(4,))),
    "ConvTranspose2d": (lambda **kw: nn.LazyConvTranspose2d(6, (2, 1), groups=3, **kw),
                        lambda **kw: nn.ConvTranspose2d(3, 6, (2, 1), groups=3, **kw), (2, 3, 5, 4),
                        "in_channels", dict(weight=(3, 2, 2, 1), bias=(6,))),
    "ConvTranspose3d": (lambda **kw: nn.LazyConvTranspose3d(4, 2, **kw),
                        lambda **kw: nn.ConvTranspose3d(3, 4, 2, **kw), (2, 3, 5, 4, 2),
                        "in_channels", dict(weight=(3, 4, 2, 2, 2), bias=(4,))),
    "BatchNorm1d": (nn.LazyBatchNorm1d, lambda **kw: nn.BatchNorm1d(3, **kw), (2, 3, 5), "num_features", NORM),
    "BatchNorm2d": (nn.LazyBatchNorm2d, lambda **kw: nn.BatchNorm2d(3, **kw), (2, 3, 5, 4), "num_features", NORM),
    "BatchNorm3d": (nn.LazyBatchNorm3d, lambda **kw: nn.BatchNorm3d(3, **kw), (2, 3, 5, 4, 2), "num_features", NORM),
    **{
        f"InstanceNorm{rank}d": (
            lambda kind=f"LazyInstanceNorm{rank}d", **kw: getattr(nn, kind)(**ALL, **kw),
            lambda kind=f"InstanceNorm{rank}d", **kw: getattr(nn, kind)(3, **ALL, **kw),
            (2, 3, 5, 4, 2)[: rank + 2], "num_features", NORM,
        )
        for rank in (1, 2, 3)
    },
}  # fmt: skip
layers = pytest.mark.parametrize("layer", LAYERS)


def tensors(module):
    return dict(module.named_parameters()) | dict(module.named_buffers())


def factory(cell):
    return dict(device=cell.device.name, dtype=cell.dtype)


@claim("lazy-becomes-regular")
@layers
def test_first_call(layer, cell, rng):
    make, regular, shape, attribute, shapes = LAYERS[layer]
    lazy = make(**factory(cell))
    before = tensors(lazy)
    for name in shapes:
        uninitialised = UninitializedBuffer if name.startswith("running") else UninitializedParameter
        assert type(before[name]) is uninitialised, name
    assert type(lazy).__name__ == f"Lazy{layer}"
    assert lazy.has_uninitialized_params()
    assert getattr(lazy, attribute) == 0
    lazy(cell.tensor(rng.normal(size=shape)))
    expected = regular(**factory(cell))
    assert type(lazy) is type(expected) is getattr(nn, layer)
    assert getattr(lazy, attribute) == 3
    assert repr(lazy) == repr(expected)
    after = tensors(lazy)
    assert list(after) == list(tensors(expected))
    for name, size in shapes.items():
        assert after[name] is before[name]
        assert type(after[name]) is (torch.Tensor if name.startswith("running") else nn.Parameter)
        assert (tuple(after[name].shape), after[name].dtype) == (size, cell.dtype)
    assert lazy._forward_pre_hooks == expected._forward_pre_hooks


@claim("lazy-initialised-as-regular", "lazy-computes-as-regular")
@layers
def test_values_are_the_regular_layers(layer, cell, rng):
    make, regular, shape, _, _ = LAYERS[layer]
    lazy = make(**factory(cell))
    x = cell.tensor(rng.normal(size=shape))
    torch.manual_seed(7)
    expected = regular(**factory(cell))
    for tensor in expected.parameters():
        tensor.detach_().requires_grad_() if tensor.grad_fn else tensor
    torch.manual_seed(7)
    output = lazy(x)
    initial = {name: tensor for name, tensor in expected.named_parameters()}
    for name, tensor in lazy.named_parameters():
        assert_same(tensor.detach(), initial[name].detach(), what=f"initial {name}")
    assert_same(output, expected(x), what="the first output")
    for name, tensor in lazy.named_buffers():
        assert_same(tensor, dict(expected.named_buffers())[name], what=f"{name} after the first call")
    assert_same(lazy(x), expected(x), what="the second output")


@claim("lazy-initialised-last")
def test_lazy_layers_are_initialised_last():
    torch.manual_seed(3)
    mixed = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2))
    mixed(torch.zeros(1, 2))
    torch.manual_seed(3)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert_same(mixed[1].weight.detach(), first.weight.detach(), what="the regular layer, which draws first")
    assert_same(mixed[0].weight.detach(), second.weight.detach(), what="the lazy layer, which draws second")


@claim("lazy-first-input")
@pytest.mark.parametrize("layer", ["Linear", "Conv2d", "BatchNorm2d"])
def test_another_size(layer, cell, rng):
    make, _, shape, attribute, _ = LAYERS[layer]
    module = make(**factory(cell))
    module(cell.tensor(rng.normal(size=shape)))
    before = {name: tensor.detach().clone() for name, tensor in module.named_parameters()}
    with pytest.raises(RuntimeError):
        module(cell.tensor(rng.normal(size=(shape[0], 6, *shape[2:]))))
    assert getattr(module, attribute) == 3
    for name, tensor in module.named_parameters():
        assert_same(tensor.detach(), before[name], what=name)


@claim("lazy-converted-first")
@layers
def test_converted_before_the_first_call(layer, rng):
    make, _, shape, _, _ = LAYERS[layer]
    net = nn.Sequential(make())
    assert net.double() is net
    kinds = {tensor.dtype for name, tensor in tensors(net).items() if "num_batches" not in name}
    assert kinds == {torch.float64}
    output = net(torch.tensor(rng.normal(size=shape).tolist(), dtype=torch.float64))
    assert output.dtype is torch.float64
    kinds = {tensor.dtype for name, tensor in tensors(net).items() if "num_batches" not in name}
    assert kinds == {torch.float64}


@claim("lazy-options")
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        *((layer, {"bias": False}) for layer in LAYERS if "Norm" not in layer),
        *((layer, {"affine": False}) for layer in LAYERS if "Batch" in layer),
        *((layer, {"track_running_stats": False}) for layer in LAYERS if "Batch" in layer),
        ("BatchNorm1d", {"eps": 0.5, "momentum": None}),
        ("Conv2d", {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2), "padding_mode": "circular"}),
        ("ConvTranspose2d", {"stride": (2, 1), "padding": (0, 1), "output_padding": (1, 0), "dilation": (2, 1)}),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(map("{0[0]}={0[1]}".format, one.items())),
)
def test_options(layer, options, cell, rng):
    make, regular, shape, _, _ = LAYERS[layer]
    lazy, expected = make(**options, **factory(cell)), regular(**options, **factory(cell))
    assert list(tensors(lazy)) == list(tensors(expected))
    x = cell.tensor(rng.normal(size=shape))
    output = lazy(x)
    assert repr(lazy) == repr(expected)
    expected.load_state_dict(lazy.state_dict())
    if "Norm" not in layer:
        assert_same(output, expected(x), what="output")
    assert list(lazy.state_dict()) == list(expected.state_dict())


@claim("lazy-conv-unbatched")
@pytest.mark.parametrize("layer", [layer for layer in LAYERS if "Conv" in layer])
def test_unbatched_convolution(layer, cell, rng):
    make, _, shape, _, shapes = LAYERS[layer]
    module = make(**factory(cell))
    with contextlib.suppress(RuntimeError):  # of an output that cannot be computed; the sizes tell why
        module(cell.tensor(rng.normal(size=shape[1:])))
    assert module.in_channels == 3
    assert tuple(module.weight.shape) == shapes["weight"]


@claim("lazy-conv-refuses")
@pytest.mark.parametrize("layer", [layer for layer in LAYERS if "Conv" in layer])
@pytest.mark.parametrize("more", [2, -2])
def test_wrong_dimensions(more, layer, cell):
    make, _, shape, _, _ = LAYERS[layer]
    module = make(**factory(cell))
    x = cell.tensor(torch.zeros((*shape, 1, 1)[: len(shape) + more]).tolist())
    with pytest.raises(
        RuntimeError, match=rf"Expected {len(shape) - 1}D \(unbatched\) or {len(shape)}D \(batched\) input"
    ):
        module(x)
    assert type(module).__name__ == f"Lazy{layer}"
    assert module.has_uninitialized_params()


@claim("lazy-conv-refuses")
@pytest.mark.parametrize("layer", ["Conv2d", "ConvTranspose2d"])
def test_indivisible_channels(layer, cell):
    module = LAYERS[layer][0](**factory(cell))
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        module(cell.tensor([[[[1.0] * 4] * 5] * 4]))
    assert type(module).__name__ == f"Lazy{layer}"
    assert type(module.weight) is UninitializedParameter


@claim("lazy-instancenorm-unbatched")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unbatched_instance_norm(rank, cell, rng):
    make, _, shape, _, _ = LAYERS[f"InstanceNorm{rank}d"]
    module = make(**factory(cell))
    try:
        module(cell.tensor(rng.normal(size=shape[1:])))
    except ValueError as error:
        pytest.fail(f"expected 3 channels, seen {module.num_features}: {error}")
    assert (module.num_features, tuple(module.weight.shape)) == (3, (3,))


@claim("lazy-instancenorm-defaults")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_instance_norm_defaults(rank):
    module = getattr(nn, f"LazyInstanceNorm{rank}d")()
    seen = (module.affine, module.track_running_stats, list(tensors(module)))
    assert seen == (False, False, []), f"affine={seen[0]}, track_running_stats={seen[1]}"


@claim("lazy-instancenorm-arguments")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_instance_norm_arguments(rank):
    try:
        module = getattr(nn, f"LazyInstanceNorm{rank}d")(num_features=3)
    except TypeError as error:
        pytest.fail(f"expected a layer, seen TypeError: {error}")
    assert isinstance(module, LazyModuleMixin)


@claim("lazy-norm-without-state")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_norm_without_state(rank, cell, rng):
    make, _, shape, _, _ = LAYERS[f"BatchNorm{rank}d"]
    module = make(affine=False, track_running_stats=False)
    module(cell.tensor(rng.normal(size=shape)))
    assert module.num_features == 3


# --- state


@claim("lazy-state")
@layers
def test_state(layer, cell, rng):
    make, _, shape, _, shapes = LAYERS[layer]
    net = nn.Sequential(make(**factory(cell)))
    before = net.state_dict()
    for name in shapes:
        assert before[f"0.{name}"] is tensors(net[0])[name]
    net(cell.tensor(rng.normal(size=shape)))
    after = net.state_dict()
    assert list(after) == list(before)
    for name, size in shapes.items():
        assert (type(after[f"0.{name}"]), tuple(after[f"0.{name}"].shape)) == (torch.Tensor, size)
        assert not after[f"0.{name}"].requires_grad


@claim("lazy-state")
@pytest.mark.parametrize("persistent", [True, False])
def test_regular_tensors_of_a_lazy_module(persistent):
    layer = nn.LazyLinear(3)
    layer.extra = nn.Parameter(torch.zeros(1))
    layer.register_buffer("seen", torch.zeros(2, requires_grad=True) * 2, persistent=persistent)
    layer.register_buffer("none", None)
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "extra", *(["seen"] if persistent else [])]
    assert not any(value.requires_grad for key, value in state.items() if key in ("extra", "seen"))
    kept = layer.state_dict(keep_vars=True)
    assert kept["extra"] is layer.extra
    assert kept["weight"] is layer.weight
    assert kept.get("seen") is (layer.seen if persistent else None)


@claim("lazy-loads")
@layers
def test_loads_a_regular_state(layer, cell, rng):
    make, regular, shape, _, _ = LAYERS[layer]
    source, target = regular(**factory(cell)), make(**factory(cell))
    for tensor in tensors(source).values():
        tensor.data.copy_(cell.tensor(rng.integers(1, 9, tuple(tensor.shape)), dtype=tensor.dtype))
    assert str(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert not target.has_uninitialized_params()
    for name, tensor in target.state_dict().items():
        assert_same(tensor, source.state_dict()[name], what=f"loaded {name}")
    x = cell.tensor(rng.normal(size=shape))
    assert_same(target(x), source(x), what="output")
    assert type(target) is type(source)
    for name, tensor in target.state_dict().items():
        assert_same(tensor, source.state_dict()[name], what=f"{name} after the first call")


@claim("lazy-loads-sizes")
@pytest.mark.parametrize(
    "layer", ["Linear", "Conv1d", "Conv2d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d", "InstanceNorm2d"]
)
def test_sizes_of_a_loaded_layer(layer, cell, rng):
    make, regular, shape, attribute, _ = LAYERS[layer]
    module = make(**factory(cell))
    module.load_state_dict(regular(**factory(cell)).state_dict())
    module(cell.tensor(rng.normal(size=shape)))
    assert getattr(module, attribute) == 3, f"{attribute}: expected 3, seen {getattr(module, attribute)}"


@claim("lazy-loads-uninitialised")
@layers
def test_uninitialised_state(layer, cell, rng):
    make, regular, shape, _, _ = LAYERS[layer]
    state = make(**factory(cell)).state_dict()
    lazy = make(**factory(cell))
    try:
        result = str(lazy.load_state_dict(state))
    except RuntimeError as error:
        result = str(error)
    assert result == "<All keys matched successfully>"
    assert lazy.has_uninitialized_params()
    lazy(cell.tensor(rng.normal(size=shape)))
    for initialised in (lazy, regular(**factory(cell))):
        with pytest.raises(RuntimeError, match="trying to load an uninitialized parameter into an initialized one"):
            initialised.load_state_dict(state)


# --- the mixin


class Recording(LazyModuleMixin, nn.Module):
    """Takes its parameter's size from the first argument and writes down what happens."""

    def __init__(self, becomes=None, complete=True):
        super().__init__()
        self.scale = UninitializedParameter()
        self.register_buffer("seen", UninitializedBuffer())
        self.cls_to_become, self.complete, self.calls = becomes, complete, []

    def initialize_parameters(self, *args, **kwargs):
        self.calls.append(("initialize_parameters", *args, *kwargs.items()))
        self.scale.materialize(args[0].shape)
        if self.complete:
            self.seen.materialize((1,))

    def forward(self, *args, **kwargs):
        self.calls.append(("forward", *args, *kwargs.items()))
        return args[0] * self.scale


class Regular(Recording):
    """What a Recording may become."""


@claim("lazy-mixin")
@pytest.mark.parametrize("becomes", [None, Regular])
def test_mixin(becomes):
    module = Recording(becomes)
    x = torch.zeros(2)
    module(x, "second")
    module(x)
    assert module.calls == [("initialize_parameters", x, "second"), ("forward", x, "second"), ("forward", x)]
    assert type(module) is (becomes or Recording)
    assert module.scale.shape == (2,)
    assert not module.has_uninitialized_params()
    assert not [name for name in vars(module) if name in ("_initialize_hook", "_load_hook")]


@claim("lazy-mixin")
def test_the_other_arguments_of_the_constructor():
    class Takes(nn.Module):
        def __init__(self, first, *, second):
            super().__init__()
            self.got = first, second

    class Lazy(LazyModuleMixin, Takes):
        pass

    assert Lazy(1, second=2).got == (1, 2)


@claim("lazy-mixin-incomplete")
def test_incomplete():
    module = Recording(complete=False)
    with pytest.raises(RuntimeError, match="module Recording has not been fully initialized"):
        module(torch.zeros(2))
    assert [name for name, *_ in module.calls] == ["initialize_parameters"]
    assert module.has_uninitialized_params()

    class Without(LazyModuleMixin, nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for Without"):
        Without()(torch.zeros(2))


@claim("lazy-mixin-asks")
def test_has_uninitialized_params():
    module = Recording()
    assert module.has_uninitialized_params() is True
    module.scale.materialize((1,))
    assert module.has_uninitialized_params() is True, "the buffer is left"
    module.seen.materialize((1,))
    assert module.has_uninitialized_params() is False
    module.child = nn.LazyLinear(1)
    assert module.has_uninitialized_params() is False, "the child's are not its own"
    fresh = Recording()
    fresh.seen.materialize((1,))
    assert fresh.has_uninitialized_params() is True, "the parameter is left"
    assert copy.deepcopy(nn.LazyLinear(2)).has_uninitialized_params() is True
