"""How a module and its function could part; what test_pages.py decides.

Modules call the functions, so what is broken in a function is broken in both: these break the module's side, or the
function's where the module does not use it.
"""

import torch.nn.functional as F
from torch import nn

from test_layers.functional.breaking import altered_module
from torchclaims import breaks


def altered(patch, kind, forward):
    """``kind.forward`` is ``forward(self, *arguments)``."""
    patch(kind, "forward", lambda original: forward)


@breaks("func-page-activations")
def celu_forgets_alpha(patch):
    altered_module(patch, nn.CELU, lambda original, self, x: F.celu(x))


@breaks("func-page-activations")
def tanhshrink_is_one_part_in_a_million_off(patch):
    altered_module(patch, nn.Tanhshrink, lambda original, self, x: original(self, x) * (1 + 1e-6))


@breaks("func-page-activations")
def planes_are_dropped_by_element(patch):
    altered_module(patch, nn.Dropout3d, lambda original, self, x: F.dropout(x, self.p))


@breaks("func-page-windows")
def folds_are_upside_down(patch):
    altered_module(patch, nn.Fold, lambda original, self, x: original(self, x).flip(-1))


@breaks("func-page-windows")
def averages_forget_the_padding_s_share(patch):
    altered_module(
        patch,
        nn.AvgPool1d,
        lambda original, self, x: F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, True),
    )


@breaks("func-page-windows")
def output_padding_is_cut_off(patch):
    altered_module(patch, nn.ConvTranspose1d, lambda original, self, x: original(self, x) * 1.0000002)


@breaks("func-page-indices")
def indices_count_from_one(patch):
    def make(original):
        def with_indices(*args, **kwargs):
            values, indices = original(*args, **kwargs)
            return values, indices + 1

        return with_indices

    patch(F, "max_pool2d_with_indices", make)


@breaks("func-page-unpools")
def unpooling_forgets_signs(patch):
    altered(patch, nn.MaxUnpool2d, lambda self, x, indices, size: F.max_unpool2d(x, indices, 2, 2, 0, size).abs())


@breaks("func-page-losses")
def the_margin_is_one(patch):
    def forward(self, x, target):
        return F.multi_margin_loss(x, target, self.p, 1.0, self.weight, reduction=self.reduction)

    altered(patch, nn.MultiMarginLoss, forward)


@breaks("func-page-losses")
def the_triplet_is_not_swapped(patch):
    def forward(self, *points):
        return F.triplet_margin_with_distance_loss(
            *points, distance_function=self.distance_function, margin=self.margin, reduction=self.reduction
        )

    altered(patch, nn.TripletMarginWithDistanceLoss, forward)


@breaks("func-page-losses")
def infinite_losses_are_kept(patch):
    def forward(self, *arguments):
        return F.ctc_loss(*arguments, self.blank, self.reduction, False)

    altered(patch, nn.CTCLoss, forward)


@breaks("func-page-losses")
def poisson_forgets_the_rest_of_its_series(patch):
    def forward(self, x, target):
        return F.poisson_nll_loss(x, target, self.log_input, False, eps=self.eps, reduction=self.reduction)

    altered(patch, nn.PoissonNLLLoss, forward)


@breaks("func-page-tables")
def distances_are_euclidean(patch):
    altered(patch, nn.PairwiseDistance, lambda self, x, y: F.pairwise_distance(x, y, 2.0, self.eps, self.keepdim))


@breaks("func-page-tables")
def padding_has_a_row(patch):
    """The padding's row of an embedding is looked up as zero, whatever stands there."""
    altered(patch, nn.Embedding, lambda self, x: F.embedding(x, self.weight) * (x != 1).unsqueeze(-1))


@breaks("func-page-attention")
def attention_is_scaled(patch):
    def make(original):
        def forward(self, *arguments, **options):
            return tuple(1.001 * one for one in original(self, *arguments, **options))

        return forward

    patch(nn.MultiheadAttention, "forward", make)


@breaks("func-page-rms-norm")
def eps_is_lost(patch):
    if hasattr(nn, "RMSNorm"):
        altered(patch, nn.RMSNorm, lambda self, x: F.rms_norm(x, self.normalized_shape, self.weight))
    else:
        patch(F, "layer_norm", lambda original: original)


@breaks("func-page-in-place")
def hardtanh_copies(patch):
    """hardtanh_ leaves its input alone."""
    patch(F, "hardtanh_", lambda original: lambda x, *arguments: original(x.clone(), *arguments))


@breaks("func-page-in-place")
def threshold_takes_another_value(patch):
    patch(F, "threshold_", lambda original: lambda x, threshold, value: original(x, threshold, -value))


@breaks("func-page-upsample")
def corners_are_not_aligned(patch):
    patch(
        F,
        "upsample_bilinear",
        lambda original: lambda x, **options: F.upsample(x, mode="bilinear", align_corners=False, **options),
    )


@breaks("func-page-conv-tbc")
def the_bias_is_added_twice(patch):
    patch(F, "conv_tbc", lambda original: lambda x, weight, bias, pad=0: original(x, weight, bias * 2, pad))
