"""How attention and transformers could be broken."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import transformer

from test_losses.common import altered, called_with, regraded
from torchclaims import breaks

SDPA = "scaled_dot_product_attention"


def attention_with(patch, change):
    """F.scaled_dot_product_attention with ``change(q, k, v, **options)`` for its arguments."""
    called_with(patch, F, SDPA, lambda q, k, v, *rest, **more: change(q, k, v, *rest, **more))


@breaks("attention-formula", "attention-mask", "attention-causal")
def values_get_half_their_gradient(patch):
    """The values receive half their gradient."""
    attention_with(patch, lambda q, k, v, *rest, **more: ((q, k, regraded(v, 0.5), *rest), more))


@breaks("attention-formula")
def scaled_by_the_values_width(patch):
    """Scores are scaled by the number of the values' features."""
    attention_with(patch, lambda q, k, v, *rest, **more: ((q * (q.shape[-1] / v.shape[-1]) ** 0.5, k, v, *rest), more))


@breaks("attention-scale")
def scale_of_zero_is_the_default(patch):
    """A scale of 0 counts as none."""

    def change(q, k, v, *rest, scale=None, **more):
        return (q, k, v, *rest), {**more, **({"scale": scale} if scale else {})}

    attention_with(patch, change)


@breaks("attention-mask")
def boolean_masks_inverted_for_rows(patch):
    """A boolean mask of one column or row is ignored."""

    def change(q, k, v, attn_mask=None, **more):
        ignored = attn_mask is not None and attn_mask.dtype == torch.bool and 1 in attn_mask.shape[-2:]
        return (q, k, v), {"attn_mask": None if ignored else attn_mask, **more}

    attention_with(patch, change)


@breaks("attention-mask")
def added_mask_scaled(patch):
    """A mask that is added is scaled, too."""

    def change(q, k, v, attn_mask=None, **more):
        if attn_mask is not None and attn_mask.dtype != torch.bool:
            attn_mask = attn_mask * q.shape[-1] ** -0.5
        return (q, k, v), {"attn_mask": attn_mask, **more}

    attention_with(patch, change)


@breaks("attention-mask-broadcasts")
def any_mask_broadcasts(patch):
    """Mended: masks of fewer than two dimensions broadcast."""

    def change(q, k, v, attn_mask=None, **more):
        if attn_mask is not None and attn_mask.dim() < 2:
            attn_mask = attn_mask.expand(q.shape[-2], k.shape[-2])
        return (q, k, v), {"attn_mask": attn_mask, **more}

    attention_with(patch, change)


@breaks("attention-causal")
def causal_from_the_lower_right(patch):
    """The causal mask is aligned to the lower right."""

    def change(q, k, v, attn_mask=None, is_causal=False, **more):
        if is_causal:
            queries, keys = q.shape[-2], k.shape[-2]
            attn_mask = torch.ones(queries, keys, dtype=torch.bool).tril(max(keys - queries, 0))
        return (q, k, v), {"attn_mask": attn_mask, **more}

    attention_with(patch, change)


@breaks("attention-grouped")
def groups_in_turn(patch):
    """The heads of key and value are tiled instead of repeated."""

    def change(q, k, v, *rest, enable_gqa=False, **more):
        if enable_gqa:
            times = q.shape[-3] // k.shape[-3]
            k, v = (x.repeat(*(1,) * (x.dim() - 3), times, 1, 1) for x in (k, v))
        return (q, k, v, *rest), more

    attention_with(patch, change)


@breaks("attention-fully-masked")
def fully_masked_is_nan(patch):
    """Mended: a query that may attend to nothing gives NaN; where it did, 1."""

    def alter(result, q, k, v, attn_mask=None, **more):
        if attn_mask is None:
            return result
        allowed = attn_mask if attn_mask.dtype == torch.bool else ~attn_mask.isinf()
        wanted = 1.0 if result.isnan().any() else float("nan")
        return torch.where(allowed.any(-1, keepdim=True), result, wanted)

    altered(patch, F, SDPA, alter)


@breaks("attention-dropout")
def dropout_unscaled(patch):
    """What dropout keeps is not scaled."""

    def alter(result, *args, dropout_p=0.0, **more):
        return result * (1 - dropout_p)

    altered(patch, F, SDPA, alter)


