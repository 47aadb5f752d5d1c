"""Lazy normalisations, before and after the first input."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from test_bn.layouts import channels_of_unlike_scale, place
from test_bn.test_forward import assert_normalised
from torchclaims import claim
from torchclaims.targets import to_numpy

BATCH = {
    nn.LazyBatchNorm1d: (nn.BatchNorm1d, (4, 3)),
    nn.LazyBatchNorm2d: (nn.BatchNorm2d, (4, 3, 2, 2)),
    nn.LazyBatchNorm3d: (nn.BatchNorm3d, (2, 3, 2, 1, 3)),
}
INSTANCE = {
    nn.LazyInstanceNorm1d: (nn.InstanceNorm1d, (4, 3, 5)),
    nn.LazyInstanceNorm2d: (nn.InstanceNorm2d, (4, 3, 2, 2)),
    nn.LazyInstanceNorm3d: (nn.InstanceNorm3d, (2, 3, 2, 1, 3)),
}
every_lazy = pytest.mark.parametrize("lazy", [*BATCH, *INSTANCE])
every_batch = pytest.mark.parametrize("lazy", BATCH)


@claim("lazy-norm-materialises")
@every_lazy
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("track", [True, False])
def test_first_input(lazy, affine, track):
    becomes, shape = (BATCH | INSTANCE)[lazy]
    module = lazy(affine=affine, track_running_stats=track)
    assert [isinstance(one, UninitializedParameter) for one in module.parameters()] == [True] * 2 * affine
    if track:
        assert isinstance(module.running_mean, UninitializedBuffer)
        assert isinstance(module.running_var, UninitializedBuffer)
        assert module.num_batches_tracked.item() == 0
    else:
        assert (module.running_mean, module.running_var, module.num_batches_tracked) == (None, None, None)
    assert module.has_uninitialized_params() is (affine or track)
    module.reset_parameters()
    if not (affine or track):
        return
    module.eval()(torch.zeros(shape))
    assert type(module) is becomes
    assert (module.num_features, module.affine, module.track_running_stats) == (3, affine, track)
    values = {"weight": 1.0, "bias": 0.0} if affine else {}
    values |= {"running_mean": 0.0, "running_var": 1.0} if track else {}
    state = module.state_dict()
    assert {name: one.tolist() for name, one in state.items() if one.dim()} == {
        name: [value] * 3 for name, value in values.items()
    }
    assert all(one.requires_grad for one in module.parameters())
    module.load_state_dict(becomes(3, affine=affine, track_running_stats=track).state_dict())


@claim("lazy-norm-arguments")
@every_batch
def test_arguments(lazy):
    module = lazy()
    assert (module.eps, module.momentum, module.affine, module.track_running_stats) == (1e-5, 0.1, True, True)
    module = lazy(0.5, None, False, False)
    assert (module.eps, module.momentum, module.affine, module.track_running_stats) == (0.5, None, False, False)
    wide = lazy(dtype=torch.float64)
    wide(torch.randn(BATCH[lazy][1], dtype=torch.float64))
    assert [one.dtype for one in wide.state_dict().values()] == [torch.float64] * 4 + [torch.int64]


@claim("lazy-norm-bias-off")
@every_lazy
def test_bias_off(lazy):
    becomes, shape = (BATCH | INSTANCE)[lazy]
    module = lazy(affine=True, bias=False)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    module(torch.ones(shape))
    assert type(module) is becomes
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert module.weight.tolist() == [1.0] * 3
    assert module.bias is None


@claim("lazy-norm-first-output")
@every_batch
def test_first_output(cell, rng, lazy):
    module = place(cell, lazy())
    x = cell.tensor(channels_of_unlike_scale(rng, BATCH[lazy][1]))
    output = module(x)
    assert_normalised(cell, output, to_numpy(x), module)
    assert module.num_batches_tracked.item() == 1
    module.weight.data.fill_(3.0)
    assert_normalised(cell, module(x), to_numpy(x), module)


@claim("lazy-norm-dimensions")
@every_lazy
def test_dimensions(cell, lazy):
    module = lazy().to(cell.device.name)
    with pytest.raises(ValueError, match=r"expected .*D input \(got 6D input\)"):
        module(cell.tensor(np.zeros((1,) * 6), dtype=torch.float32))
