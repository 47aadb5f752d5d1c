"""Scaled dot-product and multi-head attention beside their formulas."""

import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.chance import assert_follows, assert_rate, uniform
from torchclaims.comparison import assert_formula
from torchclaims.covering import covering
from torchclaims.reference import attention
from torchclaims.reference.differentiation import term
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_same

ORDERS = 8  # kernels scale query and key before the product, and normalise after the second one


def tensors(cell, rng, *shapes):
    return [cell.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def heads_of(shape):
    """Query, key and value shapes for (..., L, S, E, Ev)."""
    *lead, queries, keys, width, out = shape
    return (*lead, queries, width), (*lead, keys, width), (*lead, keys, out)


SHAPES = {
    "one of all": (1, 1, 1, 1, 1, 1),
    "plain": (2, 3, 7, 5, 4, 4),
    "other values": (2, 2, 4, 6, 3, 5),
    "one query": (2, 3, 1, 9, 4, 4),
    "one key": (2, 3, 5, 1, 4, 4),
    "long": (1, 2, 33, 17, 8, 8),
    "matrices": (4, 5, 3, 3),
    "without heads": (2, 4, 5, 3, 3),
    "five axes": (2, 1, 2, 3, 4, 5, 5),
}
BOOLEAN = {"boolean": True, "float": False}
NEED_WEIGHTS = {"weights": True, "no weights": False}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@claim("attention-formula")
@every_shape
def test_attention(cell, rng, shape):
    def formula(q, k, v):
        return attention.attend(q, k, v)[0]

    inputs = tensors(cell, rng, *heads_of(shape))
    assert_formula(cell, rng, F.scaled_dot_product_attention, formula, inputs, orders=ORDERS)


@claim("attention-formula")
@pytest.mark.parametrize("layout", ["heads behind", "features first", "expanded"])
def test_attention_layouts(cell, rng, layout):
    shapes = {"heads behind": (2, 5, 3, 4), "features first": (2, 3, 4, 5), "expanded": (1, 3, 5, 4)}
    inputs = [one.detach() for one in tensors(cell, rng, *[shapes[layout]] * 3)]
    move = {
        "heads behind": lambda x: x.transpose(1, 2),
        "features first": lambda x: x.transpose(2, 3),
        "expanded": lambda x: x.expand(2, 3, 5, 4),
    }[layout]
    inputs = [move(one).requires_grad_() for one in inputs]

    def formula(q, k, v):
        return attention.attend(q, k, v)[0]

    assert_formula(cell, rng, F.scaled_dot_product_attention, formula, inputs, orders=ORDERS)


@claim("attention-scale")
@pytest.mark.parametrize("scale", [1.0, 0.0, -0.75, 3.0])
def test_scale(cell, rng, scale):
    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, scale=scale)

    def formula(q, k, v):
        return attention.attend(q, k, v, scale=scale)[0]

    assert_formula(cell, rng, run, formula, tensors(cell, rng, *heads_of(SHAPES["plain"])), orders=ORDERS)


MASKS = {"whole": (2, 3, 7, 5), "a matrix": (7, 5), "a row": (1, 5), "a column": (7, 1), "keys": (2, 1, 1, 5)}


@claim("attention-mask")
@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("boolean", [True, False], ids=["boolean", "added"])
def test_mask(cell, rng, shape, boolean):
    if boolean:
        values = rng.uniform(size=shape) < 0.6
        values[..., 0] = True
        mask, added = torch.tensor(values.tolist(), device=cell.device.name), attention.additive(values, True)
    else:
        mask = cell.tensor(rng.normal(size=shape))
        added = to_numpy(mask)

    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def formula(q, k, v):
        return attention.attend(q, k, v, added)[0]

    assert_formula(cell, rng, run, formula, tensors(cell, rng, *heads_of(SHAPES["plain"])), orders=ORDERS)


@claim("attention-mask")
def test_mask_gradient(cell, rng):
    inputs = [*tensors(cell, rng, *heads_of(SHAPES["plain"])), *tensors(cell, rng, (7, 5))]

    def run(q, k, v, mask):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def formula(q, k, v, mask):
        return attention.attend(q, k, v, mask)[0]

    assert_formula(cell, rng, run, formula, inputs, orders=ORDERS)


@claim("attention-mask-broadcasts")
@pytest.mark.parametrize("shape", [(5,), ()], ids=str)
@pytest.mark.parametrize("boolean", [True, False], ids=["boolean", "added"])
def test_mask_of_few_dimensions(cell, rng, shape, boolean):
    values = np.ones(shape, dtype=bool) if boolean else rng.normal(size=shape)
    mask = torch.tensor(values.tolist(), device=cell.device.name, dtype=torch.bool if boolean else cell.dtype)
    q, k, v = (one.detach() for one in tensors(cell, rng, *heads_of(SHAPES["plain"])))
    try:
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    except (RuntimeError, IndexError) as error:
        raise AssertionError(f"expected a mask of shape {shape} to broadcast, seen {error}") from None
    wide = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.expand(7, 5))
    assert torch.allclose(seen, wide)


