"""Attention and transformer layers, as terms that differentiate themselves.

Sequences are (N, L, E). Masks are additive: 0 where attention is allowed, minus infinity where not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchclaims.reference.differentiation import (
    Array,
    Term,
    gelu,
    joined,
    positive_part,
    softmax,
    sqrt,
    term,
)

Weights = Mapping[str, Term]


def additive(mask: Array, allowed: bool) -> Array:
    """A boolean mask, whose value ``allowed`` lets attend, as an additive one."""
    return np.where(mask == allowed, 0.0, -np.inf)


def causal(queries: int, keys: int) -> Array:
    """Each query attends to the keys up to its own position, from the upper left."""
    return additive(np.tril(np.ones((queries, keys), dtype=bool)), True)


def attend(query: Term, key: Term, value: Term, mask: Any = None, scale: float | None = None) -> tuple[Term, Term]:
    """softmax(q k^T scale + mask) v and the attention weights; scale is 1 / sqrt(E) by default."""
    scores = query @ key.T * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = _masked(scores, mask)
    weights = softmax(scores, -1)
    return weights @ value, weights


def _masked(scores: Term, mask: Any) -> Term:
    """Minus infinity is carried as a large negative number, whose power is 0 too and which spoils no error."""
    if isinstance(mask, Term):
        return scores + mask
    return scores + term(np.maximum(mask, -1e6))


def heads(x: Term, count: int) -> Term:
    """(N, L, E) as (N, heads, L, E / heads)."""
    samples, steps, width = x.shape
    return x.reshape(samples, steps, count, width // count).transpose(0, 2, 1, 3)


def multi_head(
    query: Term,
    key: Term,
    value: Term,
    weights: Weights,
    count: int,
    mask: Any = None,
    prefix: str = "",
    zero_attention: bool = False,
) -> tuple[Term, Term]:
    """Concat(head_1, ..., head_h) W_O with head_i = Attention(q W_i^Q, k W_i^K, v W_i^V), and each head's weights.

    ``mask`` broadcasts to (N, heads, L, S); ``bias_k`` and ``bias_v``, then zeros, are appended to the keys' sequence.
    """
    width = query.shape[-1]
    bias = weights.get(f"{prefix}in_proj_bias")
    projected = []
    for number, (x, name) in enumerate(zip((query, key, value), "qkv", strict=True)):
        rows = slice(number * width, (number + 1) * width)
        packed = weights.get(f"{prefix}in_proj_weight")
        matrix = weights[f"{prefix}{name}_proj_weight"] if packed is None else packed[rows]
        product = x @ matrix.T
        projected.append(product if bias is None else product + bias[rows])
    q, k, v = projected
    samples, added = q.shape[0], 0
    if f"{prefix}bias_k" in weights:
        ones = np.ones((samples, 1, 1))
        k = joined([k, weights[f"{prefix}bias_k"] * ones], 1)
        v = joined([v, weights[f"{prefix}bias_v"] * ones], 1)
        added += 1
    if zero_attention:
        k, v = (joined([x, term(np.zeros((samples, 1, width)))], 1) for x in (k, v))
        added += 1
    if mask is not None and added:
        mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, added)])
    mixed, shares = attend(heads(q, count), heads(k, count), heads(v, count), mask)
    together = mixed.transpose(0, 2, 1, 3).reshape(*q.shape)
    out = together @ weights[f"{prefix}out_proj.weight"].T
    out_bias = weights.get(f"{prefix}out_proj.bias")
    return (out if out_bias is None else out + out_bias), shares


def layer_norm(x: Term, weights: Weights, prefix: str, eps: float = 1e-5) -> Term:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, with the biased variance."""
    size = float(x.shape[-1])
    centred = x - x.sum(-1, keepdims=True) / size
    variance = (centred * centred).sum(-1, keepdims=True) / size
    out = centred / sqrt(variance + eps) * weights[f"{prefix}weight"]
    bias = weights.get(f"{prefix}bias")
    return out if bias is None else out + bias


def linear(x: Term, weights: Weights, prefix: str) -> Term:
    """x W^T + b."""
    out = x @ weights[f"{prefix}weight"].T
    bias = weights.get(f"{prefix}bias")
    return out if bias is None else out + bias


def feed_forward(x: Term, weights: Weights, prefix: str, activation: str) -> Term:
    """linear2(activation(linear1(x)))."""
    inner = linear(x, weights, f"{prefix}linear1.")
    return linear(gelu(inner) if activation == "gelu" else positive_part(inner), weights, f"{prefix}linear2.")


def encoder_layer(
    x: Term,
    weights: Weights,
    count: int,
    mask: Any = None,
    *,
    norm_first: bool = False,
    activation: str = "relu",
    eps: float = 1e-5,
    prefix: str = "",
) -> Term:
    """Self-attention and feed-forward, each added to its input; normed after the sum, or with norm_first before."""

    def norm(number: int, y: Term) -> Term:
        return layer_norm(y, weights, f"{prefix}norm{number}.", eps)

    def attention(y: Term) -> Term:
        return multi_head(y, y, y, weights, count, mask, f"{prefix}self_attn.")[0]

    def feed(y: Term) -> Term:
        return feed_forward(y, weights, prefix, activation)

    if norm_first:
        x = x + attention(norm(1, x))
        return x + feed(norm(2, x))
    x = norm(1, x + attention(x))
    return norm(2, x + feed(x))


def decoder_layer(
    x: Term,
    memory: Term,
    weights: Weights,
    count: int,
    mask: Any = None,
    memory_mask: Any = None,
    *,
    norm_first: bool = False,
    activation: str = "relu",
    eps: float = 1e-5,
    prefix: str = "",
) -> Term:
    """Self-attention, attention to the memory, and feed-forward, each as in the encoder's layer."""

    def norm(number: int, y: Term) -> Term:
        return layer_norm(y, weights, f"{prefix}norm{number}.", eps)

    def attention(y: Term) -> Term:
        return multi_head(y, y, y, weights, count, mask, f"{prefix}self_attn.")[0]

    def recall(y: Term) -> Term:
        return multi_head(y, memory, memory, weights, count, memory_mask, f"{prefix}multihead_attn.")[0]

    def feed(y: Term) -> Term:
        return feed_forward(y, weights, prefix, activation)

    if norm_first:
        x = x + attention(norm(1, x))
        x = x + recall(norm(2, x))
        return x + feed(norm(3, x))
    x = norm(1, x + attention(x))
    x = norm(2, x + recall(x))
    return norm(3, x + feed(x))
