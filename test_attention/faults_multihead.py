"""How MultiheadAttention could be broken."""

import torch
from torch import nn
from torch.nn.modules import transformer

from test_losses.common import regraded
from torchclaims import breaks


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


@breaks("mha-dropout")
def dropout_only_where_weights_are_given(patch):
    """Without need_weights nothing is dropped."""

    def change(original, self, *args, **more):
        p, self.dropout = self.dropout, self.dropout if more.get("need_weights", True) else 0.0
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
