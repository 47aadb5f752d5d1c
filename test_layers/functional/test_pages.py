"""Functions whose page says "see" a module: the module's values, for options that are not the defaults.

The modules' own values are decided elsewhere, beside the formulas; here no argument may be lost on its way.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


class Inputs:
    """Tensors of the kinds that the functions below take, from one generator."""

    def __init__(self, cell, rng):
        self.cell, self.rng = cell, rng

    def real(self, *shape):
        return self.cell.tensor(self.rng.normal(size=shape) * 2)

    def unit(self, *shape):
        return self.cell.tensor(self.rng.uniform(0.05, 0.95, shape))

    def sign(self, *shape):
        return self.cell.tensor(self.rng.choice([-1.0, 1.0], shape))

    def index(self, high, *shape):
        return self.cell.tensor(self.rng.integers(0, high, shape), dtype=torch.int64)


def assert_agree(cell, module, function, arguments):
    """``function(module, *arguments)`` is ``module(*arguments)``, both with the generator in the same state."""
    results = []
    for call in (module, lambda *arguments: function(module, *arguments)):
        torch.manual_seed(5)
        result = call(*arguments)
        results.append(result if isinstance(result, tuple) else (result,))
    expected, seen = results
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected, strict=True):
        assert_same(one, other, what="what the function gives")


# name: the module, its arguments, the function with the same options
ACTIVATIONS = {
    "celu": (lambda: nn.CELU(0.7), lambda m, x: F.celu(x, 0.7)),
    "gelu": (lambda: nn.GELU("tanh"), lambda m, x: F.gelu(x, approximate="tanh")),
    "hardsigmoid": (nn.Hardsigmoid, lambda m, x: F.hardsigmoid(x)),
    "hardswish": (nn.Hardswish, lambda m, x: F.hardswish(x)),
    "logsigmoid": (nn.LogSigmoid, lambda m, x: F.logsigmoid(x)),
    "mish": (nn.Mish, lambda m, x: F.mish(x)),
    "relu6": (nn.ReLU6, lambda m, x: F.relu6(x)),
    "selu": (nn.SELU, lambda m, x: F.selu(x)),
    "sigmoid": (nn.Sigmoid, lambda m, x: F.sigmoid(x)),
    "silu": (nn.SiLU, lambda m, x: F.silu(x)),
    "softsign": (nn.Softsign, lambda m, x: F.softsign(x)),
    "tanh": (nn.Tanh, lambda m, x: F.tanh(x)),
    "tanhshrink": (nn.Tanhshrink, lambda m, x: F.tanhshrink(x)),
    "threshold": (lambda: nn.Threshold(0.3, -7.0), lambda m, x: F.threshold(x, 0.3, -7.0)),
}
OUTSIDE_DROPOUT = {"dropout3d": (lambda: nn.Dropout3d(0.4), lambda m, x: F.dropout3d(x, 0.4))}
WINDOWS = {
    "conv1d": (
        lambda: nn.Conv1d(4, 6, 3, 2, 2, 2, 2),
        (2, 4, 9),
        lambda m, x: F.conv1d(x, m.weight, m.bias, 2, 2, 2, 2),
    ),
    "conv_transpose1d": (
        lambda: nn.ConvTranspose1d(4, 6, 3, 3, 1, 2, 2, True, 2),
        (2, 4, 7),
        lambda m, x: F.conv_transpose1d(x, m.weight, m.bias, 3, 1, 2, 2, 2),
    ),
    "conv_transpose3d": (
        lambda: nn.ConvTranspose3d(4, 2, (2, 3, 1), (2, 3, 1), 0, (1, 2, 0), 2, True, (1, 1, 2)),
        (1, 4, 3, 2, 3),
        lambda m, x: F.conv_transpose3d(x, m.weight, m.bias, (2, 3, 1), 0, (1, 2, 0), 2, (1, 1, 2)),
    ),
    "adaptive_avg_pool1d": (lambda: nn.AdaptiveAvgPool1d(3), (2, 4, 7), lambda m, x: F.adaptive_avg_pool1d(x, 3)),
    "adaptive_avg_pool2d": (
        lambda: nn.AdaptiveAvgPool2d((None, 2)),
        (2, 3, 4, 5),
        lambda m, x: F.adaptive_avg_pool2d(x, (None, 2)),
    ),
    "adaptive_avg_pool3d": (
        lambda: nn.AdaptiveAvgPool3d((2, 3, 1)),
        (1, 2, 3, 5, 4),
        lambda m, x: F.adaptive_avg_pool3d(x, (2, 3, 1)),
    ),
    "adaptive_max_pool1d": (lambda: nn.AdaptiveMaxPool1d(3), (2, 4, 7), lambda m, x: F.adaptive_max_pool1d(x, 3)),
    "adaptive_max_pool2d": (
        lambda: nn.AdaptiveMaxPool2d((3, 2)),
        (2, 3, 4, 5),
        lambda m, x: F.adaptive_max_pool2d(x, (3, 2)),
    ),
    "adaptive_max_pool3d": (
        lambda: nn.AdaptiveMaxPool3d((2, 3, 1)),
        (1, 2, 3, 5, 4),
        lambda m, x: F.adaptive_max_pool3d(x, (2, 3, 1)),
    ),
    "avg_pool1d": (
        lambda: nn.AvgPool1d(3, 2, 1, True, False),
        (2, 4, 8),
        lambda m, x: F.avg_pool1d(x, 3, 2, 1, True, False),
    ),
    "lp_pool2d": (
        lambda: nn.LPPool2d(3, (2, 3), 2, True),
        (2, 3, 4, 5),
        lambda m, x: F.lp_pool2d(x, 3, (2, 3), 2, True),
    ),
    "fold": (
        lambda: nn.Fold((4, 5), (2, 3), (1, 2), (1, 0), (2, 1)),
        (2, 6, 3),
        lambda m, x: F.fold(x, (4, 5), (2, 3), (1, 2), (1, 0), (2, 1)),
    ),
    "unfold": (
        lambda: nn.Unfold((2, 3), (1, 2), (1, 0), (2, 1)),
        (2, 3, 5, 6),
        lambda m, x: F.unfold(x, (2, 3), (1, 2), (1, 0), (2, 1)),
    ),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), (2, 8, 2, 3), lambda m, x: F.pixel_shuffle(x, 2)),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), (2, 3, 4, 6), lambda m, x: F.pixel_unshuffle(x, 2)),
}
POOLED_WITH_INDICES = {
    "max_pool1d": (lambda: nn.MaxPool1d(3, 2, 1, 2, True, True), (2, 4, 9), (3, 2, 1, 2, True)),
    "max_pool2d": (
        lambda: nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), True, True),
        (2, 3, 6, 7),
        ((3, 2), (2, 1), (1, 0), (1, 2), True),
    ),
    "max_pool3d": (lambda: nn.MaxPool3d(2, (1, 2, 1), 1, 1, True, True), (1, 2, 3, 4, 5), (2, (1, 2, 1), 1, 1, True)),
    "adaptive_max_pool1d": (lambda: nn.AdaptiveMaxPool1d(3, True), (2, 4, 7), (3,)),
    "adaptive_max_pool2d": (lambda: nn.AdaptiveMaxPool2d((3, 2), True), (2, 3, 4, 5), ((3, 2),)),
    "adaptive_max_pool3d": (lambda: nn.AdaptiveMaxPool3d((2, 3, 1), True), (1, 2, 3, 5, 4), ((2, 3, 1),)),
}
UNPOOLED = {
    "max_unpool1d": (nn.MaxPool1d, nn.MaxUnpool1d, F.max_unpool1d, (2, 3, 7)),
    "max_unpool2d": (nn.MaxPool2d, nn.MaxUnpool2d, F.max_unpool2d, (2, 3, 5, 7)),
    "max_unpool3d": (nn.MaxPool3d, nn.MaxUnpool3d, F.max_unpool3d, (1, 2, 3, 5, 7)),
}


def weights(inputs, *shape):
    return inputs.unit(*shape) + 0.5


LOSSES = {
    "binary_cross_entropy": (
        lambda w: nn.BCELoss(w, reduction="sum"),
        lambda i: (i.unit(4, 3), i.unit(4, 3)),
        lambda w, x, y: F.binary_cross_entropy(x, y, w, reduction="sum"),
    ),
    "binary_cross_entropy_with_logits": (
        lambda w: nn.BCEWithLogitsLoss(w, reduction="none", pos_weight=w * 2),
        lambda i: (i.real(4, 3), i.unit(4, 3)),
        lambda w, x, y: F.binary_cross_entropy_with_logits(x, y, w, reduction="none", pos_weight=w * 2),
    ),
    "cosine_embedding_loss": (
        lambda w: nn.CosineEmbeddingLoss(0.3, reduction="none"),
        lambda i: (i.real(6, 3), i.real(6, 3), i.sign(6)),
        lambda w, *all: F.cosine_embedding_loss(*all, 0.3, reduction="none"),
    ),
    "ctc_loss": (
        lambda w: nn.CTCLoss(1, "sum", True),
        lambda i: (i.real(6, 2, 3).log_softmax(2), i.index(1, 2, 2), torch.tensor([6, 1]), torch.tensor([2, 2])),
        lambda w, *all: F.ctc_loss(*all, 1, "sum", True),
    ),
    "gaussian_nll_loss": (
        lambda w: nn.GaussianNLLLoss(full=True, eps=0.3, reduction="sum"),
        lambda i: (i.real(4, 3), i.real(4, 3), i.unit(4, 3)),
        lambda w, *all: F.gaussian_nll_loss(*all, full=True, eps=0.3, reduction="sum"),
    ),
    "huber_loss": (
        lambda w: nn.HuberLoss("sum", 0.7),
        lambda i: (i.real(4, 3), i.real(4, 3)),
        lambda w, *all: F.huber_loss(*all, "sum", 0.7),
    ),
    "l1_loss": (
        lambda w: nn.L1Loss(reduction="sum"),
        lambda i: (i.real(4, 3), i.real(4, 3)),
        lambda w, *all: F.l1_loss(*all, reduction="sum"),
    ),
    "mse_loss": (
        lambda w: nn.MSELoss(reduction="sum"),
        lambda i: (i.real(4, 3), i.real(4, 3)),
        lambda w, *all: F.mse_loss(*all, reduction="sum"),
    ),
    "multi_margin_loss": (
        lambda w: nn.MultiMarginLoss(2, 0.7, w, reduction="sum"),
        lambda i: (i.real(30, 3), i.index(3, 30)),
        lambda w, *all: F.multi_margin_loss(*all, 2, 0.7, w, reduction="sum"),
    ),
    "multilabel_margin_loss": (
        lambda w: nn.MultiLabelMarginLoss(reduction="none"),
        lambda i: (i.real(2, 4), torch.tensor([[3, 0, -1, 1], [2, -1, 0, 0]], device=i.cell.device.name)),
        lambda w, *all: F.multilabel_margin_loss(*all, reduction="none"),
    ),
    "multilabel_soft_margin_loss": (
        lambda w: nn.MultiLabelSoftMarginLoss(w, reduction="none"),
        lambda i: (i.real(5, 3), i.unit(5, 3).round()),
        lambda w, *all: F.multilabel_soft_margin_loss(*all, w, reduction="none"),
    ),
    "nll_loss": (
        lambda w: nn.NLLLoss(w, ignore_index=1, reduction="mean"),
        lambda i: (i.real(6, 3), i.index(3, 6) // 2 * 2),
        lambda w, *all: F.nll_loss(*all, w, ignore_index=1, reduction="mean"),
    ),
    "poisson_nll_loss": (
        lambda w: nn.PoissonNLLLoss(False, True, eps=0.3, reduction="sum"),
        lambda i: (i.unit(4, 3), i.unit(4, 3) * 9),
        lambda w, *all: F.poisson_nll_loss(*all, False, True, eps=0.3, reduction="sum"),
    ),
    "soft_margin_loss": (
        lambda w: nn.SoftMarginLoss(reduction="sum"),
        lambda i: (i.real(4, 3), i.sign(4, 3)),
        lambda w, *all: F.soft_margin_loss(*all, reduction="sum"),
    ),
    "triplet_margin_loss": (
        lambda w: nn.TripletMarginLoss(0.7, 3, 0.1, True, reduction="sum"),
        lambda i: (i.real(5, 3), i.real(5, 3), i.real(5, 3)),
        lambda w, *all: F.triplet_margin_loss(*all, 0.7, 3, 0.1, True, reduction="sum"),
    ),
    "triplet_margin_with_distance_loss": (
        lambda w: nn.TripletMarginWithDistanceLoss(
            distance_function=F.cosine_similarity, margin=0.7, swap=True, reduction="sum"
        ),
        lambda i: (i.real(60, 3), i.real(60, 3), i.real(60, 3)),
        lambda w, *all: F.triplet_margin_with_distance_loss(
            *all, distance_function=F.cosine_similarity, margin=0.7, swap=True, reduction="sum"
        ),
    ),
}
TABLES = {
    "cosine_similarity": (
        lambda: nn.CosineSimilarity(-2, 0.3),
        lambda i: (i.real(2, 3, 4), i.real(2, 3, 4)),
        lambda m, x, y: F.cosine_similarity(x, y, -2, 0.3),
    ),
    "pairwise_distance": (
        lambda: nn.PairwiseDistance(3, 0.1, True),
        lambda i: (i.real(4, 3), i.real(4, 3)),
        lambda m, x, y: F.pairwise_distance(x, y, 3, 0.1, True),
    ),
    "embedding": (
        lambda: nn.Embedding(5, 3, padding_idx=2),
        lambda i: (i.index(5, 2, 40),),  # so many that each row is looked up
        lambda m, x: F.embedding(x, m.weight, 2),
    ),
    "embedding_bag": (
        lambda: nn.EmbeddingBag(5, 3, mode="max"),
        lambda i: (i.index(5, 6), torch.tensor([0, 2, 2], device=i.cell.device.name)),
        lambda m, x, offsets: F.embedding_bag(x, m.weight, offsets, mode="max"),
    ),
}


@claim("func-page-activations")
@pytest.mark.parametrize(
    ("make", "function"), (ACTIVATIONS | OUTSIDE_DROPOUT).values(), ids=ACTIVATIONS | OUTSIDE_DROPOUT
)
def test_activations(cell, rng, make, function):
    assert_agree(cell, make(), function, [Inputs(cell, rng).real(2, 3, 4, 5, 2)])


@claim("func-page-windows")
@pytest.mark.parametrize(("make", "shape", "function"), WINDOWS.values(), ids=WINDOWS)
def test_windows(cell, rng, make, shape, function):
    assert_agree(cell, cell.place(make()), function, [Inputs(cell, rng).real(*shape).abs()])


@claim("func-page-indices")
@pytest.mark.parametrize("name", POOLED_WITH_INDICES)
@pytest.mark.parametrize("variant", ["return_indices", "_with_indices"])
def test_pools_with_indices(cell, rng, name, variant):
    make, shape, arguments = POOLED_WITH_INDICES[name]
    function = getattr(F, name + variant) if variant.startswith("_") else getattr(F, name)
    options = {} if variant.startswith("_") else {"return_indices": True}
    assert_agree(cell, make(), lambda m, x: function(x, *arguments, **options), [Inputs(cell, rng).real(*shape)])


@claim("func-page-unpools")
@pytest.mark.parametrize(("pool", "unpool", "function", "shape"), UNPOOLED.values(), ids=UNPOOLED)
def test_unpools(cell, rng, pool, unpool, function, shape):
    x, indices = pool(2, 2, return_indices=True)(Inputs(cell, rng).real(*shape) - 2)  # so that some maxima are negative
    assert_same(
        function(x, indices, 2, 2, 0, list(shape)), unpool(2, 2)(x, indices, list(shape)), what="what was unpooled"
    )


@claim("func-page-losses")
@pytest.mark.parametrize(("make", "arguments", "function"), LOSSES.values(), ids=LOSSES)
def test_losses(cell, rng, make, arguments, function):
    inputs = Inputs(cell, rng)
    weight = weights(inputs, 3)
    assert_agree(cell, make(weight), lambda m, *all: function(weight, *all), arguments(inputs))


@claim("func-page-tables")
@pytest.mark.parametrize(("make", "arguments", "function"), TABLES.values(), ids=TABLES)
def test_tables(cell, rng, make, arguments, function):
    module = make()
    assert_agree(cell, module.to(cell.device.name, cell.dtype), function, arguments(Inputs(cell, rng)))


@claim("func-page-attention")
def test_attention(cell, rng):
    attention = cell.place(nn.MultiheadAttention(6, 2, kdim=4, vdim=5, add_bias_kv=True, add_zero_attn=True))
    inputs = Inputs(cell, rng)
    query, key, value = inputs.real(3, 2, 6), inputs.real(4, 2, 4), inputs.real(4, 2, 5)
    masked = torch.zeros(2, 4, dtype=torch.bool, device=cell.device.name)
    masked[1, 2] = True
    out, averaged = F.multi_head_attention_forward(
        query,
        key,
        value,
        6,
        2,
        None,
        attention.in_proj_bias,
        attention.bias_k,
        attention.bias_v,
        True,
        0.0,
        attention.out_proj.weight,
        attention.out_proj.bias,
        key_padding_mask=masked,
        use_separate_proj_weight=True,
        q_proj_weight=attention.q_proj_weight,
        k_proj_weight=attention.k_proj_weight,
        v_proj_weight=attention.v_proj_weight,
    )
    expected = attention(query, key, value, key_padding_mask=masked)
    assert_same(out, expected[0], what="output")
    assert_same(averaged, expected[1], what="weights")


@claim("func-page-rms-norm")
def test_rms_norm(cell, rng):
    norm = cell.place(nn.RMSNorm((3, 4), eps=0.3))
    norm.weight.data.copy_(Inputs(cell, rng).real(3, 4))
    assert_agree(cell, norm, lambda m, x: F.rms_norm(x, (3, 4), m.weight, 0.3), [Inputs(cell, rng).real(2, 3, 4)])


IN_PLACE = {
    "relu_": (F.relu, ()),
    "elu_": (F.elu, (0.7,)),
    "celu_": (F.celu, (0.7,)),
    "selu_": (F.selu, ()),
    "hardtanh_": (F.hardtanh, (-0.5, 0.7)),
    "leaky_relu_": (F.leaky_relu, (0.3,)),
    "threshold_": (F.threshold, (0.3, -7.0)),
    "rrelu_": (F.rrelu, (0.1, 0.3, True)),
}


@claim("func-page-in-place")
@pytest.mark.parametrize("name", IN_PLACE)
def test_names_with_an_underscore(cell, rng, name):
    function, arguments = IN_PLACE[name]
    x = Inputs(cell, rng).real(4, 5)
    torch.manual_seed(5)
    expected = function(x.clone(), *arguments)
    torch.manual_seed(5)
    assert getattr(F, name)(x, *arguments) is x
    assert_same(x, expected, what="the input")


UPSAMPLING = {
    "upsample": ({"scale_factor": 2, "mode": "bilinear", "align_corners": False}, "bilinear", False),
    "upsample_nearest": ({"scale_factor": 2}, "nearest", None),
    "upsample_bilinear": ({"scale_factor": 2}, "bilinear", True),
}


@claim("func-page-upsample")
@pytest.mark.parametrize("name", UPSAMPLING)
def test_deprecated_names(cell, rng, name):
    options, mode, align_corners = UPSAMPLING[name]
    x = Inputs(cell, rng).real(1, 2, 3, 4)
    with pytest.warns(UserWarning, match="is deprecated. Use `?nn.functional.interpolate"):
        seen = getattr(F, name)(x, **options)
    expected = F.interpolate(x, scale_factor=2, mode=mode, align_corners=align_corners)
    assert_same(seen, expected, what="what it interpolates")


@claim("func-page-conv-tbc")
def test_time_first_convolution(cell, rng):
    inputs = Inputs(cell, rng)
    x, weight, bias = inputs.real(7, 2, 3), inputs.real(3, 3, 4), inputs.real(4)
    seen = F.conv_tbc(x, weight, bias, 1)
    expected = F.conv1d(x.permute(1, 2, 0).double(), weight.permute(2, 1, 0).double(), bias.double(), padding=1)
    torch.testing.assert_close(seen.double(), expected.permute(2, 0, 1), rtol=0, atol=1e-4)
