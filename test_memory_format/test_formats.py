"""Strides of the formats, what takes them and what hands them on."""

import copy
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, gamma, normalisation_bound, rounding_unit

LAST, LAST_3D = torch.channels_last, torch.channels_last_3d
FORMATS = {4: LAST, 5: LAST_3D}
SHAPES = [(2, 3, 4, 5), (1, 7, 2, 9), (3, 2, 17, 8), (2, 3, 4, 5, 6), (1, 2, 3, 2, 7)]


def contiguous_in(tensor, memory_format):
    return tensor.is_contiguous(memory_format=memory_format)


@claim("format-strides")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("how", ["to", "contiguous", "clone", "empty"])
def test_strides(cell, rng, shape, how):
    memory_format = FORMATS[len(shape)]
    x = torch.as_tensor(to_numpy(cell.tensor(rng.normal(size=shape))).tolist(), dtype=cell.dtype)
    y = {
        "to": lambda: x.to(memory_format=memory_format),
        "contiguous": lambda: x.contiguous(memory_format=memory_format),
        "clone": lambda: x.clone(memory_format=memory_format),
        "empty": lambda: torch.empty(shape, dtype=cell.dtype, memory_format=memory_format).copy_(x),
    }[how]()
    order = [0, *range(2, len(shape)), 1]
    expected = {axis: int(np.prod([shape[one] for one in order[place + 1 :]])) for place, axis in enumerate(order)}
    assert list(y.stride()) == [expected[axis] for axis in range(len(shape))]
    in_order = [y.stride(axis) for axis in order]
    assert in_order == sorted(in_order, reverse=True)
    assert y.stride(1) == 1
    assert contiguous_in(y, memory_format)
    assert not y.is_contiguous()
    assert_same(y, x, what="values in the other format")
    back = y.contiguous()
    assert back.stride() == x.stride()
    assert_same(back, x, what="values back again")


WRONG = [(torch.channels_last, 3), (torch.channels_last, 5), (torch.channels_last_3d, 4), (torch.channels_last_3d, 3)]


@claim("format-rank")
@pytest.mark.parametrize(("memory_format", "rank"), WRONG, ids=str)
@pytest.mark.parametrize("how", ["contiguous", "to", "clone", "empty"])
def test_another_rank(memory_format, rank, how):
    shape = (2, 3, 4, 5, 6)[:rank]
    x = torch.zeros(shape)
    make = {
        "contiguous": lambda: x.contiguous(memory_format=memory_format),
        "to": lambda: x.to(memory_format=memory_format),
        "clone": lambda: x.clone(memory_format=memory_format),
        "empty": lambda: torch.empty(shape, memory_format=memory_format),
    }[how]
    wanted = 4 if memory_format == LAST else 5
    with pytest.raises(RuntimeError, match=f"required rank {wanted} tensor to use channels_last"):
        make()
    assert not contiguous_in(x, memory_format)
    assert x.is_contiguous()


@claim("format-ambiguous")
@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 1, 1), (1, 1, 1, 1), (2, 1, 3, 4, 5), (2, 3, 1, 1, 1)], ids=str)
def test_both_at_once(shape):
    x = torch.zeros(shape)
    memory_format = FORMATS[len(shape)]
    assert x.is_contiguous()
    assert contiguous_in(x, memory_format)
    assert x.contiguous(memory_format=memory_format).data_ptr() == x.data_ptr()
    y = torch.empty(shape, memory_format=memory_format)
    assert y.is_contiguous()
    assert y.contiguous().data_ptr() == y.data_ptr()


COPIES = {
    "clone": lambda x: x.clone(),
    "to": lambda x: x.to(torch.float64),
    "empty_like": torch.empty_like,
    "zeros_like": torch.zeros_like,
    "rand_like": torch.rand_like,
    "ones_like": torch.ones_like,
    "randn_like": torch.randn_like,
    "randint_like": lambda x: torch.randint_like(x, 9),
    "full_like": lambda x: torch.full_like(x, 2.0),
}


@claim("format-preserve-dense")
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2), (1, 0, 2, 3)], ids=str)
def test_strides_of_dense_tensors(copied, order):
    x = torch.ones(2, 3, 4, 5).permute(order)
    assert copied(x).stride() == x.stride()
    assert copied(x).shape == x.shape


GAPS = {
    "every other column": lambda: torch.ones(4, 6)[:, ::2],
    "every other row of a transpose": lambda: torch.ones(4, 6).t()[::2],
    "channels_last, every other column": lambda: torch.ones(2, 3, 4, 6).to(memory_format=LAST)[..., ::2],
    "expanded": lambda: torch.ones(3, 1).expand(3, 4),
    "expanded and transposed": lambda: torch.ones(3, 1).expand(3, 4).t(),
}


