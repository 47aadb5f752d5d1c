"""What torch.nn and torch.nn.functional hold, by looking into them."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


def plain(name):
    """AvgPool2d and avg_pool2d alike: ``avgpool2d``."""
    return name.replace("_", "").lower()


def module_classes():
    """The public module classes of torch.nn, by name."""
    public = {name: getattr(nn, name) for name in dir(nn) if not name.startswith("_")}
    return {name: kind for name, kind in public.items() if inspect.isclass(kind) and issubclass(kind, nn.Module)}


def functions():
    """The public functions of torch.nn.functional, by name."""
    public = {name: getattr(nn.functional, name) for name in dir(nn.functional) if not name.startswith("_")}
    return {name: one for name, one in public.items() if inspect.isroutine(one)}


def without_twin():
    names = {plain(name) for name in functions()}
    return {name for name in module_classes() if plain(name) not in names}


@claim("func-no-class-names")
def test_no_functional_relu_of_that_name():
    with pytest.raises(AttributeError, match=r"torch\.nn\.functional' has no attribute 'ReLU'"):
        nn.functional.ReLU  # noqa: B018
    assert inspect.isfunction(nn.functional.relu)


@claim("func-no-class-names")
def test_no_module_class_is_a_function():
    held = {name: getattr(nn.functional, name) for name in dir(nn.functional)}
    kinds = [name for name, one in held.items() if inspect.isclass(one) and issubclass(one, nn.Module)]
    assert kinds == []
    assert sorted(set(module_classes()) & set(held)) == []


HAVE = [
    "ReLU",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose2d",
    "AvgPool2d",
    "MaxPool2d",
    "AdaptiveAvgPool2d",
    "Linear",
    "Bilinear",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "GELU",
    "LayerNorm",
    "GroupNorm",
    "LeakyReLU",
    "PReLU",
    "Sigmoid",
    "Softmax",
    "LogSoftmax",
    "Tanh",
    "Unfold",
    "PixelShuffle",
    "CosineSimilarity",
]
HAVE_NONE = [
    "LSTM",
    "GRU",
    "RNN",
    "LSTMCell",
    "Transformer",
    "TransformerEncoderLayer",
    "MultiheadAttention",
    "Sequential",
    "ModuleList",
    "ModuleDict",
    "LazyLinear",
    "LazyConv2d",
    "SyncBatchNorm",
    "AdaptiveLogSoftmaxWithLoss",
]
RENAMED = {
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "InstanceNorm2d": "instance_norm",
    "ZeroPad2d": "pad",
    "ReflectionPad2d": "pad",
    "BCELoss": "binary_cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
}


@claim("func-twins")
def test_twin():
    assert sorted(set(HAVE) - set(module_classes())) == []
    assert sorted(set(HAVE) & without_twin()) == []


@claim("func-twins")
def test_no_twin():
    lonely = without_twin()
    assert sorted(set(HAVE_NONE) - lonely) == []
    assert {name for name in module_classes() if name.startswith("Lazy")} <= lonely
    # Neither group is a handful: the article's "every" is wrong, and so would "none" be.
    assert min(len(lonely), len(module_classes()) - len(lonely)) > 30


@claim("func-twins")
def test_renamed():
    lonely, there = without_twin(), functions()
    assert {name for name, function in RENAMED.items() if name not in lonely or function not in there} == set()


ALONE = [
    "pad",
    "one_hot",
    "interpolate",
    "normalize",
    "grid_sample",
    "affine_grid",
    "gumbel_softmax",
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
]


@claim("func-without-modules")
def test_functions_without_module():
    classes = {plain(name) for name in module_classes()}
    there = functions()
    assert [name for name in ALONE if name not in there or plain(name) in classes] == []


@claim("func-without-modules")
def test_they_work_on_tensors_alone(cell):
    x = cell.tensor([[3.0, 4.0]])
    places = torch.tensor([2, 0], device=cell.device.name)
    hot = torch.tensor([[0, 0, 1], [1, 0, 0]], device=cell.device.name)
    assert_same(nn.functional.one_hot(places), hot, what="one_hot")
    assert_same(nn.functional.pad(x, (1, 2), value=7.0), cell.tensor([[7.0, 3, 4, 7, 7]]), what="pad")
    stretched = cell.tensor(np.array([[[3.0, 3.0, 4.0, 4.0]]]))
    assert_same(nn.functional.interpolate(x[None], scale_factor=2), stretched, what="interpolate")
