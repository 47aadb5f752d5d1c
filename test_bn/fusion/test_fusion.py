"""Batch normalisation folded into the layer before it, and its statistics taken anew."""

import pytest
import torch
from torch import nn
from torch.nn.utils import fusion
from torch.optim.swa_utils import update_bn

from test_bn.layouts import channels_of_unlike_scale, place
from test_bn.test_running import assert_running
from torchclaims import claim
from torchclaims.measure import work
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import accumulation_unit, assert_same, assert_within, gamma

CONVOLUTIONS = {
    "1d": (nn.Conv1d, nn.BatchNorm1d, (2, 4, 7), {}),
    "2d": (nn.Conv2d, nn.BatchNorm2d, (2, 4, 5, 4), {}),
    "2d, no bias": (nn.Conv2d, nn.BatchNorm2d, (2, 4, 5, 4), {"bias": False}),
    "2d, groups": (nn.Conv2d, nn.BatchNorm2d, (2, 4, 5, 4), {"groups": 2, "padding": 1}),
    "3d": (nn.Conv3d, nn.BatchNorm3d, (2, 4, 3, 2, 3), {"bias": False}),
}
TRANSPOSED = {
    "1d": (nn.ConvTranspose1d, nn.BatchNorm1d, (2, 4, 5), {}),
    "2d": (nn.ConvTranspose2d, nn.BatchNorm2d, (2, 4, 3, 4), {"bias": False}),
    "3d": (nn.ConvTranspose3d, nn.BatchNorm3d, (2, 4, 2, 3, 2), {}),
}
BECAUSE = "a sum of products and 12 roundings, either way"


def trained(cell, rng, bn):
    """``bn`` in evaluation, with statistics, and parameters where it has some, that differ by channel."""
    with torch.no_grad():
        for name, one in bn.state_dict().items():
            low, high = {"running_var": (0.05, 2.0), "weight": (0.5, 2.0)}.get(name, (-1.0, 1.0))
            if one.dtype.is_floating_point:
                one.copy_(from_numpy(rng.uniform(low, high, tuple(one.shape))))
    return cell.place(bn).eval()


def assert_folded(cell, rng, layer, bn, shape, fuse):
    x = cell.tensor(rng.standard_normal(shape))
    expected = to_numpy(bn(layer(x)))
    fused = fuse(layer, bn)
    scale = (1 if bn.weight is None else bn.weight.abs()) / (bn.running_var + bn.eps).sqrt()
    offset = float(((bn.running_mean.abs() * scale).max() + 1).detach()) * 3
    size = float((x.abs().max() * layer.weight.abs().sum() * scale.max()).detach()) + offset
    bound = gamma(layer.weight.numel() + 24, accumulation_unit(cell)) * size
    assert_within(fused(x), expected, bound, what="output of the fused layer", because=BECAUSE)
    return fused