@breaks("attention-mask-and-causal")
def mask_and_causal_refused(patch):
    """Mended: attn_mask and is_causal together are refused, though not for matrices."""

    def change(q, k, v, attn_mask=None, is_causal=False, **more):
        if attn_mask is not None and is_causal and q.dim() > 2:
            raise RuntimeError("attn_mask should not be set when is_causal=True")
        return (q, k, v), {"attn_mask": attn_mask, "is_causal": is_causal, **more}

    attention_with(patch, change)


@breaks("attention-errors")
def integers_are_booleans(patch):
    """Masks of integers are booleans."""

    def change(q, k, v, attn_mask=None, is_causal=False, **more):
        mask = None if is_causal or attn_mask is None else attn_mask.bool()
        return (q, k, v), {"attn_mask": mask, "is_causal": is_causal, **more}

    attention_with(patch, change)


def altered_multihead(patch, change):
    """MultiheadAttention.forward with ``change(original, self, q, k, v, **options)``."""

    def make(original):
        def forward(self, query, key, value, *rest, **more):
            names = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
            more.update(zip(names[: len(rest)], rest, strict=True))
            return change(original, self, query, key, value, **more)

        return forward

    patch(nn.MultiheadAttention, "forward", make)


@breaks("mha-formula", "mha-kdim-vdim", "mha-fast-path", "mha-causal", "mha-bias-kv", "mha-masks")
def output_projection_biased(patch):
    """The output is a hundredth larger."""

    def change(original, self, *args, **more):
        out, weights = original(self, *args, **more)
        return out * 1.01, weights

    altered_multihead(patch, change)


@breaks("mha-formula", "mha-kdim-vdim")
def values_of_a_shared_key(patch):
    """Where key and value are one tensor its gradient is halved, and the value's with features of its own."""

    def change(original, self, q, k, v, **more):
        return original(self, q, k, v if v is q else regraded(v, 0.5), **more)

    altered_multihead(patch, change)


@breaks("mha-weights")
def averaged_over_queries(patch):
    """Weights are the largest of the heads, not their mean."""

    def change(original, self, q, k, v, *, average_attn_weights=True, **more):
        out, weights = original(self, q, k, v, average_attn_weights=False, **more)
        if weights is not None and average_attn_weights:
            weights = weights.amax(-3)
        return out, weights

    altered_multihead(patch, change)


@breaks("mha-weights")
def weights_always_returned(patch):
    """need_weights=False is ignored."""
    altered_multihead(
        patch,
        lambda original, self, *args, need_weights=True, **more: original(self, *args, need_weights=True, **more),
    )


@breaks("mha-masks", "mha-fast-path", "mha-bias-kv")
def padding_ignored_with_a_mask(patch):
    """key_padding_mask is ignored where attn_mask is given."""

    def change(original, self, *args, key_padding_mask=None, attn_mask=None, **more):
        keys = None if attn_mask is not None else key_padding_mask
        return original(self, *args, key_padding_mask=keys, attn_mask=attn_mask, **more)

    altered_multihead(patch, change)


@breaks("mha-masks", "mha-fast-path")
def heads_share_a_mask(patch):
    """All heads use the first head's mask."""

    def change(original, self, *args, attn_mask=None, **more):
        if attn_mask is not None and attn_mask.dim() == 3:
            attn_mask = attn_mask[:1].expand_as(attn_mask).clone()
        return original(self, *args, attn_mask=attn_mask, **more)

    altered_multihead(patch, change)


@breaks("mha-bias-kv")
def zero_attention_ignored(patch):
    """add_zero_attn is ignored."""

    def change(original, self, *args, **more):
        before, self.add_zero_attn = self.add_zero_attn, False
        try:
            return original(self, *args, **more)
        finally:
            self.add_zero_attn = before

    altered_multihead(patch, change)


@breaks("mha-layout")
def output_not_turned_back(patch):
    """With batch_first the output of another key is not turned back."""

    def change(original, self, q, k, v, **more):
        out, weights = original(self, q, k, v, **more)
        return (out.transpose(0, 1) if self.batch_first and q is not k and q.dim() == 3 else out), weights

    altered_multihead(patch, change)


@breaks("mha-causal")
def hint_ignored_in_training(patch):
    """In training the hint drops the mask."""

    def change(original, self, *args, attn_mask=None, is_causal=False, **more):
        mask = None if is_causal and self.training else attn_mask
        return original(self, *args, attn_mask=mask, is_causal=is_causal and mask is not None, **more)

    altered_multihead(patch, change)


