"""Views, the order of arguments, whole numbers, limits, and sentences of the pages that are about shapes."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same, assert_within, roundings, sum_bound

F = nn.functional

VIEWS = {
    "transposed": lambda x: x.transpose(2, 3),
    "channels moved": lambda x: x.permute(0, 3, 1, 2),
    "every second": lambda x: x[::2, :, 1::2, ::2],
    "offset": lambda x: x.flatten()[5 : 5 + 2 * 3 * 4 * 5].view(2, 3, 4, 5),
    "expanded": lambda x: x[:, :1].expand(4, 3, 8, 9),
    "one channel": lambda x: x[:, 1:2],
    "no batch": lambda x: x[1].transpose(1, 2),
}


@claim("pool-layouts")
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(cell, rng, view):
    options = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "ceil_mode": True}
    windows = Windows.of((3, 2), stride=(2, 1), padding=(1, 0), ceil_mode=True)
    leaf = cell.tensor(rng.permutation(4 * 3 * 8 * 9).reshape(4, 3, 8, 9) - 432.0, requires_grad=True)
    x = view(leaf)
    values, sizes = to_numpy(x), tuple(x.shape[-2:])
    maxima, indices = cell.run(nn.MaxPool2d(**options, return_indices=True))(x)
    wanted = max_pool(values, windows)
    assert_within(maxima, wanted.values, 0, what="maxima", because="a maximum is not rounded")
    assert to_numpy(indices).tolist() == wanted.places.tolist()
    (of_x,) = torch.autograd.grad(maxima.sum(), x)
    expected = max_pool_backward(np.ones(wanted.places.shape), wanted.places, sizes)
    assert_within(of_x, expected, 0, what="gradient of the maxima", because="small whole numbers are exact")
    means = cell.run(nn.AvgPool2d(**options))(x)
    expected = avg_pool(values, windows)
    bound = sum_bound(cell, 7, avg_pool(abs(values), windows), expected)
    assert_within(means, expected, bound, what="means", because="a sum and a division")
    (of_x,) = torch.autograd.grad(means.sum(), x)
    expected = avg_pool_backward(np.ones(tuple(means.shape)), sizes, windows)
    assert_within(
        of_x, expected, roundings(cell, 12, expected), what="gradient of the means", because="quotients, added"
    )


@claim("pool-argument-order")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_order_of_max_pooling(cell, dims):
    x = torch.arange(7.0**dims, device=cell.device.name).reshape(1, 1, *[7] * dims)
    layer, function = getattr(nn, f"MaxPool{dims}d"), getattr(F, f"max_pool{dims}d")
    places = [one.tolist() for one in layer(3, 2, 1, 1, True)(x)]
    assert len(places) == 2
    assert [one.tolist() for one in function(x, 3, 2, 1, 1, False, True)] == places
    # A kernel of 2 and stride 2 on seven elements: ceil_mode has a window more.
    ceiling = layer(2, 2, 0, 1, False, True)(x)
    assert tuple(ceiling.shape[2:]) == (4,) * dims
    assert_same(function(x, 2, 2, 0, 1, True), ceiling, what="the function with ceil_mode in fifth place")
    assert tuple(function(x, 2, None, 0, 1, False).shape[2:]) == (3,) * dims


@claim("pool-argument-order")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_order_of_average_pooling(cell, dims):
    x = torch.ones(1, 1, *[4] * dims, device=cell.device.name)
    layer, function = getattr(nn, f"AvgPool{dims}d"), getattr(F, f"avg_pool{dims}d")
    for pool in (lambda *arguments: layer(*arguments)(x), lambda *arguments: function(x, *arguments)):
        # Windows of two start at -1, 1 and 3: the first counts a padded element, or does not; the last, one each side.
        assert pool(2, 2, 1, False, True).flatten()[0].item() == 0.5**dims
        assert pool(2, 2, 1, False, False).flatten()[0].item() == 1
        assert tuple(pool(3, 2, 0, True, True).shape[2:]) == (2,) * dims
        if dims > 1:
            assert pool(2, 2, 0, False, True, 3).flatten()[0].item() == pytest.approx(2**dims / 3)


@claim("pool-integers")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.int8], ids=str)
def test_whole_numbers(cell, dtype):
    least = torch.iinfo(dtype).min
    x = torch.tensor([[[5, 3, least, least], [4, 100, least, least]]], dtype=dtype, device=cell.device.name)
    out, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert_same(out, torch.tensor([[[100, least]]], dtype=dtype, device=cell.device.name), what="maxima")
    assert indices[0, 0, 0].item() == 5
    padded = nn.MaxPool2d(2, 2, 1)(x)
    expected = torch.tensor([[[5, 3, least], [4, 100, least]]], dtype=dtype, device=cell.device.name)
    assert_same(padded, expected, what="maxima with padding")


@claim("pool-divisor")
@pytest.mark.parametrize("dims", [2, 3])
def test_divisor(cell, dims):
    x = torch.ones(1, 1, *[2] * dims, device=cell.device.name)
    layer = getattr(nn, f"AvgPool{dims}d")
    for divisor in (-2, 1, 3, 64):
        expected = torch.full_like(x[..., :1], 2.0**dims / divisor).flatten()[:1]
        torch.testing.assert_close(layer(2, divisor_override=divisor)(x).flatten(), expected, rtol=1e-6, atol=0)
    with pytest.raises(RuntimeError, match="divisor must be not zero"):
        layer(2, divisor_override=0)(x)


@claim("pool-padding-limit")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_padding_limit(cell, dims):
    x = torch.ones(1, 1, *[9] * dims, device=cell.device.name)
    layer = getattr(nn, f"MaxPool{dims}d")
    for kernel, dilation in itertools.product((1, 2, 3, 4), (1, 2)):
        assert layer(kernel, 1, kernel // 2, dilation)(x).shape[1] == 1
        with pytest.raises(RuntimeError, match=r"pad should be|padding should be"):
            layer(kernel, 1, kernel // 2 + 1, dilation)(x)
    with pytest.raises(RuntimeError, match=r"pad must be non-negative|padding"):
        layer(3, 1, -1)(x)


PRINTED = {
    "MaxPool1d(kernel_size=3, stride=3, padding=0, dilation=1, ceil_mode=False)": lambda: nn.MaxPool1d(3),
    "MaxPool2d(kernel_size=2, stride=(1, 2), padding=1, dilation=2, ceil_mode=True)": lambda: nn.MaxPool2d(
        2, (1, 2), 1, 2, ceil_mode=True
    ),
    "MaxPool3d(kernel_size=(2, 1, 2), stride=1, padding=0, dilation=1, ceil_mode=False)": lambda: nn.MaxPool3d(
        (2, 1, 2), 1
    ),
    "AvgPool1d(kernel_size=(2,), stride=(1,), padding=(1,))": lambda: nn.AvgPool1d(2, 1, 1),
    "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))": lambda: nn.AvgPool1d(2),
    "AvgPool2d(kernel_size=2, stride=2, padding=0)": lambda: nn.AvgPool2d(2),
    "AvgPool2d(kernel_size=2, stride=(1, 2), padding=1)": lambda: nn.AvgPool2d(2, (1, 2), 1),
    "AvgPool3d(kernel_size=3, stride=3, padding=(1, 0, 1))": lambda: nn.AvgPool3d(3, padding=(1, 0, 1)),
}


@claim("pool-printed")
@pytest.mark.parametrize(("text", "make"), PRINTED.items(), ids=PRINTED)
def test_printed(text, make):
    layer = make()
    assert repr(layer) == text
    options = {"return_indices": False, "ceil_mode": "ceil_mode=True" in text, "count_include_pad": True}
    options["divisor_override"] = None
    assert {name: getattr(layer, name, value) for name, value in options.items()} == options


def uncovered(size, kernel, stride, padding, dilation):
    """The elements of a line of ``size`` that no window of a max pooling with ceil_mode sees."""
    # Element i is 1 in sample i: a sample that is 0 all over was not seen.
    x = torch.eye(size).unsqueeze(1)
    seen = F.max_pool1d(x, kernel, stride, padding, dilation, ceil_mode=True).amax((1, 2))
    wide = F.max_pool2d(x.unsqueeze(2), (1, kernel), (1, stride), (0, padding), (1, dilation), ceil_mode=True)
    assert torch.equal(wide.amax((1, 2, 3)), seen)
    return [i for i in range(size) if seen[i] == 0]


@claim("maxpool-ceil-covers-up-to-the-kernel")
def test_covers_up_to_the_kernel():
    grid = itertools.product((4, 5, 8), (1, 2, 3, 4), (1, 2, 3, 4), (0, 1))
    missed = {
        (size, kernel, stride, padding): uncovered(size, kernel, stride, padding, 1)
        for size, kernel, stride, padding in grid
        if stride <= kernel and padding <= kernel // 2
    }
    assert {key: value for key, value in missed.items() if value} == {}


@claim("maxpool-ceil-covers")
@pytest.mark.parametrize(
    "geometry",
    [(2, 1, 2, 0, 1), (5, 2, 3, 0, 1), (9, 2, 4, 1, 1), (8, 2, 3, 0, 2)],
    ids=["kernel 1, stride 2", "kernel 2, stride 3", "padding", "dilation"],
)
def test_covers(geometry):
    missed = uncovered(*geometry)
    if missed:
        raise AssertionError(f"expected every element to be covered, seen no window over {missed}")


@claim("maxpool-1d-shape-section")
def test_shape_section_of_max_pool1d():
    more = "(stride - 1)" in nn.MaxPool1d.__doc__
    wrong = {}
    for size, kernel, stride, padding in itertools.product((5, 7, 8), (2, 3), (1, 2, 3), (0, 1)):
        room = size + 2 * padding - kernel + (stride - 1 if more else 0)
        count = -(-room // stride) + 1
        count -= (count - 1) * stride >= size + padding
        seen = nn.MaxPool1d(kernel, stride, padding, ceil_mode=True)(torch.zeros(1, 1, size)).shape[-1]
        if seen != count:
            wrong[size, kernel, stride, padding] = seen, count
    if wrong:
        example, (seen, count) = next(iter(wrong.items()))
        raise AssertionError(f"expected {count} outputs for {example}, seen {seen}; {len(wrong)} of 36 are off")


@claim("avgpool-3d-feature-count")
def test_feature_count():
    seen = F.avg_pool3d(torch.ones(1, 4, 4, 4, 4), 2, stride=2).shape[1]
    assert seen == 4 // 2, f"expected 2 output features of 4 planes with stride 2, seen {seen}"


@claim("maxpool-3d-unbatched-layouts")
@pytest.mark.parametrize("layout", ["channels last", "channels moved"])
def test_layouts_of_unbatched_volumes(cell, rng, layout):
    # A volume has four dimensions, as a batch of images has: its depth may lie where their channels do.
    x = cell.tensor(rng.normal(size=(3, 4, 5, 6)))
    x = x.contiguous(memory_format=torch.channels_last) if layout == "channels last" else VIEWS[layout](x)
    try:
        out = nn.MaxPool3d(2)(x)
    except RuntimeError as error:
        raise AssertionError(f"expected the maxima, seen {error}") from None
    expected = max_pool(to_numpy(x), Windows.of((2, 2, 2), stride=2)).values
    assert_within(out, expected, 0, what="maxima", because="a maximum is not rounded")


@claim("avgpool-3d-padded-input")
@pytest.mark.parametrize(("size", "kernel"), [((1, 1, 1), (2, 2, 2)), ((1, 1, 1), (3, 3, 3)), ((4, 5, 1), (2, 3, 2))])
def test_mean_of_a_volume_smaller_than_the_kernel(cell, size, kernel):
    x = cell.tensor(np.arange(1.0, 1 + np.prod(size)).reshape(1, 1, *size))
    try:
        out = nn.AvgPool3d(kernel, stride=2, padding=1)(x)
    except RuntimeError as error:
        raise AssertionError(f"expected the means, seen {error}") from None
    expected = avg_pool(to_numpy(x), Windows.of(kernel, stride=2, padding=1))
    bound = sum_bound(cell, 28, expected, expected)
    assert_within(out, expected, bound, what="means", because="a sum, rounded, and a division, rounded")
