"""Regions, threads, training and functions of one's own."""

import contextlib
import copy
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit

BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


def product():
    return torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype


@claim("amp-regions")
def test_regions_in_regions():
    seen = [product()]
    with torch.autocast("cpu"):
        seen.append(product())
        with torch.autocast("cpu", enabled=False):
            seen.append(product())
            with torch.autocast("cpu"):
                seen.append(product())
            seen.append(product())
        seen.append(product())
    seen.append(product())
    assert seen == [F32, BF16, F32, BF16, F32, BF16, F32]


@claim("amp-regions")
def test_a_decorated_function():
    @torch.autocast("cpu")
    def decorated(extra=0):
        return product(), extra

    assert decorated(extra=3) == (BF16, 3)
    assert decorated()[0] == BF16
    assert product() == F32


@claim("amp-regions")
def test_a_region_used_again():
    region = torch.autocast("cpu")
    for _ in range(2):
        with region:
            assert product() == BF16
        assert product() == F32


@claim("amp-regions")
def test_a_region_that_fails():
    def failing():
        with torch.autocast("cpu"):
            assert product() == BF16
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert product() == F32


@claim("amp-dtype")
@pytest.mark.parametrize(("options", "expected"), [({}, BF16), ({"dtype": BF16}, BF16), ({"dtype": F16}, F16)], ids=str)
def test_dtype(options, expected):
    with torch.autocast("cpu", **options):
        assert product() == expected
        with torch.autocast("cpu"):
            inner = product()
    assert inner == expected if options else BF16


@claim("amp-dtype")
@pytest.mark.parametrize("fails", [False, True], ids=["to its end", "fails"])
@pytest.mark.parametrize(("outer", "inner"), [(BF16, F16), (F16, BF16)], ids=str)
def test_another_dtype_ends_with_its_region(outer, inner, fails):
    with torch.autocast("cpu", dtype=outer):
        with contextlib.suppress(ZeroDivisionError), torch.autocast("cpu", dtype=inner):
            assert product() == inner
            if fails:
                raise ZeroDivisionError
        assert product() == outer


@claim("amp-other-dtypes")
@pytest.mark.parametrize("dtype", [F32, torch.float64, torch.int32], ids=str)
def test_dtypes_that_it_does_not_have(dtype):
    with pytest.warns(UserWarning, match=r"CPU autocast, but the target dtype is not supported. Disabling autocast"):
        region = torch.autocast("cpu", dtype=dtype)
    with region:
        assert product() == F32


