"""What all kinds of dropout have in common, and how they differ in the inputs that they take."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.comparison import laid_out
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same

F = nn.functional

# (layer, function, shape of the input)
KINDS = {
    "Dropout": (nn.Dropout, F.dropout.__name__, (4, 8, 5)),
    "Dropout1d": (nn.Dropout1d, "dropout1d", (4, 8, 5)),
    "Dropout1d, no batch": (nn.Dropout1d, "dropout1d", (16, 5)),
    "Dropout2d": (nn.Dropout2d, "dropout2d", (4, 8, 2, 3)),
    "Dropout3d": (nn.Dropout3d, "dropout3d", (4, 8, 2, 3, 2)),
    "Dropout3d, no batch": (nn.Dropout3d, "dropout3d", (16, 2, 3, 2)),
    "AlphaDropout": (nn.AlphaDropout, "alpha_dropout", (4, 8, 5)),
    "FeatureAlphaDropout": (nn.FeatureAlphaDropout, "feature_alpha_dropout", (4, 8, 2, 3)),
}
every_kind = pytest.mark.parametrize(("kind", "function", "shape"), KINDS.values(), ids=KINDS)


@claim("dropout-defaults")
@every_kind
def test_defaults(kind, function, shape):
    assert repr(kind()) == f"{kind.__name__}(p=0.5, inplace=False)"
    assert repr(kind(0.25, True)) == f"{kind.__name__}(p=0.25, inplace=True)"
    assert (kind().p, kind().inplace, kind().training) == (0.5, False, True)
    assert list(kind().state_dict()) == []


@claim("dropout-defaults")
@every_kind
def test_default_probability(cell, kind, function, shape):
    x = cell.tensor(np.ones(shape))
    outs = []
    for call in (
        kind(),
        lambda one: getattr(F, function)(one, 0.5, True),
        lambda one: getattr(F, function)(one, training=True),
    ):
        torch.manual_seed(3)
        outs.append(call(x))
    assert 0 < int((outs[0] != outs[0].flatten()[0]).sum()) < x.numel()
    assert_same(outs[1], outs[0], what="the function with p=0.5")
    assert_same(outs[2], outs[0], what="the function without p")


@claim("dropout-every-kind-refuses")
@every_kind
@pytest.mark.parametrize("p", [-0.001, 1.001, -1, 2])
def test_refused(cell, kind, function, shape, p):
    with pytest.raises(ValueError, match=f"dropout probability has to be between 0 and 1, but got {p}"):
        kind(p)
    x = cell.tensor(np.ones(shape))
    for training in (True, False):
        with pytest.raises(ValueError, match=f"dropout probability has to be between 0 and 1, but got {p}"):
            getattr(F, function)(x, p, training=training)
    assert bool((x == 1).all())


@claim("dropout-every-kind-refuses")
@every_kind
def test_bounds_are_taken(cell, rng, kind, function, shape):
    x = cell.tensor(rng.normal(size=shape))
    assert_same(kind(0)(x), x, what="output with p=0")
    assert_same(kind(1)(x), torch.zeros_like(x), what="output with p=1")


@claim("dropout-every-kind-in-place")
@every_kind
@pytest.mark.parametrize("layout", ["plain", "every other"])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_in_place(cell, rng, kind, function, shape, p, layout):
    x = laid_out(cell, rng.normal(size=shape), layout)
    before = x.clone()
    torch.manual_seed(5)
    out = cell.run(kind(p))(x)
    assert_same(x, before, what="the input of a layer out of place")
    torch.manual_seed(5)
    # The layers of alpha dropout are alpha-dropout-in-place's.
    alpha = kind in (nn.AlphaDropout, nn.FeatureAlphaDropout)
    inside = cell.run(getattr(F, function))(x, p, True, True) if alpha else cell.run(kind(p, inplace=True))(x)
    assert inside.data_ptr() == x.data_ptr()
    assert tuple(x.shape) == tuple(inside.shape) == shape
    assert_same(x, out, what="the input of a layer in place")


@claim("dropout-eval-every-kind")
@every_kind
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_evaluation(cell, rng, kind, function, shape, p):
    x = cell.tensor(rng.normal(size=shape))
    before = x.clone()
    calls = []
    layer = kind(p, inplace=p == 0.5)
    layer.register_forward_hook(lambda module, args, out: calls.append(module.training))
    chain = nn.Sequential(nn.Identity(), layer, nn.Identity()).eval()
    state = torch.get_rng_state()
    out = cell.run(chain)(x)
    assert_same(out, before, what="output in evaluation")
    assert_same(x, before, what="input in evaluation")
    assert torch.equal(torch.get_rng_state(), state), "evaluation draws random numbers"
    assert calls == [False], "the layer is not called in evaluation"
    cell.run(chain.train())(cell.tensor(np.ones(shape)))
    assert calls == [False, True]


def dropped_in_part(mask):
    """How many rows are neither dropped nor kept as a whole."""
    rows = mask.reshape(len(mask), -1)
    return int((rows.any(1) & ~rows.all(1)).sum())


@claim("dropout-unbatched")
@pytest.mark.parametrize(("kind", "shape"), [(nn.Dropout1d, (64, 5)), (nn.Dropout3d, (64, 2, 3, 2))])
@pytest.mark.parametrize("inplace", [False, True])
def test_channels_without_a_batch(cell, rng, kind, shape, inplace):
    x = cell.tensor(np.abs(rng.normal(size=shape)) + 0.5)
    before = to_numpy(x)
    out = cell.run(kind(0.5, inplace))(x)
    mask = to_numpy(out) == 0
    assert dropped_in_part(mask) == 0
    assert 0 < mask.sum() < mask.size
    assert (to_numpy(out)[~mask] == 2 * before[~mask]).all()
    assert tuple(out.shape) == tuple(x.shape) == shape


@claim("dropout-dimensions")
def test_3d_input_of_dropout2d(cell):
    x = cell.tensor(np.ones((16, 16, 5)))
    with pytest.warns(UserWarning, match=r"assuming that channel-wise 1D dropout behavior is desired") as caught:
        out = nn.Dropout2d()(x)
    assert len(caught) == 1
    mask = (to_numpy(out) == 0).reshape(256, 5)
    assert dropped_in_part(mask) == 0
    # Not one channel of (C, H, W) at a time: rows of one sample differ.
    assert dropped_in_part(mask.reshape(16, -1)) > 0


DEPRECATED = {
    "a matrix to Dropout2d": (nn.Dropout2d, (4, 5), "2-D input to dropout2d, which is deprecated"),
    "five dimensions to Dropout2d": (nn.Dropout2d, (2, 3, 4, 2, 2), "5-D input to dropout2d, which is deprecated"),
    "three dimensions to Dropout3d": (nn.Dropout3d, (2, 4, 5), "3-D input to dropout3d, which is deprecated"),
    "six dimensions to Dropout3d": (nn.Dropout3d, (1, 2, 3, 2, 2, 2), "6-D input to dropout3d, which is deprecated"),
}


@claim("dropout-dimensions")
@pytest.mark.parametrize(("kind", "shape", "message"), DEPRECATED.values(), ids=DEPRECATED)
def test_deprecated(cell, kind, shape, message):
    x = cell.tensor(np.ones(shape))
    with pytest.warns(UserWarning, match=message):
        out = kind()(x)
    assert tuple(out.shape) == shape


@claim("dropout-dimensions")
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4, 5)], ids=str)
def test_dropout1d_refuses(cell, shape):
    x = cell.tensor(np.ones(shape))
    with pytest.raises(RuntimeError, match=f"Expected 2D or 3D input, but received a {len(shape)}D input"):
        nn.Dropout1d()(x)
    assert bool((x == 1).all())


@claim("dropout-dimensions")
@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.Dropout2d, (2, 3, 4, 5)), (nn.Dropout3d, (3, 2, 2, 2)), (nn.Dropout3d, (2, 3, 2, 2, 2))]
)
def test_documented_dimensions_are_silent(cell, kind, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind()(cell.tensor(np.ones(shape)))


@claim("dropout-channel-sentence")
def test_whole_channels(cell):
    out = cell.run(nn.Dropout(0.5))(cell.tensor(np.ones((8, 16, 6, 6))))
    part = dropped_in_part((to_numpy(out) == 0).reshape(128, 36))
    if part:
        raise AssertionError(f"expected channels dropped or kept as a whole, seen {part} of 128 dropped in part")


@claim("dropout-zeroes-everything")
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf], ids=str)
def test_special_values_are_dropped(cell, special):
    seen = to_numpy(cell.run(nn.Dropout(1.0))(cell.tensor([1.0, special])))
    if seen.tolist() != [0.0, 0.0]:
        raise AssertionError(f"expected zeros of [1, {special}] with p = 1, seen {seen.tolist()}")


@claim("alpha-dropout-in-place")
@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_in_place(cell, rng, kind):
    x = cell.tensor(rng.normal(size=(4, 8, 2)))
    out = cell.run(kind(0.4, inplace=True))(x)
    if out.data_ptr() != x.data_ptr():
        raise AssertionError("expected the input's memory, seen memory of its own")
    assert_same(x, out, what="the input")