@claim("bn-fold-convolution")
@pytest.mark.parametrize(("convolution", "batch_norm", "shape", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("affine", [True, False, "without a bias"])
def test_convolution(cell, rng, convolution, batch_norm, shape, options, affine):
    layer = cell.place(convolution(4, 6, 2, **options)).eval()
    bn = batch_norm(6, eps=0.01, affine=bool(affine))
    if affine == "without a bias":
        bn.register_parameter("bias", None)
    bn = trained(cell, rng, bn)
    assert_folded(cell, rng, layer, bn, shape, fusion.fuse_conv_bn_eval)


def size_of(tensor):
    """Bytes of its elements."""
    return tensor.numel() * tensor.element_size()


@claim("bn-fold-traffic")
@pytest.mark.parametrize(("convolution", "batch_norm", "shape", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_traffic(cell, rng, convolution, batch_norm, shape, options):
    layer = cell.place(convolution(4, 6, 2, **options)).eval()
    bn = trained(cell, rng, batch_norm(6))
    fused = fusion.fuse_conv_bn_eval(layer, bn)
    x = cell.tensor(rng.standard_normal(shape))
    with torch.no_grad():
        output = size_of(layer(x))
        alone, both, folded = (work.count(lambda call=call: call(x)) for call in (layer, lambda x: bn(layer(x)), fused))
    new_bias = size_of(fused.bias) if layer.bias is None else 0
    assert folded.bytes == alone.bytes + new_bias, "bytes moved by the folded layer"
    assert folded.flops == both.flops == alone.flops, "operations"
    four_each_channel = 4 * size_of(bn.weight)
    assert both.bytes == alone.bytes + 2 * output + four_each_channel, "bytes moved by the two layers"


@claim("bn-fold-transposed")
@pytest.mark.parametrize(("convolution", "batch_norm", "shape", "options"), TRANSPOSED.values(), ids=TRANSPOSED)
def test_transposed(cell, rng, convolution, batch_norm, shape, options):
    layer = cell.place(convolution(4, 6, 2, **options)).eval()
    bn = trained(cell, rng, batch_norm(6))
    assert_folded(cell, rng, layer, bn, shape, lambda *layers: fusion.fuse_conv_bn_eval(*layers, transpose=True))


@claim("bn-fold-transposed-groups")
@pytest.mark.parametrize("groups", [2, 4])
def test_transposed_groups(cell, rng, groups):
    layer = cell.place(nn.ConvTranspose2d(4, 8, 2, groups=groups)).eval()
    bn = trained(cell, rng, nn.BatchNorm2d(8))
    try:
        assert_folded(
            cell, rng, layer, bn, (2, 4, 3, 3), lambda *layers: fusion.fuse_conv_bn_eval(*layers, transpose=True)
        )
    except RuntimeError as error:
        raise AssertionError(f"{groups} groups are not folded: {error}") from None


@claim("bn-fold-linear")
@pytest.mark.parametrize("bias", [True, False])
def test_linear(cell, rng, bias):
    layer = cell.place(nn.Linear(5, 4, bias=bias)).eval()
    fused = assert_folded(cell, rng, layer, trained(cell, rng, nn.BatchNorm1d(4)), (3, 5), fusion.fuse_linear_bn_eval)
    assert type(fused) is nn.Linear


@claim("bn-fold-linear-without-affine")
def test_linear_without_affine(cell, rng):
    layer = cell.place(nn.Linear(5, 4)).eval()
    bn = trained(cell, rng, nn.BatchNorm1d(4, affine=False))
    try:
        assert_folded(cell, rng, layer, bn, (3, 5), fusion.fuse_linear_bn_eval)
    except TypeError as error:
        raise AssertionError(f"a layer without affine parameters is not folded: {error}") from None


@claim("bn-fold-one-feature")
def test_one_feature(cell, rng):
    layer = cell.place(nn.Linear(5, 4)).eval()
    bn = trained(cell, rng, nn.BatchNorm1d(1))
    x = cell.tensor(rng.standard_normal((3, 1, 5)))
    expected = to_numpy(bn(layer(x)))
    fused = fusion.fuse_linear_bn_eval(layer, bn)
    size = 40 * (1 + float(x.abs().max()))
    assert_within(fused(x), expected, gamma(40, accumulation_unit(cell)) * size, what="output", because=BECAUSE)
    for features in (3, 5):
        pattern = rf"linear\.out_features(=4 and bn\.num_features={features}| == bn\.num_features)"
        with pytest.raises(AssertionError, match=pattern):
            fusion.fuse_linear_bn_eval(layer, nn.BatchNorm1d(features).eval())


@claim("bn-fold-makes-a-new-layer")
@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("kind", ["convolution", "linear"])
def test_new_layer(cell, rng, kind, trains):
    if kind == "linear":
        layer, bn, fuse = nn.Linear(5, 4), nn.BatchNorm1d(4), fusion.fuse_linear_bn_eval
    else:
        layer, bn, fuse = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), fusion.fuse_conv_bn_eval
    layer, bn = cell.place(layer).eval().requires_grad_(trains), trained(cell, rng, bn)
    before = [one.clone() for module in (layer, bn) for one in module.state_dict().values()]
    fused = fuse(layer, bn)
    assert fused is not layer
    assert type(fused) is type(layer)
    assert repr(fused) == repr(layer)
    assert not fused.training
    for name, one in fused.named_parameters():
        assert isinstance(one, nn.Parameter)
        assert (one.dtype, one.requires_grad, one.shape) == (cell.dtype, trains, getattr(layer, name).shape)
        assert one.data_ptr() != getattr(layer, name).data_ptr()
    after = [one for module in (layer, bn) for one in module.state_dict().values()]
    for one, kept in zip(after, before, strict=True):
        assert_same(one, kept, what="what was given")


@claim("bn-fold-makes-a-new-layer")
def test_dtype_of_the_convolution_is_kept(cell, rng):
    conv, bn = cell.place(nn.Conv2d(2, 4, 3)).bfloat16().eval(), trained(cell, rng, nn.BatchNorm2d(4))
    fused = fusion.fuse_conv_bn_eval(conv, bn)
    assert (fused.weight.dtype, fused.bias.dtype) == (torch.bfloat16, torch.bfloat16)
    weight, _ = fusion.fuse_conv_bn_weights(conv.weight, None, bn.running_mean, bn.running_var, bn.eps, None, None)
    assert isinstance(weight, nn.Parameter)
    assert weight.dtype == torch.bfloat16


@claim("bn-fold-refuses")
@pytest.mark.parametrize("training", ["the layer", "the normalisation"])
def test_training(training):
    for layer, bn, fuse in (
        (nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), fusion.fuse_conv_bn_eval),
        (nn.Linear(2, 4), nn.BatchNorm1d(4), fusion.fuse_linear_bn_eval),
    ):
        (layer if training == "the normalisation" else bn).eval()
        with pytest.raises(AssertionError, match="Fusion only for eval!"):
            fuse(layer, bn)


@claim("bn-fold-refuses")
def test_no_running_statistics():
    for layer, bn, fuse in (
        (nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), fusion.fuse_conv_bn_eval),
        (nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False), fusion.fuse_linear_bn_eval),
    ):
        with pytest.raises((AssertionError, TypeError)):
            fuse(layer.eval(), bn.eval())
        bn.running_var = torch.ones(4)
        with pytest.raises((AssertionError, TypeError)):
            fuse(layer, bn)


