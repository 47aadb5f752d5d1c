"""Transformer layers and stacks beside their formulas."""

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from test_attention.common import ORDERS, applied, masks_of, swapped, tensors
from torchclaims import claim
from torchclaims.chance import assert_follows, uniform
from torchclaims.comparison import assert_formula, off_bends
from torchclaims.covering import board, covering
from torchclaims.reference import attention
from torchclaims.tolerance import assert_same

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "function": F.gelu, "module": nn.GELU(), "callable": lambda x: F.gelu(x)}
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
ORDERS_OF_NORM = {"norm after": False, "norm first": True}
MASKED = {"open": False, "masked": True}
every_order = pytest.mark.parametrize("norm_first", ORDERS_OF_NORM.values(), ids=ORDERS_OF_NORM)


def made(cell, rng, layer, *args, **more):
    """A module without dropout, none of whose parameters is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = cell.place(layer(*args, **{"dropout": 0.0, **more}))
    return scattered(cell, rng, module)


def scattered(cell, rng, module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(cell.tensor(0.5 * rng.normal(size=tuple(parameter.shape))))
    return module


def parameters(module):
    return {name: p if torch.is_grad_enabled() else p.detach() for name, p in module.named_parameters()}


def check(cell, rng, module, formula, shapes, **more):
    # The worst that rounding may do through so many layers is more than any input is off; what it does is far below.
    inputs = off_bends(cell, formula, lambda: tensors(cell, rng, *shapes), parameters(module), margin=1e-4)
    if not torch.is_grad_enabled():
        inputs = [one.detach() for one in inputs]

    def run(*x):
        return module(*x, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_formula(cell, rng, run, formula, inputs, parameters(module), orders=ORDERS)


def name_of(activation):
    return activation if isinstance(activation, str) else "gelu"


@claim("transformer-encoder-layer")
@every_order
@every_activation
def test_encoder_layer(cell, rng, activation, norm_first):
    layer = made(cell, rng, nn.TransformerEncoderLayer, 6, 2, 5, activation=activation, norm_first=norm_first)

    def formula(x, **weights):
        y = attention.encoder_layer(swapped(x), weights, 2, norm_first=norm_first, activation=name_of(activation))
        return swapped(y)

    check(cell, rng, layer, formula, [(4, 2, 6)])


@claim("transformer-encoder-layer")
@covering(
    norm_first=ORDERS_OF_NORM,
    keys__attn={"keys": (True, None), "heads": (False, "heads"), "both": (True, "matrix")},
    batch_first=[False, True],
    boolean={"boolean": True, "float": False},
)
def test_encoder_layer_masks(cell, rng, keys, attn, batch_first, boolean, norm_first):
    options = {"batch_first": batch_first, "norm_first": norm_first, "layer_norm_eps": 0.25}
    layer = made(cell, rng, nn.TransformerEncoderLayer, 6, 2, 5, **options)
    arguments, total = masks_of(cell, rng, keys, attn, boolean, queries=5)
    given = {"src_key_padding_mask": arguments.get("key_padding_mask"), "src_mask": arguments.get("attn_mask")}

    def formula(x, **weights):
        turn = (lambda y: y) if batch_first else swapped
        return turn(attention.encoder_layer(turn(x), weights, 2, total, norm_first=norm_first, eps=0.25))

    check(cell, rng, layer, formula, [(2, 5, 6) if batch_first else (5, 2, 6)], **given)


FAST = {
    "open": (False, None),
    "keys": (True, None),
    "matrix": (False, "matrix"),
    "heads": (False, "heads"),
    "keys and matrix": (True, "matrix"),
}


@claim("transformer-fast-path")
@covering(FAST, keys__attn=FAST, activation=ACTIVATIONS, norm_first=ORDERS_OF_NORM, eps=[1e-5, 0.5])
def test_encoder_layer_in_evaluation(cell, rng, keys, attn, activation, norm_first, eps):
    options = {"batch_first": True, "norm_first": norm_first, "activation": activation, "layer_norm_eps": eps}
    layer = made(cell, rng, nn.TransformerEncoderLayer, 6, 2, 5, **options).eval()
    arguments, total = masks_of(cell, rng, keys, attn, True, queries=5)
    given = {"src_key_padding_mask": arguments.get("key_padding_mask"), "src_mask": arguments.get("attn_mask")}

    def formula(x, **weights):
        more = {"norm_first": norm_first, "activation": name_of(activation), "eps": eps}
        return attention.encoder_layer(x, weights, 2, total, **more)

    with torch.no_grad():
        check(cell, rng, layer, formula, [(2, 5, 6)], **given)


@claim("transformer-fast-path-float-mask")
@pytest.mark.parametrize("kind", ["src_mask", "src_key_padding_mask"])
def test_float_mask_in_evaluation(cell, rng, kind):
    layer = made(cell, rng, nn.TransformerEncoderLayer, 6, 2, 5, batch_first=True)
    x = tensors(cell, rng, (2, 5, 6))[0].detach()
    shape = (5, 5) if kind == "src_mask" else (2, 5)
    mask = cell.tensor(rng.integers(1, 9, shape) / 4)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = cell.run(layer)(x, **{kind: mask})
        seen = cell.run(layer.eval())(x, **{kind: mask})
    assert not seen.isnan().any(), "expected the mask to be added to the scores, seen NaN"
    assert torch.allclose(seen, trained, atol=1e-4)


@claim("transformer-causal-applies")
@pytest.mark.parametrize("case", ["encoder", "encoder in evaluation", "decoder", "memory"])
def test_causal_hint_alone(cell, rng, case):
    x = tensors(cell, rng, (2, 5, 6))[0].detach()
    mask = nn.Transformer.generate_square_subsequent_mask(5).to(device=cell.device.name, dtype=cell.dtype)
    if case.startswith("encoder"):
        layer = made(cell, rng, nn.TransformerEncoderLayer, 6, 2, 5, batch_first=True)
        layer.train(case == "encoder")

        def run(**more):
            return cell.run(layer)(x, **more)

        hint, given = {"is_causal": True}, {"src_mask": mask.isinf()}
    else:
        layer = made(cell, rng, nn.TransformerDecoderLayer, 6, 2, 5, batch_first=True)

        def run(**more):
            return cell.run(layer)(x, x, **more)

        which = "tgt" if case == "decoder" else "memory"
        hint, given = {f"{which}_is_causal": True}, {f"{which}_mask": mask.isinf()}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        applied(lambda: run(**hint), run(**given))


@claim("transformer-decoder-layer")
@covering(batch_first=[False, True], masked=MASKED, activation=["relu", "gelu"], norm_first=ORDERS_OF_NORM)
def test_decoder_layer(cell, rng, batch_first, masked, activation, norm_first):
    options = {"batch_first": batch_first, "norm_first": norm_first, "activation": activation, "layer_norm_eps": 1e-3}
    layer = made(cell, rng, nn.TransformerDecoderLayer, 6, 2, 5, **options)
    own, total = masks_of(cell, rng, True, "matrix", True, queries=4, length=4) if masked else ({}, None)
    cross, wide = masks_of(cell, rng, True, "matrix", True) if masked else ({}, None)
    given = {
        "tgt_mask": own.get("attn_mask"),
        "tgt_key_padding_mask": own.get("key_padding_mask"),
        "memory_mask": cross.get("attn_mask"),
        "memory_key_padding_mask": cross.get("key_padding_mask"),
    }

    def formula(x, memory, **weights):
        turn = (lambda y: y) if batch_first else swapped
        more = {"norm_first": norm_first, "activation": activation, "eps": 1e-3}
        return turn(attention.decoder_layer(turn(x), turn(memory), weights, 2, total, wide, **more))

    shapes = [(2, 4, 6), (2, 5, 6)] if batch_first else [(4, 2, 6), (5, 2, 6)]
    check(cell, rng, layer, formula, shapes, **given)


@claim("transformer-stacks")
@board(normed={"no norm": False, "norm": True}, masked=MASKED)
def test_encoder(cell, rng, normed, masked):
    layer = made(cell, rng, nn.TransformerEncoderLayer, 4, 2, 3)
    norm = cell.place(nn.LayerNorm(4)) if normed else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = nn.TransformerEncoder(layer, 2, norm)
    for copy in stack.layers:
        for (name, one), other in zip(copy.named_parameters(), layer.parameters(), strict=True):
            assert_same(one, other, what=name)
            assert one is not other
    scattered(cell, rng, stack)
    arguments, total = masks_of(cell, rng, True, "matrix", True, queries=5) if masked else ({}, None)
    given = {"src_key_padding_mask": arguments.get("key_padding_mask"), "mask": arguments.get("attn_mask")}

    def formula(x, **weights):
        y = swapped(x)
        for number in range(2):
            y = attention.encoder_layer(y, weights, 2, total, prefix=f"layers.{number}.")
        return swapped(attention.layer_norm(y, weights, "norm.") if normed else y)

    check(cell, rng, stack, formula, [(5, 2, 4)], **given)


@claim("transformer-stacks")
@board(normed={"no norm": False, "norm": True}, masked=MASKED)
def test_decoder(cell, rng, normed, masked):
    norm = cell.place(nn.LayerNorm(4)) if normed else None
    layer = made(cell, rng, nn.TransformerDecoderLayer, 4, 2, 3)
    stack = scattered(cell, rng, nn.TransformerDecoder(layer, 2, norm))
    own, total = masks_of(cell, rng, True, "matrix", True, queries=4, length=4) if masked else ({}, None)
    cross, wide = masks_of(cell, rng, True, "matrix", True) if masked else ({}, None)
    given = {
        "tgt_mask": own.get("attn_mask"),
        "tgt_key_padding_mask": own.get("key_padding_mask"),
        "memory_mask": cross.get("attn_mask"),
        "memory_key_padding_mask": cross.get("key_padding_mask"),
    }

    def formula(x, memory, **weights):
        y = swapped(x)
        for number in range(2):
            y = attention.decoder_layer(y, swapped(memory), weights, 2, total, wide, prefix=f"layers.{number}.")
        return swapped(attention.layer_norm(y, weights, "norm.") if normed else y)

    check(cell, rng, stack, formula, [(4, 2, 4), (5, 2, 4)], **given)


@claim("transformer-stacks")
@pytest.mark.parametrize("given", [None, True, False])
def test_causal_mask_is_detected(cell, rng, given):
    stack = made(cell, rng, nn.Transformer, 4, 2, 1, 1, 3)
    x = tensors(cell, rng, (5, 2, 4))[0]
    mask = nn.Transformer.generate_square_subsequent_mask(5).to(device=cell.device.name, dtype=cell.dtype)
    encoded = cell.run(stack.encoder)(x, mask=mask, is_causal=given)
    changed = x.detach().clone()
    changed[3:] *= -1.0  # what is added to all features alike the norm takes off
    again = cell.run(stack.encoder)(changed, mask=mask, is_causal=given)
    assert torch.allclose(encoded[:3], again[:3], atol=1e-5)
    assert not torch.allclose(encoded[3:], again[3:], atol=1e-5)
    other = cell.tensor(np.zeros((5, 5)))
    assert torch.allclose(cell.run(stack.encoder)(x, mask=other), cell.run(stack.encoder)(x), atol=1e-5)


@claim("transformer-nested")
@pytest.mark.parametrize("lengths", [[5, 5], [5, 3], [4, 2]], ids=str)
def test_padding_in_evaluation(cell, rng, lengths):
    layer = made(cell, rng, nn.TransformerEncoderLayer, 4, 2, 3, batch_first=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = scattered(cell, rng, nn.TransformerEncoder(layer, 2, cell.place(nn.LayerNorm(4)))).eval()
    x = tensors(cell, rng, (2, 5, 4))[0].detach()
    padding = torch.tensor([[t >= length for t in range(5)] for length in lengths], device=cell.device.name)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = cell.run(stack)(x, src_key_padding_mask=padding)
        assert seen.shape == x.shape
        for n, length in enumerate(lengths):
            alone = cell.run(stack)(x[n : n + 1, :length])[0]
            assert torch.allclose(seen[n, :length], alone, atol=1e-3), f"sample {n} differs from itself alone"


@claim("transformer-whole")
@board(batch_first=[False, True], norm_first=ORDERS_OF_NORM)
def test_transformer(cell, rng, batch_first, norm_first):
    model = made(cell, rng, nn.Transformer, 4, 2, 1, 2, 3, batch_first=batch_first, norm_first=norm_first)
    source, open_source = masks_of(cell, rng, True, "matrix", True, queries=5)
    target, open_target = masks_of(cell, rng, True, "matrix", True, queries=4, length=4)
    cross, open_cross = masks_of(cell, rng, True, "matrix", True)
    given = {
        "src_mask": source["attn_mask"],
        "tgt_mask": target["attn_mask"],
        "memory_mask": cross["attn_mask"],
        "src_key_padding_mask": source["key_padding_mask"],
        "tgt_key_padding_mask": target["key_padding_mask"],
        "memory_key_padding_mask": cross["key_padding_mask"],
    }

    def formula(x, y, **weights):
        turn = (lambda z: z) if batch_first else swapped
        more = {"norm_first": norm_first}
        memory = attention.encoder_layer(turn(x), weights, 2, open_source, prefix="encoder.layers.0.", **more)
        memory = attention.layer_norm(memory, weights, "encoder.norm.")
        out = turn(y)
        for number in range(2):
            prefix = f"decoder.layers.{number}."
            out = attention.decoder_layer(out, memory, weights, 2, open_target, open_cross, prefix=prefix, **more)
        return turn(attention.layer_norm(out, weights, "decoder.norm."))

    shapes = [(2, 5, 4), (2, 4, 4)] if batch_first else [(5, 2, 4), (4, 2, 4)]
    check(cell, rng, model, formula, shapes, **given)


@claim("transformer-whole")
def test_transformer_unbatched(cell, rng):
    model = made(cell, rng, nn.Transformer, 4, 2, 1, 1, 3)
    x, y = (one.detach() for one in tensors(cell, rng, (5, 4), (3, 4)))
    assert torch.allclose(cell.run(model)(x, y), cell.run(model)(x[:, None], y[:, None])[:, 0], atol=1e-4)
    assert cell.run(model)(x, y).shape == (3, 4)


@claim("transformer-whole")
def test_custom_stacks(cell):
    class Half(nn.Module):
        def forward(self, x, *rest, **more):
            return x / 2

    model = nn.Transformer(4, 2, custom_encoder=Half(), custom_decoder=Half())
    x, y = cell.tensor(np.ones((5, 2, 4))), cell.tensor(np.full((3, 2, 4), 8.0))
    assert_same(cell.run(model)(x, y), y / 2, what="output of the custom decoder")


@claim("transformer-defaults")
def test_defaults():
    stated = {
        "d_model": 512, "nhead": 8, "num_encoder_layers": 6, "num_decoder_layers": 6, "dim_feedforward": 2048,
        "dropout": 0.1, "layer_norm_eps": 1e-5, "batch_first": False, "norm_first": False,
    }  # fmt: skip
    signature = inspect.signature(nn.Transformer.__init__).parameters
    assert {name: signature[name].default for name in stated} == stated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Transformer(d_model=16, nhead=2, num_encoder_layers=2, num_decoder_layers=3)
    layers = [*model.encoder.layers, *model.decoder.layers]
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (2, 3)
    assert model.encoder.norm.normalized_shape == model.decoder.norm.normalized_shape == (16,)
    for layer in layers:
        assert layer.linear1.out_features == 2048
        assert layer.dropout.p == layer.dropout1.p == layer.dropout2.p == layer.self_attn.dropout == 0.1
        assert layer.activation is F.relu
        assert layer.norm1.eps == layer.norm2.eps == 1e-5
    assert model.encoder.norm.eps == model.decoder.norm.eps == 1e-5
    edge = math.sqrt(6 / (16 + 2048))

    def draw():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.Transformer(16, 2, 1, 1).encoder.layers[0].linear1.weight.detach()

    assert_follows(draw, uniform(-edge, edge), what="linear1.weight")


@claim("transformer-causal-mask")
@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_causal_mask(cell, size):
    mask = nn.Transformer.generate_square_subsequent_mask(size, device=cell.device.name, dtype=cell.dtype)
    wanted = [[0.0 if key <= query else -math.inf for key in range(size)] for query in range(size)]
    assert_same(mask, cell.tensor(np.array(wanted).reshape(size, size)), what="mask")
    assert nn.Transformer.generate_square_subsequent_mask(size).dtype == torch.float32


@claim("transformer-bias-off")
def test_bias_off():
    layer = nn.TransformerEncoderLayer(4, 2, 3, bias=False)
    assert [name for name, _ in layer.named_parameters() if "bias" in name] == []
    layer = nn.TransformerDecoderLayer(4, 2, 3, bias=False)
    assert [name for name, _ in layer.named_parameters() if "bias" in name] == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Transformer(4, 2, 1, 1, 3, bias=False)
    assert [name for name, _ in model.named_parameters() if "bias" in name] == []


@claim("transformer-errors")
@pytest.mark.parametrize("batch_first", [False, True])
def test_transformer_errors(cell, rng, batch_first):
    model = made(cell, rng, nn.Transformer, 4, 2, 1, 1, 3, batch_first=batch_first)
    x = cell.tensor(np.ones((3, 3, 4)))
    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
        model(x, x[:2] if batch_first else x[:, :2])
    for source, target in ((x[..., :3], x), (x, x[..., :3])):
        with pytest.raises(RuntimeError, match="the feature number of src and tgt must be equal to d_model"):
            model(source, target)
    for layer in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):
        with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
            layer(4, 2, activation="tanh")


@claim("transformer-documented-activations")
@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_documented_activations(name):
    assert hasattr(torch.functional, name), f"expected torch.functional.{name}, seen none"
