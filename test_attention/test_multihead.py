"""MultiheadAttention beside its formula."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from test_attention.common import BOOLEAN, NEED_WEIGHTS, ORDERS, applied, masks_of, swapped, tensors
from torchclaims import claim
from torchclaims.chance import assert_follows, uniform
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference import attention
from torchclaims.reference.differentiation import term
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same


def multihead(cell, rng, *args, **more):
    """A MultiheadAttention none of whose parameters is 0."""
    layer = cell.place(nn.MultiheadAttention(*args, **more))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(cell.tensor(0.5 * rng.normal(size=tuple(parameter.shape))))
    return layer


def check(cell, rng, layer, inputs, mask=None, run=None, **more):
    """Output and averaged weights of ``layer`` (not batch_first)."""

    def formula(*sequences, **weights):
        q, k, v = (swapped(one) for one in (sequences * 3 if len(sequences) == 1 else sequences))
        out, shares = attention.multi_head(q, k, v, weights, layer.num_heads, mask, zero_attention=layer.add_zero_attn)
        return [swapped(out), shares.sum(1) / float(layer.num_heads)]

    if run is None:

        def run(*x):
            return layer(*(x * 3 if len(x) == 1 else x), **more)

    assert_formula(cell, rng, run, formula, inputs, dict(layer.named_parameters()), orders=ORDERS)


@claim("mha-formula")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_multihead(cell, rng, count, bias):
    layer = multihead(cell, rng, 6, count, bias=bias)
    check(cell, rng, layer, tensors(cell, rng, (4, 2, 6), (5, 2, 6), (5, 2, 6)))
    check(cell, rng, layer, tensors(cell, rng, (4, 2, 6)))
    x, y = tensors(cell, rng, (4, 2, 6), (5, 2, 6))
    assert torch.allclose(layer(x, y, y)[0], layer(x, y, y.clone())[0], atol=1e-5)


@claim("mha-weights")
@pytest.mark.parametrize("batched", [True, False])
def test_weights(cell, rng, batched):
    layer = multihead(cell, rng, 6, 3)
    x, y = tensors(cell, rng, (4, 2, 6), (5, 2, 6))
    if not batched:
        x, y = x[:, 0].detach(), y[:, 0].detach()
    out, averaged = cell.run(layer)(x, y, y)
    separate = cell.run(layer)(x, y, y, average_attn_weights=False)[1]
    assert averaged.shape == ((2, 4, 5) if batched else (4, 5))
    assert separate.shape == ((2, 3, 4, 5) if batched else (3, 4, 5))
    weights = {name: term(to_numpy(p)) for name, p in layer.named_parameters()}
    q, k = (to_numpy(one) if batched else to_numpy(one)[:, None] for one in (x, y))
    shares = attention.multi_head(swapped(term(q)), swapped(term(k)), swapped(term(k)), weights, 3)[1].value
    assert np.abs(to_numpy(separate) - (shares if batched else shares[0])).max() < 1e-5
    assert np.abs(to_numpy(averaged) - (shares if batched else shares[0]).mean(-3)).max() < 1e-5
    alone, nothing = cell.run(layer)(x, y, y, need_weights=False)
    assert nothing is None
    assert torch.allclose(alone, out, atol=1e-5)


MASKED = {
    "keys": (True, None),
    "matrix": (False, "matrix"),
    "each head": (False, "heads"),
    "keys and matrix": (True, "matrix"),
    "keys and heads": (True, "heads"),
}


@claim("mha-masks")
@covering(MASKED, keys__attn=MASKED, need_weights=NEED_WEIGHTS, boolean=BOOLEAN)
def test_masks(cell, rng, keys, attn, need_weights, boolean):
    layer = multihead(cell, rng, 6, 2)
    arguments, total = masks_of(cell, rng, keys, attn, boolean)
    inputs = tensors(cell, rng, (4, 2, 6), (5, 2, 6), (5, 2, 6))
    if need_weights:
        check(cell, rng, layer, inputs, total, **arguments)
        return

    def formula(q, k, v, **weights):
        return swapped(attention.multi_head(swapped(q), swapped(k), swapped(v), weights, 2, total)[0])

    def run(*x):
        return layer(*x, need_weights=False, **arguments)[0]

    assert_formula(cell, rng, run, formula, inputs, dict(layer.named_parameters()), orders=ORDERS)


@claim("mha-masks")
def test_masks_unbatched(cell, rng):
    layer = multihead(cell, rng, 6, 2)
    x, y = (one.detach() for one in tensors(cell, rng, (4, 6), (5, 6)))
    arguments, _ = masks_of(cell, rng, True, "heads", True, samples=1)
    batched = cell.run(layer)(x[:, None], y[:, None], y[:, None], **arguments)[0][:, 0]
    arguments["key_padding_mask"] = arguments["key_padding_mask"][0]
    assert_same(cell.run(layer)(x, y, y, **arguments)[0], batched, what="output")


@claim("mha-kdim-vdim")
@pytest.mark.parametrize(("kdim", "vdim"), [(4, 5), (6, 3), (3, None)])
def test_other_features(cell, rng, kdim, vdim):
    layer = multihead(cell, rng, 6, 2, kdim=kdim, vdim=vdim)
    wide = vdim or 6
    assert layer.in_proj_weight is None
    assert (layer.q_proj_weight.shape, layer.k_proj_weight.shape, layer.v_proj_weight.shape) == (
        (6, 6), (6, kdim), (6, wide),
    )  # fmt: skip
    check(cell, rng, layer, tensors(cell, rng, (4, 2, 6), (5, 2, kdim), (5, 2, wide)))


@claim("mha-bias-kv")
@pytest.mark.parametrize("masked", [False, True], ids=["open", "masked"])
@pytest.mark.parametrize(("bias", "zero"), [(True, False), (False, True), (True, True)])
def test_added_keys(cell, rng, bias, zero, masked):
    layer = multihead(cell, rng, 6, 2, add_bias_kv=bias, add_zero_attn=zero)
    arguments, total = masks_of(cell, rng, True, "matrix", True) if masked else ({}, None)
    inputs = tensors(cell, rng, (4, 2, 6), (5, 2, 6), (5, 2, 6))
    check(cell, rng, layer, inputs, total, **arguments)
    assert layer(*inputs)[1].shape == (2, 4, 5 + bias + zero)


@claim("mha-layout")
@pytest.mark.parametrize("training", [True, False])
def test_batch_first(cell, rng, training):
    layer = multihead(cell, rng, 6, 2, batch_first=True)
    plain = cell.place(nn.MultiheadAttention(6, 2))
    plain.load_state_dict(layer.state_dict())
    layer.train(training)
    plain.train(training)
    x, y, other = tensors(cell, rng, (4, 2, 6), (5, 2, 6), (5, 2, 6))
    first = {one: one.transpose(0, 1) for one in (x, y, other)}  # the same tensor for the same one
    for given in ((x, y, y), (x, y, other), (y, y, y), (y, y, other), (y, other, y)):
        out, weights = cell.run(plain)(*given)
        turned, shares = cell.run(layer)(*(first[one] for one in given))
        assert turned.shape == (2, *out.shape[::2])
        assert torch.allclose(turned, out.transpose(0, 1), atol=1e-5)
        assert torch.allclose(shares, weights, atol=1e-5)
        alone = cell.run(layer)(*(one[:, 0] for one in given))[0]
        assert torch.allclose(alone, out[:, 0], atol=1e-5)


@claim("mha-fast-path")
@covering(MASKED, keys__attn={"open": (False, None), **MASKED}, need_weights=NEED_WEIGHTS, boolean=BOOLEAN)
def test_multihead_in_evaluation(cell, rng, keys, attn, need_weights, boolean):
    layer = multihead(cell, rng, 6, 2, batch_first=True).eval()
    arguments, total = masks_of(cell, rng, keys, attn, boolean, queries=5)

    def formula(x, **weights):
        out, shares = attention.multi_head(x, x, x, weights, 2, total)
        return [out, shares.sum(1) / 2.0] if need_weights else out

    def run(x):
        results = layer(x, x, x, need_weights=need_weights, **arguments)
        return results if need_weights else results[0]

    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = tensors(cell, rng, (2, 5, 6))[0].detach()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_formula(cell, rng, run, formula, [x], parameters, orders=ORDERS)


@claim("mha-causal")
@pytest.mark.parametrize("need_weights", [True, False], ids=["weights", "no weights"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_causal_hint(cell, rng, need_weights, training):
    layer = multihead(cell, rng, 6, 2).train(training)
    mask = nn.Transformer.generate_square_subsequent_mask(4).to(device=cell.device.name, dtype=cell.dtype)

    def formula(x, **weights):
        y = swapped(x)
        return swapped(attention.multi_head(y, y, y, weights, 2, attention.causal(4, 4))[0])

    def run(x):
        return layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=need_weights)[0]

    assert_formula(
        cell, rng, run, formula, tensors(cell, rng, (4, 2, 6)), dict(layer.named_parameters()), orders=ORDERS
    )


@claim("mha-causal-applies")
@pytest.mark.parametrize("path", ["slow", "fast"])
def test_causal_mask_is_applied(cell, rng, path):
    layer = multihead(cell, rng, 6, 2, batch_first=True).train(path == "slow")
    x = tensors(cell, rng, (2, 4, 6))[0].detach()
    mask = nn.Transformer.generate_square_subsequent_mask(4).to(device=cell.device.name, dtype=cell.dtype)
    with torch.no_grad():
        applied(lambda: cell.run(layer)(x, x, x, is_causal=True)[0], cell.run(layer)(x, x, x, attn_mask=mask)[0])


@claim("mha-dropout")
def test_multihead_dropout(cell, rng):
    layer = multihead(cell, rng, 6, 2, dropout=0.5)
    x = tensors(cell, rng, (9, 2, 6))[0].detach()
    trained = cell.run(layer)(x, x, x, average_attn_weights=False)[1]
    assert 0 < (trained == 0).sum() < trained.numel()
    layer.eval()
    first = cell.run(layer)(x, x, x, average_attn_weights=False)
    assert (first[1] != 0).all()
    kept = trained != 0
    assert torch.allclose(trained[kept], 2 * first[1][kept], atol=1e-5)
    assert_same(cell.run(layer)(x, x, x)[0], first[0], what="output in evaluation")
    still = multihead(cell, rng, 6, 2)
    assert_same(cell.run(still)(x, x, x)[0], cell.run(still)(x, x, x)[0], what="output without dropout")


@claim("mha-dropout")
def test_multihead_dropout_where_no_weights_are_given(cell, rng):
    """Values, and their way to the output, are the unit matrix: the output is the weights."""
    layer, unit = multihead(cell, rng, 8, 1, dropout=0.5), torch.eye(8)
    with torch.no_grad():
        layer.in_proj_weight[16:] = layer.out_proj.weight[:] = unit
        layer.in_proj_bias[16:] = layer.out_proj.bias[:] = 0
    x, value = cell.tensor(rng.normal(size=(8, 1, 8))), cell.tensor(unit[:, None])
    trained = cell.run(layer)(x, x, value, need_weights=False)[0]
    weights = cell.run(layer.eval())(x, x, value, need_weights=False)[0]
    kept = trained != 0
    assert 0 < kept.sum() < kept.numel()
    assert torch.allclose(trained[kept], 2 * weights[kept], atol=1e-5)  # far less than a weight that is not scaled


@claim("mha-init")
def test_multihead_init():
    made = nn.MultiheadAttention(40, 2)
    assert_same(made.in_proj_bias.detach(), torch.zeros(120), what="in_proj_bias")
    assert_same(made.out_proj.bias.detach(), torch.zeros(40), what="out_proj.bias")
    edge = math.sqrt(6 / (120 + 40))

    def weight():
        return nn.MultiheadAttention(40, 2).in_proj_weight.detach()

    assert_follows(lambda: torch.cat([weight() for _ in range(3)]), uniform(-edge, edge), what="in_proj_weight")
    other = nn.MultiheadAttention(40, 2, kdim=30, vdim=50, bias=False)
    assert other.in_proj_bias is None
    assert other.out_proj.bias is None
    for name, width in (("q", 40), ("k", 30), ("v", 50)):
        edge = math.sqrt(6 / (40 + width))

        def draw(name=name):
            made = [nn.MultiheadAttention(40, 2, kdim=30, vdim=50) for _ in range(8)]
            return torch.cat([getattr(one, f"{name}_proj_weight").detach() for one in made])

        assert_follows(draw, uniform(-edge, edge), what=f"{name}_proj_weight")
    added = nn.MultiheadAttention(40, 2, add_bias_kv=True)
    for bias in (added.bias_k, added.bias_v):
        assert bias.shape == (1, 1, 40)
        assert bias.count_nonzero() > 30  # a normal number is 0 now and then


@claim("mha-errors")
def test_multihead_errors(cell, rng):
    for sizes in ((0, 1), (4, 0), (-2, 1)):
        with pytest.raises(ValueError, match="embed_dim and num_heads must be greater than 0"):
            nn.MultiheadAttention(*sizes)
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        nn.MultiheadAttention(5, 2)
    layer = multihead(cell, rng, 6, 2)
    x = tensors(cell, rng, (4, 2, 6))[0].detach()
    with pytest.raises(AssertionError, match="expecting embedding dimension of 6, but got 5"):
        layer(x[..., :5], x, x)
    with pytest.raises(AssertionError, match="should be unbatched 2D or batched 3D tensor"):
        layer(x[0, 0], x[0, 0], x[0, 0])
    with pytest.raises(RuntimeError, match=r"The shape of the 2D attn_mask is .* but should be \(4, 4\)"):
        layer(x, x, x, attn_mask=torch.zeros(4, 3, dtype=torch.bool, device=cell.device.name))
    with pytest.raises(RuntimeError, match=r"The shape of the 3D attn_mask is .* but should be \(4, 4, 4\)"):
        layer(x, x, x, attn_mask=torch.zeros(2, 4, 4, dtype=torch.bool, device=cell.device.name))
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask are supported"):
        layer(x, x, x, attn_mask=torch.zeros(4, 4, dtype=torch.int64, device=cell.device.name))
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask is deprecated"):
        layer(
            x, x, x,
            attn_mask=cell.tensor(np.zeros((4, 4))),
            key_padding_mask=torch.zeros(2, 4, dtype=torch.bool, device=cell.device.name),
        )  # fmt: skip
