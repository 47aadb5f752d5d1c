"""How scaled_dot_product_attention could be broken."""

import torch
import torch.nn.functional as F

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