@claim("attention-causal")
@every_shape
def test_causal(cell, rng, shape):
    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    queries, keys = shape[-4:-2]

    def formula(q, k, v):
        return attention.attend(q, k, v, attention.causal(queries, keys))[0]

    assert_formula(cell, rng, run, formula, tensors(cell, rng, *heads_of(shape)), orders=ORDERS)


@claim("attention-grouped")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_grouped(cell, rng, groups, causal):
    q, k, v = tensors(cell, rng, (2, 6, 4, 3), (2, groups, 5, 3), (2, groups, 5, 3))

    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True, is_causal=causal)

    serving = np.repeat(np.arange(groups), 6 // groups)

    def formula(q, k, v):
        return attention.attend(q, k[:, serving], v[:, serving], attention.causal(4, 5) if causal else None)[0]

    assert_formula(cell, rng, run, formula, [q, k, v], orders=ORDERS)


@claim("attention-fully-masked")
@pytest.mark.parametrize("boolean", [True, False], ids=["boolean", "added"])
def test_nothing_to_attend_to(cell, boolean):
    x = cell.tensor(np.ones((1, 1, 2, 3)))
    allowed = torch.tensor([[True, False], [False, False]], device=cell.device.name)
    mask = allowed if boolean else cell.tensor(np.zeros((2, 2))).masked_fill(~allowed, -math.inf)
    seen = F.scaled_dot_product_attention(x, x, x, attn_mask=mask)[0, 0]
    assert_same(seen[0], cell.tensor([1.0, 1.0, 1.0]), what="the query that attends")
    assert seen[1].isnan().all(), f"expected NaN, seen {seen[1].tolist()}"


@claim("attention-dropout")
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_attention_dropout(p):
    q, v = torch.zeros(1, 1, 20, 1), torch.eye(50)[None, None]
    k = torch.zeros(1, 1, 50, 1)

    def weights():
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)

    assert_rate(lambda: torch.cat([(weights() == 0).flatten() for _ in range(5)]), p, what="weights dropped")
    kept = weights()
    assert torch.allclose(kept[kept != 0], torch.tensor(0.02 / (1 - p)))


@claim("attention-mask-and-causal")
@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 3), (1, 4, 2, 3)], ids=str)
def test_mask_and_causal(cell, shape):
    x = cell.tensor(np.ones(shape))
    mask = torch.ones(2, 2, dtype=torch.bool, device=cell.device.name)
    try:
        seen = F.scaled_dot_product_attention(x, x, x, attn_mask=mask, is_causal=True)
    except RuntimeError as error:
        if "attn_mask should not be set when is_causal" not in str(error):
            raise
    else:
        raise AssertionError(f"expected an error, seen a result of shape {tuple(seen.shape)}")


@claim("attention-errors")
def test_attention_errors(cell):
    x = cell.tensor(np.ones((1, 4, 2, 2)))
    both = torch.ones(2, 2, dtype=torch.bool, device=cell.device.name)
    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or"):
        F.scaled_dot_product_attention(x, x, x, attn_mask=both.long())
    with pytest.raises(RuntimeError, match=r"(?i)number of heads in key and value must divide"):
        F.scaled_dot_product_attention(x, x[:, :3], x[:, :3], enable_gqa=True)


def multihead(cell, rng, *args, **more):
    """A MultiheadAttention none of whose parameters is 0."""
    layer = cell.place(nn.MultiheadAttention(*args, **more))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(cell.tensor(0.5 * rng.normal(size=tuple(parameter.shape))))
    return layer


def swapped(x):
    """(L, N, E) as (N, L, E)."""
    return x.transpose(1, 0, 2)


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
    out, averaged = layer(x, y, y)
    separate = layer(x, y, y, average_attn_weights=False)[1]
    assert averaged.shape == ((2, 4, 5) if batched else (4, 5))
    assert separate.shape == ((2, 3, 4, 5) if batched else (3, 4, 5))
    weights = {name: term(to_numpy(p)) for name, p in layer.named_parameters()}
    q, k = (to_numpy(one) if batched else to_numpy(one)[:, None] for one in (x, y))
    shares = attention.multi_head(swapped(term(q)), swapped(term(k)), swapped(term(k)), weights, 3)[1].value
    assert np.abs(to_numpy(separate) - (shares if batched else shares[0])).max() < 1e-5
    assert np.abs(to_numpy(averaged) - (shares if batched else shares[0]).mean(-3)).max() < 1e-5
    alone, nothing = layer(x, y, y, need_weights=False)
    assert nothing is None
    assert torch.allclose(alone, out, atol=1e-5)