def batches_for(cell, rng, sizes=(4, 3, 5)):
    return [cell.tensor(channels_of_unlike_scale(rng, (size, 3, 2, 2))) for size in sizes]


@claim("bn-update-averages")
@pytest.mark.parametrize("momentum", [0.1, None])
def test_update(cell, rng, momentum):
    model = nn.Sequential(nn.Identity(), place(cell, nn.BatchNorm2d(3, momentum=momentum)))
    bn = model[1]
    model(batches_for(cell, rng)[0] + 5)
    batches = batches_for(cell, rng)
    update_bn(iter(batches), model)
    assert_running(cell, bn, [to_numpy(one) for one in batches], None)
    assert bn.num_batches_tracked.item() == 3


@claim("bn-update-first-element")
@pytest.mark.parametrize("kind", [list, tuple])
def test_first_element(cell, rng, kind):
    bn = place(cell, nn.BatchNorm2d(3))
    batches = batches_for(cell, rng)
    update_bn([kind((one, torch.tensor(1))) for one in batches], bn, device=cell.device.name)
    assert_running(cell, bn, [to_numpy(one) for one in batches], None)


@claim("bn-update-leaves-the-rest")
@pytest.mark.parametrize("training", [True, False])
def test_rest(cell, rng, training):
    first, second = place(cell, nn.BatchNorm2d(3, momentum=0.25)), place(cell, nn.BatchNorm2d(3, momentum=None))
    model = nn.Sequential(first, second).train(training)
    before = [one.detach().clone() for one in model.parameters()]
    update_bn(batches_for(cell, rng), model)
    assert (first.momentum, second.momentum) == (0.25, None)
    assert [one.training for one in model.modules()] == [training] * 3
    for one, kept in zip(model.parameters(), before, strict=True):
        assert_same(one.detach(), kept, what="parameter")
    assert all(one.grad is None for one in model.parameters())
    assert not first.running_mean.requires_grad
    calls = []
    plain = nn.Linear(2, 2).train(training)
    plain.register_forward_pre_hook(lambda *_: calls.append(1))
    update_bn([torch.zeros(1, 2)], plain)
    assert (plain.training, calls) == (training, [])
    graphs = []
    first.register_forward_hook(lambda module, args, output: graphs.append(output.requires_grad))
    update_bn(batches_for(cell, rng), model)
    assert graphs == [False] * 3