@claim("format-preserve-gaps")
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("make", GAPS.values(), ids=GAPS)
def test_strides_of_tensors_with_gaps(copied, make):
    x = make()
    expected, seen = torch.empty(x.shape).stride(), copied(x).stride()
    assert seen == expected, f"strides {seen} for {expected}"


LAYERS = {
    "conv": lambda: nn.Conv2d(6, 4, 3, padding=1),
    "conv, strided": lambda: nn.Conv2d(6, 4, (2, 3), stride=(2, 1)),
    "conv, grouped": lambda: nn.Conv2d(6, 4, 3, groups=2, dilation=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, groups=6),
    "one by one": lambda: nn.Conv2d(6, 4, 1),
    "transposed": lambda: nn.ConvTranspose2d(6, 4, 3, stride=2),
    "max pool": lambda: nn.MaxPool2d(3, 2, padding=1),
    "max pool, dilated": lambda: nn.MaxPool2d(2, 1, dilation=2),
    "average pool": lambda: nn.AvgPool2d((2, 3), ceil_mode=True),
    "average pool, padded": lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "adaptive average": lambda: nn.AdaptiveAvgPool2d((3, 2)),
    "adaptive maximum": lambda: nn.AdaptiveMaxPool2d((2, 3)),
    "relu": nn.ReLU,
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "zero pad": lambda: nn.ZeroPad2d((1, 2, 0, 1)),
}
EXACT = {"max pool", "max pool, dilated", "adaptive maximum", "relu", "nearest", "zero pad"}


def through(cell, layer, x, grad_of=None):
    x = x.detach().clone().requires_grad_()
    layer.zero_grad()
    out = cell.run(layer)(x)
    torch.manual_seed(1)
    grad = torch.randint(-4, 5, out.shape).to(out.dtype) if grad_of is None else grad_of
    out.backward(grad)
    return out.detach(), x.grad, [one.grad for one in layer.parameters()], grad


@claim("format-values")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("size", [(2, 6, 7, 8), (1, 6, 9, 5), (3, 6, 8, 17)], ids=str)
def test_the_same_values(cell, rng, name, size):
    layer = LAYERS[name]().to(cell.dtype)
    x = cell.tensor(rng.normal(size=size)).contiguous()
    out, x_grad, grads, grad = through(cell, layer, x)
    other = copy.deepcopy(layer).to(memory_format=LAST)
    out_last, x_grad_last, grads_last, _ = through(cell, other, x.to(memory_format=LAST), grad)
    assert contiguous_in(out_last, LAST)
    assert contiguous_in(x_grad_last, LAST)
    terms = 6 * 9 if name not in EXACT else 0
    magnitude = 4 * float(x.abs().max()) * terms
    cells = size[0] * size[2] * size[3] * 6
    for seen, wanted, what, count in (
        (out_last, out, "output", terms),
        (x_grad_last, x_grad, "gradient of the input", terms),
        *((one, two, "gradient of a parameter", cells) for one, two in zip(grads_last, grads, strict=True)),
    ):
        if name in EXACT:
            assert_same(seen, wanted, what=what)
            continue
        bound = 2 * gamma(count + 4, rounding_unit(cell.dtype)) * magnitude * (cells / terms if count == cells else 1)
        assert_within(seen, to_numpy(wanted), bound, what=what, because="two sums of as many products, in any order")


@claim("format-values")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("size", [(2, 6, 7, 8), (1, 17, 3, 5), (5, 3, 9, 2)], ids=str)
def test_batch_norm_in_both_formats(cell, rng, training, size):
    bn = nn.BatchNorm2d(size[1]).to(cell.dtype)
    x = cell.tensor(rng.normal(1.0, 2.0, size)).contiguous()
    bn(x)
    outs = [
        cell.run(module.train(training))(value)
        for module, value in ((copy.deepcopy(bn), x), (bn, x.to(memory_format=LAST)))
    ]
    assert contiguous_in(outs[1], LAST)
    bound = 4 * normalisation_bound(cell, to_numpy(x), (0, 2, 3), 1e-5).output
    bound = bound if training else bound + gamma(40, rounding_unit(cell.dtype)) * (1 + np.abs(to_numpy(x)).max())
    assert_within(outs[1].detach(), to_numpy(outs[0]), bound, what="output", because="twice the bound of either")


@claim("format-conv")
@pytest.mark.parametrize("input_last", [True, False], ids=["input last", "input first"])
@pytest.mark.parametrize("weight_last", [True, False], ids=["weight last", "weight first"])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2}, {"dilation": 2}], ids=str)
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d], ids=lambda kind: kind.__name__)
def test_format_of_a_convolution(kind, input_last, weight_last, options):
    conv = kind(4, 6, 3, **options)
    conv = conv.to(memory_format=LAST) if weight_last else conv
    x = torch.randn(2, 4, 8, 9)
    out = conv(x.to(memory_format=LAST) if input_last else x)
    assert contiguous_in(out, LAST) == (input_last or weight_last)
    assert out.is_contiguous() == (not input_last and not weight_last)