def random_mask(rng, shape):
    """True where attention is forbidden; the first key is always open."""
    mask = rng.uniform(size=shape) < 0.5
    mask[..., 0] = False
    return mask


MASKED = {
    "keys": (True, None),
    "matrix": (False, "matrix"),
    "each head": (False, "heads"),
    "keys and matrix": (True, "matrix"),
    "keys and heads": (True, "heads"),
}


def masks_of(cell, rng, keys, attn, boolean, count=2, samples=2, queries=4, length=5):
    """Keyword arguments, and the additive mask (N, heads, L, S) that they mean."""
    arguments, total = {}, np.zeros((samples, count, queries, length))
    shapes = {"key_padding_mask": (samples, length) if keys else None}
    shapes["attn_mask"] = {"matrix": (queries, length), "heads": (samples * count, queries, length), None: None}[attn]
    for name, shape in shapes.items():
        if shape is None:
            continue
        values = random_mask(rng, shape)
        added = attention.additive(values, False)
        if not boolean:
            added = np.where(values, -np.inf, rng.integers(-8, 8, shape) / 4)
        tensor = torch.tensor(values.tolist()) if boolean else cell.tensor(added)
        arguments[name] = tensor.to(cell.device.name)
        if name == "key_padding_mask":
            total = total + added[:, None, None, :]
        else:
            total = total + (added if len(shape) == 2 else added.reshape(samples, count, queries, length))
    return arguments, total


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
    batched = layer(x[:, None], y[:, None], y[:, None], **arguments)[0][:, 0]
    arguments["key_padding_mask"] = arguments["key_padding_mask"][0]
    assert_same(layer(x, y, y, **arguments)[0], batched, what="output")


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
    x, y = tensors(cell, rng, (4, 2, 6), (5, 2, 6))
    out, weights = plain(x, y, y)
    z = y.transpose(0, 1)
    for values in (z, z.clone()):
        first, shares = layer(x.transpose(0, 1), z, values)
        assert first.shape == (2, 4, 6)
        assert torch.allclose(first, out.transpose(0, 1), atol=1e-5)
        assert torch.allclose(shares, weights, atol=1e-5)
    itself = layer(z, z, z)[0]
    assert torch.allclose(itself.transpose(0, 1), plain(y, y, y)[0], atol=1e-5)
    alone = layer(x[:, 0], y[:, 0], y[:, 0])[0]
    assert alone.shape == (4, 6)
    assert torch.allclose(alone, plain(x[:, 0], y[:, 0], y[:, 0])[0], atol=1e-5)
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


def applied(run, wanted):
    """What happens where is_causal is given without a mask, as an assertion."""
    try:
        seen = run()
    except RuntimeError as error:
        raise AssertionError(f"expected a causal mask to be applied, seen {error}") from None
    assert torch.allclose(seen, wanted, atol=1e-4), "expected a causal mask to be applied, seen none"


@claim("mha-causal-applies")
@pytest.mark.parametrize("path", ["slow", "fast"])
def test_causal_mask_is_applied(cell, rng, path):
    layer = multihead(cell, rng, 6, 2, batch_first=True).train(path == "slow")
    x = tensors(cell, rng, (2, 4, 6))[0].detach()
    mask = nn.Transformer.generate_square_subsequent_mask(4).to(device=cell.device.name, dtype=cell.dtype)
    with torch.no_grad():
        applied(lambda: layer(x, x, x, is_causal=True)[0], layer(x, x, x, attn_mask=mask)[0])


@claim("mha-dropout")
def test_multihead_dropout(cell, rng):
    layer = multihead(cell, rng, 6, 2, dropout=0.5)
    x = tensors(cell, rng, (9, 2, 6))[0].detach()
    trained = layer(x, x, x, average_attn_weights=False)[1]
    assert 0 < (trained == 0).sum() < trained.numel()
    layer.eval()
    first = layer(x, x, x, average_attn_weights=False)
    assert (first[1] != 0).all()
    kept = trained != 0
    assert torch.allclose(trained[kept], 2 * first[1][kept], atol=1e-5)
    assert_same(layer(x, x, x)[0], first[0], what="output in evaluation")
    still = multihead(cell, rng, 6, 2)
    assert_same(still(x, x, x)[0], still(x, x, x)[0], what="output without dropout")


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
        assert (bias != 0).all()


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
