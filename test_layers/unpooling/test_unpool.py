"""Unpooling beside a plane of zeros into which values are put."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.pooling import max_pool, max_unpool
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within

POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
UNPOOL = {1: nn.MaxUnpool1d, 2: nn.MaxUnpool2d, 3: nn.MaxUnpool3d}

# (leading sizes, sizes of the input, kernel, stride, padding)
CASES = {
    "1-D": ((2, 3), (5,), (2,), (2,), (0,)),
    "1-D, stride": ((2, 3), (4,), (2,), (3,), (0,)),
    "1-D, padding": ((1, 2), (17,), (3,), (2,), (1,)),
    "1-D, no batch": ((3,), (4,), (2,), (2,), (0,)),
    "1-D, no samples": ((0, 3), (4,), (2,), (2,), (0,)),
    "2-D": ((2, 3), (3, 4), (2, 2), (2, 2), (0, 0)),
    "2-D, uneven": ((1, 2), (4, 3), (3, 2), (2, 3), (1, 0)),
    "2-D, one column": ((3, 2), (4, 1), (2, 1), (2, 1), (0, 0)),
    "2-D, many channels": ((1, 33), (2, 3), (2, 3), (2, 3), (0, 1)),
    "2-D, no batch": ((3,), (3, 4), (2, 3), (3, 3), (0, 0)),
    "2-D, no samples": ((0, 3), (3, 4), (2, 3), (3, 3), (0, 0)),
    "3-D": ((2, 2), (2, 3, 4), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    "3-D, uneven": ((1, 3), (3, 2, 3), (2, 3, 2), (2, 3, 3), (0, 1, 1)),
    "3-D, no batch": ((2,), (2, 3, 2), (2, 1, 2), (2, 1, 3), (0, 0, 0)),
}
every_case = pytest.mark.parametrize(("lead", "sizes", "kernel", "stride", "padding"), CASES.values(), ids=CASES)


def size_of(sizes, kernel, stride, padding):
    """The documented default size of the output."""
    return tuple((n - 1) * s - 2 * p + k for n, k, s, p in zip(sizes, kernel, stride, padding, strict=True))


def places_in(rng, lead, sizes, plane):
    """Different places of the plane, in no order."""
    rows = [rng.permutation(int(np.prod(plane)))[: int(np.prod(sizes))] for _ in range(int(np.prod(lead)))]
    return np.array(rows, dtype=np.int64).reshape(*lead, *sizes)


@claim("unpool-values", "unpool-gradients", "unpool-default-size")
@every_case
def test_values(cell, rng, lead, sizes, kernel, stride, padding):
    plane = size_of(sizes, kernel, stride, padding)
    places = places_in(rng, lead, sizes, plane)
    x = cell.tensor(rng.normal(size=(*lead, *sizes)), requires_grad=True)
    indices = cell.tensor(places, dtype=torch.int64)
    out = cell.run(UNPOOL[len(sizes)](kernel, stride, padding))(x, indices)
    assert tuple(out.shape) == (*lead, *plane)
    assert_within(out, max_unpool(to_numpy(x), places, plane), 0, what="output", because="values are only moved")
    grad = cell.tensor(rng.normal(size=out.shape))
    out.backward(grad)
    rows = to_numpy(grad).reshape(*lead, int(np.prod(plane)))
    expected = np.take_along_axis(rows, places.reshape(*lead, int(np.prod(sizes))), -1).reshape(x.shape)
    assert_within(x.grad, expected, 0, what="gradient", because="values are only moved")


@claim("unpool-gradients")
@pytest.mark.parametrize("dims", UNPOOL)
def test_the_same_place_twice(cell, dims):
    """As overlapping windows name it: each of the elements has the gradient of the place."""
    x = cell.tensor(np.full((1, 1, 3, *[1] * (dims - 1)), 5.0), requires_grad=True)
    indices = cell.tensor(np.reshape([1, 4, 1], x.shape), dtype=torch.int64)
    out = cell.run(UNPOOL[dims](2))(x, indices)
    grad = np.arange(1.0, out.numel() + 1)
    out.backward(cell.tensor(grad.reshape(out.shape)))
    assert x.grad.flatten().tolist() == [2, 5, 2]


@claim("unpool-values", "unpool-gradients")
@pytest.mark.parametrize("dims", UNPOOL)
def test_views(cell, rng, dims):
    sizes = (2, 4, 3)[:dims]
    plane = tuple(2 * size for size in sizes)
    places = places_in(rng, (2, 3), sizes, plane)
    values = rng.normal(size=(2, 3, *sizes))
    wide = torch.stack([cell.tensor(values), cell.tensor(values * 0)], -1).requires_grad_()
    x = wide[..., 0]
    indices = torch.from_numpy(np.stack([places, places * 0], -1)).to(cell.device.name)[..., 0]
    assert not x.is_contiguous()
    out = cell.run(UNPOOL[dims](2))(x, indices)
    assert_within(out, max_unpool(to_numpy(x), places, plane), 0, what="output", because="values are only moved")
    out.backward(cell.tensor(np.ones(tuple(out.shape)))[:, :1].expand(out.shape))
    assert_within(wide.grad[..., 0], np.ones(x.shape), 0, what="gradient", because="values are only moved")
    assert_within(wide.grad[..., 1], np.zeros(x.shape), 0, what="gradient between", because="it is not in the view")


@claim("unpool-inverts-max-pool")
@pytest.mark.parametrize("dims", UNPOOL)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 3, 1), (2, 3, 0)], ids=str)
def test_round_trip(cell, rng, dims, kernel, stride, padding):
    sizes = (7, 6, 5)[:dims]
    x = cell.tensor(np.abs(rng.normal(size=(2, 3, *sizes))) + 0.5)
    pool = POOL[dims](kernel, stride, padding, return_indices=True)
    values, indices = pool(x)
    back = cell.run(UNPOOL[dims](kernel, stride, padding))(values, indices, output_size=x.shape)
    windows = Windows.of((kernel,) * dims, stride=stride, padding=padding)
    expected = max_unpool(*max_pool(to_numpy(x), windows), sizes)
    assert_within(back, expected, 0, what="what comes back", because="values are only moved")
    assert_within(pool(back)[0], to_numpy(values), 0, what="maxima of what came back", because="they are the same")


@claim("unpool-default-size")
def test_stride_is_the_kernel_by_default(cell):
    x = torch.ones(1, 1, 2, 3, device=cell.device.name, dtype=cell.dtype)
    layer = nn.MaxUnpool2d((2, 3))
    out = cell.run(layer)(x, torch.arange(6, device=cell.device.name).view(1, 1, 2, 3))
    assert tuple(out.shape) == (1, 1, 4, 9)
    assert repr(layer) == "MaxUnpool2d(kernel_size=(2, 3), stride=(2, 3), padding=(0, 0))"
    assert repr(nn.MaxUnpool1d(3, 2, 1)) == "MaxUnpool1d(kernel_size=(3,), stride=(2,), padding=(1,))"
    assert repr(nn.MaxUnpool3d(2)) == "MaxUnpool3d(kernel_size=(2, 2, 2), stride=(2, 2, 2), padding=(0, 0, 0))"


@claim("unpool-output-size")
@pytest.mark.parametrize("dims", UNPOOL)
@pytest.mark.parametrize("more", [-2, -1, 0, 1, 2])
def test_sizes_within_a_stride(cell, dims, more):
    sizes = (3, 2, 4)[:dims]
    x = torch.ones(2, 3, *sizes, device=cell.device.name, dtype=cell.dtype)
    indices = torch.arange(x[0, 0].numel(), device=cell.device.name).view(sizes).expand(x.shape)
    plane = tuple((n - 1) * 3 + 2 + more for n in sizes)
    layer = UNPOOL[dims](2, 3)
    for asked in (plane, (2, 3, *plane), list(plane)):
        assert tuple(layer(x, indices, output_size=asked).shape) == (2, 3, *plane)
    assert tuple(layer(x[0], indices[0], plane).shape) == (3, *plane)


@claim("unpool-output-size")
@pytest.mark.parametrize("dims", UNPOOL)
@pytest.mark.parametrize("more", [-3, 3])
def test_sizes_a_stride_away(cell, dims, more):
    sizes = (3, 2, 4)[:dims]
    x = torch.ones(2, 3, *sizes, device=cell.device.name, dtype=cell.dtype)
    indices = torch.zeros_like(x, dtype=torch.int64)
    for axis in range(dims):
        plane = [(n - 1) * 3 + 2 for n in sizes]
        plane[axis] += more
        with pytest.raises(ValueError, match=rf"invalid output_size .*dim {axis} must be between"):
            UNPOOL[dims](2, 3)(x, indices, output_size=plane)
    with pytest.raises(ValueError, match="output_size should be a sequence containing"):
        UNPOOL[dims](2, 3)(x, indices, output_size=[3, *plane])


REFUSED = {
    "an index too large": ([[0, 4]], torch.int64, "[Ff]ound an invalid max index"),
    "an index below 0": ([[-1, 0]], torch.int64, "[Ff]ound an invalid max index"),
    "int32": ([[0, 1]], torch.int32, "elements in indices should be type int64"),
    "another shape": ([[0, 1, 2]], torch.int64, "[Ee]xpected shape of indices to be (the )?same as that of the input"),
}


@claim("unpool-refused")
@pytest.mark.parametrize(("indices", "dtype", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cell, indices, dtype, message):
    if not cell.device.is_cpu and "index" in message:
        pytest.skip("does not apply: devices do not look at each index")
    x = torch.ones(1, 1, 2, device=cell.device.name, dtype=cell.dtype)
    wrong = torch.tensor([indices], device=cell.device.name, dtype=dtype)
    with pytest.raises(RuntimeError, match=message):
        nn.MaxUnpool2d((1, 2), (1, 2))(x, wrong)
    assert to_numpy(x).tolist() == [[[1.0, 1.0]]]
