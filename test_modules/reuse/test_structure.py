"""What is registered, printed and saved does not know how often forward uses a layer."""

import io

import pytest
import torch
from torch import nn

from models.reuse_cnn import AROUND, ONCE, TWICE, ReuseCnn
from torchclaims import claim


def convolution(name, channels_in, channels_out):
    """The entries of a 3 x 3 convolution."""
    return {f"{name}.weight": (channels_out, channels_in, 3, 3), f"{name}.bias": (channels_out,)}


def normalisation(name, channels):
    """The entries of a batch normalisation."""
    per_channel = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{entry}": (channels,) for entry in per_channel} | {f"{name}.num_batches_tracked": ()}


FOURTH = convolution("conv4.0", 64, 64) | normalisation("conv4.1", 64)
FIFTH = convolution("conv5.0", 64, 64) | normalisation("conv5.1", 64)
BEFORE = convolution("conv1.0", 3, 16) | convolution("conv2.0", 16, 32) | convolution("conv3.0", 32, 64)
AFTER = {"out.weight": (6, 64 * 8 * 8), "out.bias": (6,)}
ENTRIES = {
    ONCE: BEFORE | FOURTH | AFTER,
    TWICE: BEFORE | FOURTH | AFTER,
    AROUND: BEFORE | FOURTH | FIFTH | AFTER,
}
PARAMETERS = {ONCE: 85_222, TWICE: 85_222, AROUND: 85_222 + 64 * 64 * 9 + 64 + 2 * 64}

every_path = pytest.mark.parametrize("path", [ONCE, TWICE, AROUND], ids="-".join)


def used(path, **options):
    """A network after one forward pass in training."""
    model = ReuseCnn(path, **options)
    model(torch.zeros(2, 3, 64, 64))
    return model


def entries(module):
    """Names and shapes of the entries of ``module``, in order."""
    return [(name, tuple(entry.shape)) for name, entry in module.state_dict().items()]


def printed(module):
    """The lines of ``print(module)`` that introduce a child: its name and its class."""
    lines = (line.strip() for line in repr(module).splitlines()[1:])
    return [
        line.partition("): ")[0][1:] + " " + line.partition("): ")[2].partition("(")[0]
        for line in lines
        if line.startswith("(")
    ]


@claim("reuse-size-unchanged")
@every_path
def test_entries_and_parameters(path):
    model = used(path)
    assert entries(model) == list(ENTRIES[path].items())
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[path]


@claim("reuse-size-unchanged")
def test_saved_size(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 64, 64)))
    sizes = []
    for path in (ONCE, TWICE):
        model = cell.place(ReuseCnn(path, width=2))
        model(x)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        sizes.append(len(file.getvalue()))
    assert sizes[0] == sizes[1]


@claim("reuse-structure-static")
def test_printed_structure(cell, rng):
    x = cell.tensor(rng.normal(size=(2, 3, 64, 64)))
    once, twice = (cell.place(ReuseCnn(path, width=1)) for path in (ONCE, TWICE))
    new = repr(once)
    once(x)
    twice(x)
    assert repr(once) == repr(twice) == new


@claim("reuse-structure-static")
@every_path
def test_printed_children(path):
    pooled = ["0 Conv2d", "1 ReLU", "2 MaxPool2d"]
    normalised = ["0 Conv2d", "1 BatchNorm2d", "2 ReLU"]
    expected = [line for name in ("conv1", "conv2", "conv3") for line in (f"{name} Sequential", *pooled)]
    expected += [line for name in sorted(set(path)) for line in (f"{name} Sequential", *normalised)]
    assert printed(used(path)) == [*expected, "out Linear"]


@claim("reuse-keys-index-children")
@pytest.mark.parametrize("path", [TWICE, AROUND], ids="-".join)
def test_numbers_are_places_in_the_container(path):
    model = used(path)
    numbers = [name.split(".")[1] for name in model.state_dict() if name.startswith("conv4.")]
    assert numbers == ["0"] * 2 + ["1"] * 5
    assert isinstance(model.get_submodule("conv4.0"), nn.Conv2d)
    assert isinstance(model.get_submodule("conv4.1"), nn.BatchNorm2d)
    assert [name for name, _ in model.conv4.named_children()] == ["0", "1", "2"]


@claim("reuse-relu-stateless")
@every_path
def test_activation_has_no_entry(path):
    model = used(path)
    assert isinstance(model.conv4[2], nn.ReLU)
    assert not entries(model.conv4[2])
    assert not list(model.conv4[2].parameters())
    assert not [name for name in model.state_dict() if name.startswith(("conv1.1", "conv4.2"))]


@claim("reuse-bn-entries")
def test_normalisation_entries():
    bn = used(TWICE, width=3).conv4[1]
    assert entries(bn) == [(name.removeprefix("."), shape) for name, shape in normalisation("", 12).items()]
    assert [name for name, _ in bn.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in bn.named_buffers()] == ["running_mean", "running_var", "num_batches_tracked"]
    assert bn.num_batches_tracked.dtype == torch.int64


@claim("reuse-dataparallel-prefix")
def test_prefix_comes_from_data_parallel():
    model = ReuseCnn(TWICE, width=1, size=8)
    plain = list(model.state_dict())
    assert plain[8:13] == [f"conv4.1.{name.removeprefix('.')}" for name in normalisation("", 4)]
    wrapped = nn.DataParallel(model)
    assert list(wrapped.state_dict()) == [f"module.{name}" for name in plain]
    assert wrapped.module is model
    assert list(model.state_dict()) == plain


@claim("reuse-new-layer-counts")
def test_new_block(cell, rng):
    model = cell.place(ReuseCnn(AROUND, width=8, size=16).eval())  # so wide that ReLU leaves some channel alive
    assert len(entries(model.conv5)) == len(entries(model)) - len(entries(ReuseCnn(TWICE, width=2, size=16))) == 7
    assert model.conv5 is not model.conv4
    assert not {id(one) for one in model.conv4.parameters()} & {id(one) for one in model.conv5.parameters()}
    x = cell.tensor(rng.normal(size=(2, 3, 16, 16)))
    with torch.no_grad():
        around = model(x)
        model.conv5[1].bias.fill_(1.0)
        assert not torch.equal(model(x), around)
        model.path = TWICE
        assert not torch.equal(model(x), around)


@claim("reuse-structure-static")
def test_a_module_is_printed_under_each_of_its_names():
    relu = nn.ReLU()
    assert repr(nn.Sequential(relu, relu)) == "Sequential(\n  (0): ReLU()\n  (1): ReLU()\n)"