def with_causal_mask(patch):
    def change(original, self, q, *args, attn_mask=None, is_causal=False, **more):
        if is_causal and attn_mask is None:
            steps = q.shape[1 if self.batch_first else 0]
            attn_mask = torch.ones(steps, steps, dtype=torch.bool).triu(1)
        return original(self, q, *args, attn_mask=attn_mask, is_causal=is_causal, **more)

    altered_multihead(patch, change)


@breaks("mha-causal-applies")
def multihead_applies_the_causal_mask(patch):
    """Mended: is_causal applies a causal mask."""
    with_causal_mask(patch)


@breaks("transformer-causal-applies")
def layers_apply_the_causal_mask(patch):
    """Mended: is_causal of the decoder's layers applies a causal mask."""
    with_causal_mask(patch)


@breaks("mha-dropout")
def dropout_in_evaluation(patch):
    """Attention weights are dropped in evaluation."""

    def change(original, self, *args, **more):
        training, self.training = self.training, True
        try:
            return original(self, *args, **more)
        finally:
            self.training = training

    altered_multihead(patch, change)


@breaks("mha-dropout")
def dropout_never(patch):
    """Attention weights are never dropped."""

    def change(original, self, *args, **more):
        p, self.dropout = self.dropout, 0.0
        try:
            return original(self, *args, **more)
        finally:
            self.dropout = p

    altered_multihead(patch, change)


@breaks("mha-init", "transformer-defaults")
def init_normal(patch):
    """Projections start xavier normal."""
    from torch.nn.modules import activation

    patch(activation, "xavier_uniform_", lambda original: nn.init.xavier_normal_)
    patch(transformer, "xavier_uniform_", lambda original: nn.init.xavier_normal_)


@breaks("mha-init")
def bias_starts_at_one(patch):
    """The output projection's bias starts at 0.01."""

    def make(original):
        def reset(self):
            original(self)
            if self.out_proj.bias is not None:
                nn.init.constant_(self.out_proj.bias, 0.01)

        return reset

    patch(nn.MultiheadAttention, "_reset_parameters", make)


@breaks("mha-errors")
def features_cut(patch):
    """Heads get what can be divided, and a query without all its features zeros for the others."""

    def make(original):
        def init(self, embed_dim, num_heads, *args, **kwargs):
            if embed_dim > 0 and num_heads > 0:
                embed_dim -= embed_dim % num_heads
            original(self, embed_dim, num_heads, *args, **kwargs)

        return init

    patch(nn.MultiheadAttention, "__init__", make)


@breaks("mha-errors")
def integer_masks_taken(patch):
    """Masks of integers count as boolean, and other types are not warned of."""

    def change(original, self, *args, attn_mask=None, key_padding_mask=None, **more):
        if attn_mask is not None:
            attn_mask = attn_mask.bool()
        return original(self, *args, attn_mask=attn_mask, key_padding_mask=key_padding_mask, **more)

    altered_multihead(patch, change)


def altered_forward(patch, owner, alter):
    def make(original):
        def forward(self, *args, **kwargs):
            return alter(original(self, *args, **kwargs), self, *args, **kwargs)

        return forward

    patch(owner, "forward", make)


@breaks("transformer-encoder-layer", "transformer-fast-path", "transformer-decoder-layer", "transformer-whole")
def norm_place_ignored(patch):
    """norm_first is ignored."""
    for owner in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):

        def make(original):
            def forward(self, *args, **kwargs):
                before, self.norm_first = self.norm_first, False
                try:
                    return original(self, *args, **kwargs)
                finally:
                    self.norm_first = before

            return forward

        patch(owner, "forward", make)


@breaks("transformer-encoder-layer", "transformer-stacks")
def encoder_gradient_halved(patch):
    """The gradient through an encoder layer is halved."""
    altered_forward(patch, nn.TransformerEncoderLayer, lambda result, *a, **k: regraded(result, 0.5))


@breaks("transformer-fast-path")
def gelu_is_relu_in_evaluation(patch):
    """In evaluation the activation is always ReLU."""

    def make(original):
        def forward(self, *args, **kwargs):
            before = self.activation_relu_or_gelu, self.activation
            if not self.training:
                self.activation_relu_or_gelu, self.activation = 1, F.relu
            try:
                return original(self, *args, **kwargs)
            finally:
                self.activation_relu_or_gelu, self.activation = before

        return forward

    patch(nn.TransformerEncoderLayer, "forward", make)