@claim("amp-thread")
def test_another_thread():
    seen = []

    def elsewhere():
        seen.append(product())
        with torch.autocast("cpu", dtype=F16):
            seen.append(product())

    with torch.autocast("cpu"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert product() == BF16
    assert seen == [F32, F16]


@claim("amp-training")
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
def test_a_training_step(rng, cached):
    layer = nn.Linear(5, 3)
    start = copy.deepcopy(layer.state_dict())
    x = torch.tensor(rng.normal(size=(4, 5)).tolist())
    target = torch.tensor(rng.normal(size=(4, 3)).tolist())
    with torch.autocast("cpu", cache_enabled=cached):
        out = layer(x)
        again = layer(x)
        loss = F.mse_loss(out, target)
    loss.backward()
    assert (out.dtype, again.dtype, loss.dtype) == (BF16, BF16, F32)
    assert [one.dtype for one in layer.parameters()] == [F32, F32]
    assert [one.grad.dtype for one in layer.parameters()] == [F32, F32]
    for name, one in layer.named_parameters():
        assert torch.equal(one, start[name])
    rounded = [to_numpy(one.to(BF16)) for one in (x, layer.weight, layer.bias)]
    expected = rounded[0] @ rounded[1].T + rounded[2]
    size = np.abs(rounded[0]) @ np.abs(rounded[1]).T + np.abs(rounded[2])
    unit = rounding_unit(BF16)
    assert_within(out.detach(), expected, gamma(4, unit) * size, what="output", because="factors and result rounded")
    upstream = 2 * (to_numpy(out) - to_numpy(target)) / 12
    grad_bound = gamma(6, unit) * (np.abs(upstream).T @ np.abs(rounded[0]))
    assert_within(
        layer.weight.grad, upstream.T @ rounded[0], grad_bound, what="gradient", because="products in bfloat16"
    )


@claim("amp-training")
def test_a_new_weight_is_not_the_cached_one():
    layer = nn.Linear(2, 2, bias=False)
    x = torch.ones(1, 2)
    seen = []
    for value in (1.0, 2.0):
        nn.init.constant_(layer.weight, value)
        with torch.autocast("cpu"):
            seen.append(layer(x).tolist())
    assert seen == [[[2.0, 2.0]], [[4.0, 4.0]]]


def function_with(fwd, log):
    class Doubled(torch.autograd.Function):
        @staticmethod
        @fwd
        def forward(ctx, x, number, extra):
            log["forward"] = (x.dtype, number.dtype, extra, product())
            return x * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            log["backward"] = product()
            return grad * 2, None, None

    return Doubled.apply


@claim("amp-custom")
@pytest.mark.parametrize("cast", [None, F32, BF16, F16], ids=str)
@pytest.mark.parametrize("within", [True, False], ids=["within", "outside"])
@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
def test_custom_functions(cast, within, dtype):
    log = {}
    apply = function_with(torch.amp.custom_fwd(device_type="cpu", cast_inputs=cast), log)
    x = torch.ones(2, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", enabled=within):
        out = apply(x, torch.ones(2, dtype=torch.int64), "text")
    casting = within and cast is not None
    state = BF16 if within and cast is None else F32
    assert log["forward"] == (cast if casting else dtype, torch.int64, "text", state)
    with torch.autocast("cpu", enabled=not within):
        out.sum().backward()
    assert log["backward"] == state
    assert (x.grad.dtype, x.grad.tolist()) == (dtype, [2.0, 2.0])


@claim("amp-custom")
@pytest.mark.parametrize("region", [BF16, F16], ids=str)
def test_custom_functions_keep_the_dtype_of_forward(region):
    log = {}
    with torch.autocast("cpu", dtype=region):
        out = function_with(torch.amp.custom_fwd(device_type="cpu"), log)(
            torch.ones(2, requires_grad=True), torch.ones(1), ""
        )
    out.sum().backward()
    assert (log["forward"][-1], log["backward"]) == (region, region)


@claim("amp-custom-float64")
def test_custom_functions_of_float64():
    log = {}
    apply = function_with(torch.amp.custom_fwd(device_type="cpu", cast_inputs=F32), log)
    with torch.autocast("cpu"):
        apply(torch.ones(2, dtype=torch.float64), torch.ones(2), "")
    assert log["forward"][0] == F32, f"forward got {log['forward'][0]}, not torch.float32"


@claim("amp-available")
def test_where_there_is_autocast():
    assert torch.amp.is_autocast_available("cpu") is True
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
        torch.amp.is_autocast_available("typewriter")
    with pytest.raises(RuntimeError, match=r"Expected one of cpu, cuda|Unsupported|autocast"):
        torch.autocast("typewriter")


@claim("amp-deprecated")
def test_old_names():
    with pytest.warns(FutureWarning, match=r"torch.cpu.amp.autocast\(args...\)` is deprecated"):
        region = torch.cpu.amp.autocast()
    with region:
        assert product() == BF16
    with pytest.warns(FutureWarning, match=r"torch.cpu.amp.GradScaler\(args...\)` is deprecated"):
        scaler = torch.cpu.amp.GradScaler(init_scale=4.0)
    assert isinstance(scaler, torch.amp.GradScaler)
    assert scaler.get_scale() == 4.0