POINTWISE = {
    "relu": F.relu,
    "add": lambda x: x + x,
    "times a number": lambda x: x * 2,
    "with a contiguous one": lambda x: x + x.contiguous(),
    "with a channel's values": lambda x: x * torch.ones(3, 1, 1),
    "where": lambda x: torch.where(x > 0, x, -x),
    "exp": torch.exp,
    "dropout": F.dropout,
    "sigmoid": torch.sigmoid,
    "comparison": lambda x: x > 0,
    "cat of two": lambda x: torch.cat([x, x], 1),
    "in place": lambda x: x.clone().mul_(2),
}


@claim("format-pointwise")
@pytest.mark.parametrize("function", POINTWISE.values(), ids=POINTWISE)
def test_pointwise(function):
    x = torch.randn(2, 3, 4, 5).to(memory_format=LAST)
    out = function(x)
    assert contiguous_in(out, LAST)
    if function not in (F.dropout, torch.exp, torch.sigmoid):
        assert_same(out.contiguous(), function(x.contiguous()), what="values")


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Conv2d(3, 4, 3)
        self.deep = nn.Sequential(nn.Sequential(nn.ConvTranspose2d(4, 2, 3)), nn.Conv2d(2, 3, 2))
        self.solid = nn.Sequential(nn.Conv3d(2, 4, 3), nn.ConvTranspose3d(4, 2, 2))
        self.own = nn.Parameter(torch.randn(2, 3, 4, 5))
        self.linear = nn.Linear(3, 4)


def converted(module, memory_format, rank):
    return {name for name, one in module.named_parameters() if one.dim() == rank and contiguous_in(one, memory_format)}


@claim("format-convert-2d")
def test_convert_flat_convolutions():
    module = Mixed()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert nn.utils.convert_conv2d_weight_memory_format(module, LAST) is module
    assert converted(module, LAST, 4) == {"flat.weight", "deep.0.0.weight", "deep.1.weight"}
    assert converted(module, LAST_3D, 5) == set()
    for name, value in module.state_dict().items():
        assert_same(value.contiguous(), before[name].contiguous(), what=name)
    nn.utils.convert_conv2d_weight_memory_format(module, torch.contiguous_format)
    assert converted(module, LAST, 4) == set()


@claim("format-convert-2d")
def test_convert_a_convolution_itself():
    conv = nn.Conv2d(3, 4, 3)
    assert nn.utils.convert_conv2d_weight_memory_format(conv, LAST) is conv
    assert contiguous_in(conv.weight, LAST)
    assert isinstance(conv.weight, nn.Parameter)


@claim("format-convert-3d")
def test_convert_solid_convolutions():
    module = Mixed()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert nn.utils.convert_conv3d_weight_memory_format(module, LAST_3D) is module
    assert converted(module, LAST_3D, 5) == {"solid.0.weight", "solid.1.weight"}
    assert converted(module, LAST, 4) == set()
    for name, value in module.state_dict().items():
        assert_same(value.contiguous(), before[name].contiguous(), what=name)


@claim("format-load")
@pytest.mark.parametrize("own_last", [True, False], ids=["module last", "module first"])
@pytest.mark.parametrize("state_last", [True, False], ids=["state last", "state first"])
def test_loading_keeps_strides(own_last, state_last):
    module, source = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    module = module.to(memory_format=LAST) if own_last else module
    source = source.to(memory_format=LAST) if state_last else source
    address, strides = module.weight.data_ptr(), module.weight.stride()
    module.load_state_dict(source.state_dict())
    assert (module.weight.data_ptr(), module.weight.stride()) == (address, strides)
    assert_same(module.weight.detach().contiguous(), source.weight.detach().contiguous(), what="weight")


@claim("format-load-assign")
@pytest.mark.parametrize("own_last", [True, False], ids=["module last", "module first"])
def test_assigning_takes_strides(own_last):
    module, source = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    (module if own_last else source).to(memory_format=LAST)
    module.load_state_dict(source.state_dict(), assign=True)
    assert module.weight.stride() == source.weight.stride()
    assert module.weight.data_ptr() == source.weight.data_ptr()


@claim("format-kept")
def test_what_keeps_the_format():
    conv = nn.Conv2d(3, 4, 3).to(memory_format=LAST)
    strides = conv.weight.stride()
    file = io.BytesIO()
    torch.save(conv.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["weight"].stride() == strides
    assert copy.deepcopy(conv).weight.stride() == strides
    optimizer = torch.optim.SGD(conv.parameters(), lr=0.5, momentum=0.5)
    conv(torch.randn(2, 3, 5, 5)).sum().backward()
    assert conv.weight.grad.stride() == strides
    optimizer.step()
    assert optimizer.state[conv.weight]["momentum_buffer"].stride() == strides
    assert conv.weight.stride() == strides