@breaks("transformer-fast-path-float-mask")
def slow_path_for_float_masks(patch):
    """Mended: a float mask keeps the layer from the fast path."""

    def make(original):
        def forward(self, *args, **kwargs):
            before = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                return original(self, *args, **kwargs)
            finally:
                torch.backends.mha.set_fastpath_enabled(before)

        return forward

    patch(nn.TransformerEncoderLayer, "forward", make)


@breaks("transformer-decoder-layer", "transformer-stacks", "transformer-whole")
def memory_mask_ignored(patch):
    """The decoder's layers ignore memory_mask, and their memory gets half its gradient."""

    def make(original):
        def forward(self, tgt, memory, *args, memory_mask=None, **kwargs):
            return original(self, tgt, regraded(memory, 0.5), *args, memory_mask=None, **kwargs)

        return forward

    patch(nn.TransformerDecoderLayer, "forward", make)


@breaks("transformer-stacks", "transformer-whole")
def final_norm_left_out(patch):
    """The stacks leave out their norm."""
    for owner in (nn.TransformerEncoder, nn.TransformerDecoder):

        def make(original):
            def forward(self, *args, **kwargs):
                norm, self.norm = self.norm, None
                try:
                    return original(self, *args, **kwargs)
                finally:
                    self.norm = norm

            return forward

        patch(owner, "forward", make)


@breaks("transformer-stacks")
def layers_shared(patch):
    """The stack runs one layer repeatedly."""
    patch(transformer, "_get_clones", lambda original: lambda module, count: nn.ModuleList([module] * count))


@breaks("transformer-stacks")
def every_mask_is_causal(patch):
    """Any mask counts as causal."""
    patch(transformer, "_detect_is_causal_mask", lambda original: lambda mask, *a: mask is not None)


@breaks("transformer-nested")
def padding_attended_to(patch):
    """Padding is attended to in evaluation."""

    def make(original):
        def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
            keys = src_key_padding_mask if self.training else None
            return original(self, src, mask, keys, is_causal)

        return forward

    patch(nn.TransformerEncoder, "forward", make)


@breaks("transformer-whole")
def source_not_encoded(patch):
    """The source's padding is forgotten."""

    def make(original):
        def forward(self, *args, src_key_padding_mask=None, **kwargs):
            return original(self, *args, **kwargs)

        return forward

    patch(nn.Transformer, "forward", make)


@breaks("transformer-defaults")
def norms_by_default_finer(patch):
    """The final norms have another eps."""

    def make(original):
        @functools.wraps(original)
        def init(self, *args, **kwargs):
            original(self, *args, **kwargs)
            if hasattr(self.encoder, "norm"):
                self.encoder.norm.eps = 1e-6

        return init

    patch(nn.Transformer, "__init__", make)


@breaks("transformer-causal-mask")
def diagonal_masked(patch):
    """The causal mask forbids the diagonal, too, but for the first row."""

    def alter(mask, size, *args, **kwargs):
        diagonal = torch.eye(size, dtype=torch.bool)
        diagonal[:1] = False
        return mask.masked_fill(diagonal, float("-inf"))

    altered(patch, transformer, "_generate_square_subsequent_mask", alter)


@breaks("transformer-bias-off")
def norms_keep_their_bias(patch):
    """bias=False spares the norms."""

    def make(original):
        class Norm(original):
            def __init__(self, *args, bias=True, **kwargs):
                super().__init__(*args, **kwargs)

        return Norm

    patch(transformer, "LayerNorm", make)


@breaks("transformer-errors")
def batches_repeated(patch):
    """A target of another batch is cut, and features are filled up."""

    def make(original):
        def forward(self, src, tgt, *args, **kwargs):
            axis = 0 if self.batch_first else 1
            size = min(src.shape[axis], tgt.shape[axis])
            return original(self, src.narrow(axis, 0, size), tgt.narrow(axis, 0, size), *args, **kwargs)

        return forward

    patch(nn.Transformer, "forward", make)


@breaks("transformer-errors")
def any_activation(patch):
    """An activation by an unknown name is ReLU."""
    patch(transformer, "_get_activation_fn", lambda original: lambda name: F.gelu if name == "gelu" else F.relu)


@breaks("transformer-documented-activations")
def activations_exist(patch):
    """Mended: torch.functional has the activations."""

    class Functional:
        relu, gelu = F.relu, F.gelu

    patch(torch, "functional", lambda original: Functional)
