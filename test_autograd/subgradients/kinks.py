"""Points where a function has no derivative, or looks as if it had none, with what the derivative's two sides are."""

from collections.abc import Callable
from math import inf, pi, sqrt
from typing import NamedTuple

import torch
from torch.nn import functional as F


class Kink(NamedTuple):
    """An elementwise function, a point, and its derivatives on the left and on the right of that point."""

    function: Callable[[torch.Tensor], torch.Tensor]
    point: float
    left: float
    right: float

    @property
    def gradient(self):
        """The element of smallest size between the two: the minimum-norm sub- or supergradient."""
        low, high = sorted((self.left, self.right))
        return min(max(0.0, low), high)


class Tie(NamedTuple):
    """A function of one vector into numbers, a point, and the gradient of their sum by the notes' rules."""

    function: Callable[[torch.Tensor], torch.Tensor]
    point: tuple[float, ...]
    gradient: tuple[float, ...]


def like(x, *values):
    return x.new_tensor(values)


def full(x, value):
    return torch.full_like(x, value)


def column(x):
    return x.unsqueeze(-1)


# Elementwise functions: no parameter is a tensor that could require grad.
CONVEX = {
    "relu at 0": Kink(lambda x: F.relu(x), 0, 0, 1),
    "relu6 at 0": Kink(lambda x: F.relu6(x), 0, 0, 1),
    "hardtanh at -1": Kink(lambda x: F.hardtanh(x), -1, 0, 1),
    "hardtanh(2, 3) at 2": Kink(lambda x: F.hardtanh(x, 2.0, 3.0), 2, 0, 1),
    "leaky_relu(0.25) at 0": Kink(lambda x: F.leaky_relu(x, 0.25), 0, 0.25, 1),
    "elu(0.5) at 0": Kink(lambda x: F.elu(x, 0.5), 0, 0.5, 1),
    "elu(0) at 0": Kink(lambda x: F.elu(x, 0.0), 0, 0, 1),
    "threshold(0, 0) at 0": Kink(lambda x: F.threshold(x, 0.0, 0.0), 0, 0, 1),
    "threshold(2, 2) at 2": Kink(lambda x: F.threshold(x, 2.0, 2.0), 2, 0, 1),
    "softshrink(0.5) at 0.5": Kink(lambda x: F.softshrink(x, 0.5), 0.5, 0, 1),
    "hardsigmoid at -3": Kink(lambda x: F.hardsigmoid(x), -3, 0, 1 / 6),
    "abs at 0": Kink(lambda x: torch.abs(x), 0, -1, 1),
    "copysign(1) at 0": Kink(lambda x: torch.copysign(x, 1.0), 0, -1, 1),
    "rrelu in evaluation at 0": Kink(lambda x: F.rrelu(x, 0.25, 0.75), 0, 0.5, 1),
    "l1_loss at the target": Kink(lambda x: F.l1_loss(x, full(x, 2.0), reduction="none"), 2, -1, 1),
    "l1_loss at the input": Kink(lambda x: F.l1_loss(full(x, 2.0), x, reduction="none"), 2, -1, 1),
    "p-norm of 1 number, p=1": Kink(lambda x: torch.linalg.vector_norm(column(x), 1, -1), 0, -1, 1),
    "p-norm of 1 number, p=2": Kink(lambda x: torch.linalg.vector_norm(column(x), 2, -1), 0, -1, 1),
    "p-norm of 1 number, p=3": Kink(lambda x: torch.linalg.vector_norm(column(x), 3, -1), 0, -1, 1),
    "p-norm of 1 number, p=1.5": Kink(lambda x: torch.linalg.vector_norm(column(x), 1.5, -1), 0, -1, 1),
    "p-norm of 1 number, p=inf": Kink(lambda x: torch.linalg.vector_norm(column(x), inf, -1), 0, -1, 1),
    "p-norm of 1 number, p=-inf": Kink(lambda x: torch.linalg.vector_norm(column(x), -inf, -1), 0, -1, 1),
    "dist of 1 number": Kink(lambda x: torch.stack([torch.dist(v, like(v, 2.0)[0]) for v in x.flatten()]), 2, -1, 1),
    "pairwise_distance(eps=0)": Kink(
        lambda x: F.pairwise_distance(column(x.flatten()), like(x, 2.0).reshape(1, 1), eps=0.0), 2, -1, 1
    ),
    "std of 2 numbers": Kink(lambda x: torch.stack([x, full(x, 2.0)]).std(0), 2, -sqrt(0.5), sqrt(0.5)),
    "lp_pool of 1 number, p=2": Kink(lambda x: F.lp_pool1d(x.reshape(1, 1, -1), 2.0, 1), 0, -1, 1),
}
CONCAVE = {
    "relu6 at 6": Kink(lambda x: F.relu6(x), 6, 1, 0),
    "hardtanh at 1": Kink(lambda x: F.hardtanh(x), 1, 1, 0),
    "softshrink(0.5) at -0.5": Kink(lambda x: F.softshrink(x, 0.5), -0.5, 1, 0),
    "hardsigmoid at 3": Kink(lambda x: F.hardsigmoid(x), 3, 1 / 6, 0),
    "copysign(-1) at 0": Kink(lambda x: torch.copysign(x, -1.0), 0, 1, -1),
}
SMOOTH = {
    "elu at 0": Kink(lambda x: F.elu(x), 0, 1, 1),
    "celu(2) at 0": Kink(lambda x: F.celu(x, 2.0), 0, 1, 1),
    "leaky_relu(1) at 0": Kink(lambda x: F.leaky_relu(x, 1.0), 0, 1, 1),
    "softsign at 0": Kink(lambda x: F.softsign(x), 0, 1, 1),
    "logsigmoid at 0": Kink(lambda x: F.logsigmoid(x), 0, 0.5, 0.5),
    "softplus at 0": Kink(lambda x: F.softplus(x), 0, 0.5, 0.5),
    "tanhshrink at 0": Kink(lambda x: F.tanhshrink(x), 0, 0, 0),
    "silu at 0": Kink(lambda x: F.silu(x), 0, 0.5, 0.5),
    "gelu at 0": Kink(lambda x: F.gelu(x), 0, 0.5, 0.5),
    "mish at 0": Kink(lambda x: F.mish(x), 0, 0.6, 0.6),
    "sinc at 0": Kink(lambda x: torch.sinc(x), 0, 0, 0),
    "erf at 0": Kink(lambda x: torch.erf(x), 0, 2 / sqrt(pi), 2 / sqrt(pi)),
    "x ** 1 at 0": Kink(lambda x: x**1.0, 0, 1, 1),
    "x ** 2 at 0": Kink(lambda x: x**2.0, 0, 0, 0),
    "x ** 3 at 0": Kink(lambda x: x**3, 0, 0, 0),
    "x ** 0 at 0": Kink(lambda x: x**0.0, 0, 0, 0),
    "x ** tensor(1) at 0": Kink(lambda x: x ** full(x, 1.0), 0, 1, 1),
    "x ** tensor(0) at 0": Kink(lambda x: x ** full(x, 0.0), 0, 0, 0),
    "binary_cross_entropy_with_logits at 0": Kink(
        lambda x: F.binary_cross_entropy_with_logits(x, full(x, 1.0), reduction="none"), 0, -0.5, -0.5
    ),
    "binary_cross_entropy_with_logits(pos_weight) at 0": Kink(
        lambda x: F.binary_cross_entropy_with_logits(x, full(x, 1.0), reduction="none", pos_weight=full(x, 3.0)),
        0,
        -1.5,
        -1.5,
    ),
    "soft_margin_loss at 0": Kink(lambda x: F.soft_margin_loss(x, full(x, 1.0), reduction="none"), 0, -0.5, -0.5),
    "atan2 of 0 and 1": Kink(lambda x: torch.atan2(x, full(x, 1.0)), 0, 1, 1),
    "atan2 of 0 and -1": Kink(lambda x: torch.atan2(x, full(x, -1.0)), 0, -1, -1),
    "logaddexp at equal numbers": Kink(lambda x: torch.logaddexp(x, full(x, 2.0)), 2, 0.5, 0.5),
    "xlogy of 0 and 1": Kink(lambda x: torch.xlogy(x, full(x, 1.0)), 0, 0, 0),
    "frac between whole numbers": Kink(lambda x: torch.frac(x), 0.5, 1, 1),
    "trunc at 0": Kink(lambda x: torch.trunc(x), 0, 0, 0),
    "round at 2": Kink(lambda x: torch.round(x), 2, 0, 0),
    "nan_to_num at 0": Kink(lambda x: torch.nan_to_num(x), 0, 1, 1),
    "clamp inside": Kink(lambda x: x.clamp(1.0, 3.0), 2, 1, 1),
    "clamp outside": Kink(lambda x: x.clamp(1.0, 3.0), 4, 0, 0),
    "clamp of min above max": Kink(lambda x: x.clamp(3.0, 1.0), 2, 0, 0),
    "relu next to 0": Kink(lambda x: F.relu(x), 2.0**-14, 1, 1),
    "relu next to 0 below": Kink(lambda x: F.relu(x), -(2.0**-14), 0, 0),
    "abs next to 0": Kink(lambda x: torch.abs(x), -(2.0**-14), -1, -1),
    "normalize of 1 number below eps": Kink(lambda x: F.normalize(column(x), dim=-1, eps=0.5), 0, 2, 2),
    "var of 2 equal numbers": Kink(lambda x: torch.stack([x, full(x, 2.0)]).var(0), 2, 0, 0),
    "lp_pool of 1 number, p=1": Kink(lambda x: F.lp_pool1d(x.reshape(1, 1, -1), 1.0, 1), 2, 1, 1),
}
CLAMPS = {
    "clamp(min) at min": Kink(lambda x: x.clamp(min=1.0), 1, 0, 1),
    "clamp(max) at max": Kink(lambda x: x.clamp(max=1.0), 1, 1, 0),
    "clamp(min, max) at min": Kink(lambda x: x.clamp(1.0, 2.0), 1, 0, 1),
    "clamp(min, max) at max": Kink(lambda x: x.clamp(1.0, 2.0), 2, 1, 0),
    "clip at min": Kink(lambda x: torch.clip(x, 1.0, 2.0), 1, 0, 1),
    "clamp_min at min": Kink(lambda x: torch.clamp_min(x, 1.0), 1, 0, 1),
    "clamp_max at max": Kink(lambda x: torch.clamp_max(x, 1.0), 1, 1, 0),
}
LOSSES = {
    "margin_ranking_loss at the margin": Kink(
        lambda x: F.margin_ranking_loss(x, full(x, 0.0), full(x, 1.0), margin=1.0, reduction="none"), 1, -1, 0
    ),
    "hinge_embedding_loss at the margin": Kink(
        lambda x: F.hinge_embedding_loss(x, full(x, -1.0), margin=2.0, reduction="none"), 2, -1, 0
    ),
    "triplet_margin_loss at the margin": Kink(
        lambda x: F.triplet_margin_loss(
            column(full(x.flatten(), 0.0)),
            column(x.flatten()),
            column(full(x.flatten(), 3.0)),
            margin=1.0,
            eps=0.0,
            reduction="none",
        ),
        2,
        0,
        1,
    ),
    "cosine_embedding_loss at the margin": Kink(
        lambda x: F.cosine_embedding_loss(
            torch.stack([x.flatten(), full(x.flatten(), 1.0)], 1),
            like(x, 1.0, 0.0).expand(x.numel(), 2),
            full(x.flatten(), -1.0),
            reduction="none",
        ),
        0,
        0,
        1,
    ),
}


def place(x):
    return torch.zeros(x.numel(), dtype=torch.long, device=x.device)


def two(name):
    return lambda x: getattr(torch, name)(x[:1], x[1:2])


HALF, THIRD = 0.5, 1 / 3
LARGEST = ((4.0, 1.0, 4.0, -2.0), (HALF, 0.0, HALF, 0.0))
SMALLEST = ((-4.0, 1.0, -4.0, 2.0), (HALF, 0.0, HALF, 0.0))
EVEN = {
    "max()": Tie(lambda x: x.max(), *LARGEST),
    "min()": Tie(lambda x: x.min(), *SMALLEST),
    "amax": Tie(lambda x: x.amax(0), *LARGEST),
    "amin": Tie(lambda x: x.amin(0), *SMALLEST),
    "amax over all dimensions": Tie(lambda x: x.reshape(2, 2).amax((0, 1)), *LARGEST),
    "amax of a row and a column": Tie(
        lambda x: torch.cat([x.reshape(2, 2).amax(0), x.reshape(2, 2).amax(1)]), (1, 1, 1, 1), (1, 1, 1, 1)
    ),
    "amax of three": Tie(lambda x: x.amax(), (2.0, 2.0, 2.0), (THIRD, THIRD, THIRD)),
    "maximum": Tie(two("maximum"), (1.0, 1.0), (HALF, HALF)),
    "minimum": Tie(two("minimum"), (1.0, 1.0), (HALF, HALF)),
    "max of two tensors": Tie(two("max"), (0.0, -0.0), (HALF, HALF)),
    "min of two tensors": Tie(two("min"), (-2.0, -2.0), (HALF, HALF)),
    "maximum, no tie": Tie(two("maximum"), (1.0, 2.0), (0.0, 1.0)),
    "largest of sizes": Tie(lambda x: torch.linalg.vector_norm(x, inf), (3.0, 1.0, -3.0), (HALF, 0.0, -HALF)),
    "smallest of sizes": Tie(lambda x: torch.linalg.vector_norm(x, -inf), (1.0, 3.0, -1.0), (HALF, 0.0, -HALF)),
    "norm(inf)": Tie(lambda x: x.norm(inf), (3.0, 1.0, -3.0), (HALF, 0.0, -HALF)),
    "dist(inf)": Tie(lambda x: torch.dist(x, like(x, 1.0, 1.0), inf), (3.0, -1.0), (HALF, -HALF)),
    "amax of infinities": Tie(lambda x: x.amax(), (inf, 1.0, inf), (HALF, 0.0, HALF)),
    "amax of minus infinities": Tie(lambda x: x.amax(), (-inf, -inf), (HALF, HALF)),
    "scatter_reduce amax": Tie(
        lambda x: x.new_zeros(1).scatter_reduce(0, place(x), x, "amax", include_self=False), *LARGEST
    ),
    "logsumexp with minus infinity": Tie(lambda x: x.logsumexp(0), (2.0, 2.0, -inf), (HALF, HALF, 0.0)),
}
SEGMENT = {
    "segment_reduce max": Tie(
        lambda x: torch.segment_reduce(x, "max", lengths=torch.tensor([4], device=x.device)), *LARGEST
    ),
    "segment_reduce min": Tie(
        lambda x: torch.segment_reduce(x, "min", lengths=torch.tensor([4], device=x.device)), *SMALLEST
    ),
}
BINARY = {
    "fmax": Tie(two("fmax"), (1.0, 1.0), (HALF, HALF)),
    "fmin": Tie(two("fmin"), (1.0, 1.0), (HALF, HALF)),
    "clamp(min=tensor)": Tie(two("clamp"), (1.0, 1.0), (HALF, HALF)),
    "clamp(max=tensor)": Tie(lambda x: torch.clamp(x[:1], max=x[1:2]), (1.0, 1.0), (HALF, HALF)),
    "clamp(tensor, tensor) at min": Tie(
        lambda x: torch.clamp(x[:1], x[1:2], x[2:]), (1.0, 1.0, 2.0), (HALF, HALF, 0.0)
    ),
    "clamp(tensor, tensor) at max": Tie(
        lambda x: torch.clamp(x[:1], x[1:2], x[2:]), (2.0, 1.0, 2.0), (HALF, 0.0, HALF)
    ),
}
POOLS = {
    "max_pool1d": Tie(lambda x: F.max_pool1d(x.reshape(1, 1, 4), 4), *LARGEST),
    "max_pool2d": Tie(lambda x: F.max_pool2d(x.reshape(1, 1, 2, 2), 2), *LARGEST),
    "adaptive_max_pool1d": Tie(lambda x: F.adaptive_max_pool1d(x.reshape(1, 1, 4), 1), *LARGEST),
    "adaptive_max_pool2d": Tie(lambda x: F.adaptive_max_pool2d(x.reshape(1, 1, 2, 2), 1), *LARGEST),
}
ZEROS = {
    "norm()": Tie(lambda x: x.norm(), (0.0, 0.0), (0.0, 0.0)),
    "norm(1)": Tie(lambda x: x.norm(1), (0.0, 2.0, -3.0), (0.0, 1.0, -1.0)),
    "norm(3), partly 0": Tie(lambda x: x.norm(3), (0.0, 2.0, 0.0), (0.0, 1.0, 0.0)),
    "norm(inf) of zeros": Tie(lambda x: x.norm(inf), (0.0, 0.0), (0.0, 0.0)),
    "norm(-inf) with a zero": Tie(lambda x: x.norm(-inf), (0.0, 1.0), (0.0, 0.0)),
    "Frobenius norm": Tie(lambda x: torch.linalg.matrix_norm(x.reshape(2, 2)), (0.0,) * 4, (0.0,) * 4),
    "dist": Tie(lambda x: torch.dist(x, like(x, 1.0, 2.0)), (1.0, 2.0), (0.0, 0.0)),
    "dist(1)": Tie(lambda x: torch.dist(x, like(x, 1.0, 2.0), 1), (1.0, 3.0), (0.0, 1.0)),
    "cdist by matrix product": Tie(
        lambda x: torch.cdist(x[None], like(x, 1.0, 2.0)[None], compute_mode="use_mm_for_euclid_dist"),
        (1.0, 2.0),
        (0.0, 0.0),
    ),
    "std of equal numbers": Tie(lambda x: x.std(), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "std of equal numbers, without a correction": Tie(lambda x: x.std(correction=0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "std along dim": Tie(lambda x: torch.std(x.view(2, 2), 1).sum(), (1.0, 1.0, 2.0, 2.0), (0.0, 0.0, 0.0, 0.0)),
    "std_mean of equal numbers": Tie(lambda x: torch.std_mean(x)[0], (1.0, 1.0), (0.0, 0.0)),
    "l1_loss": Tie(lambda x: F.l1_loss(x, like(x, 1.0, 2.0)), (1.0, 4.0), (0.0, HALF)),
    "lp_pool1d": Tie(lambda x: F.lp_pool1d(x.reshape(1, 1, -1), 2.0, 2), (0.0, 0.0), (0.0, 0.0)),
}
FLAT = {
    "prod with one 0": Tie(lambda x: x.prod(), (0.0, 2.0, 3.0), (6.0, 0.0, 0.0)),
    "prod with two": Tie(lambda x: x.prod(), (0.0, 0.0, 3.0), (0.0, 0.0, 0.0)),
    "prod along a dimension": Tie(lambda x: x.reshape(2, 2).prod(0), (0.0, 2.0, 3.0, 4.0), (3.0, 4.0, 0.0, 2.0)),
    "cumprod with a 0": Tie(lambda x: x.cumprod(0), (2.0, 0.0, 3.0), (1.0, 8.0, 0.0)),
    "scatter_reduce prod with a 0": Tie(
        lambda x: x.new_ones(1).scatter_reduce(0, place(x), x, "prod"), (0.0, 2.0, 3.0), (6.0, 0.0, 0.0)
    ),
    "var of equal numbers": Tie(lambda x: x.var(), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "max pool, no tie": Tie(lambda x: F.max_pool1d(x.reshape(1, 1, -1), 3), (1.0, 4.0, 2.0), (0.0, 1.0, 0.0)),
    "cosine_similarity below eps": Tie(
        lambda x: F.cosine_similarity(x, like(x, 3.0, 4.0), dim=0, eps=1.0), (0.0, 0.0), (0.6, 0.8)
    ),
    "softmax with minus infinity": Tie(lambda x: x.softmax(0)[0], (1.0, 1.0, -inf), (0.25, -0.25, 0.0)),
    "norm away from 0": Tie(lambda x: x.norm(), (3.0, 4.0), (0.6, 0.8)),
}
DETERMINANTS = {
    "det of rank n - 1": Tie(lambda x: torch.det(torch.diag(x)), (0.0, 2.0, 3.0), (6.0, 0.0, 0.0)),
    "det of a dense singular matrix": Tie(
        lambda x: torch.det(x.reshape(2, 2)), (1.0, 2.0, 2.0, 4.0), (4.0, -2.0, -2.0, 1.0)
    ),
}
SPECTRAL = {
    "spectral norm of 0": Tie(lambda x: torch.linalg.matrix_norm(x.reshape(2, 2), 2), (0.0,) * 4, (0.0,) * 4),
}

# Without kernels for half precision.
CONVEX_FULL = {
    "cdist": Kink(lambda x: torch.cdist(column(x.flatten()), like(x, 2.0).reshape(1, 1)), 2, -1, 1),
    "cdist of p=1": Kink(lambda x: torch.cdist(column(x.flatten()), like(x, 2.0).reshape(1, 1), 1.0), 2, -1, 1),
    "cdist of p=3": Kink(lambda x: torch.cdist(column(x.flatten()), like(x, 2.0).reshape(1, 1), 3.0), 2, -1, 1),
    "cdist of p=1.5": Kink(lambda x: torch.cdist(column(x.flatten()), like(x, 2.0).reshape(1, 1), 1.5), 2, -1, 1),
    "cdist of p=inf": Kink(lambda x: torch.cdist(column(x.flatten()), like(x, 2.0).reshape(1, 1), inf), 2, -1, 1),
    "abs of a complex number": Kink(lambda x: torch.complex(x, full(x, 0.0)).abs(), 0, -1, 1),
    "multi_margin_loss at the margin": Kink(
        lambda x: F.multi_margin_loss(
            torch.stack([x.flatten(), full(x.flatten(), 1.0)], 1),
            torch.ones(x.numel(), dtype=torch.long, device=x.device),
            reduction="none",
        ),
        0,
        0,
        0.5,
    ),
    "multilabel_margin_loss at the margin": Kink(
        lambda x: F.multilabel_margin_loss(
            torch.stack([x.flatten(), full(x.flatten(), 1.0)], 1),
            torch.tensor([1, -1], device=x.device).expand(x.numel(), 2),
            reduction="none",
        ),
        0,
        0,
        0.5,
    ),
}
ZEROS_FULL = {
    "cdist": Tie(lambda x: torch.cdist(x[None], like(x, 1.0, 2.0)[None]), (1.0, 2.0), (0.0, 0.0)),
    "pdist": Tie(lambda x: F.pdist(x[:, None]), (1.0, 1.0, 3.0), (-1.0, -1.0, 2.0)),
    "multi_margin_loss, ties": Tie(
        lambda x: F.multi_margin_loss(x[None], place(x[:1]) + 1), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)
    ),
    "multilabel_margin_loss, ties": Tie(
        lambda x: F.multilabel_margin_loss(x[None], torch.tensor([[1, -1, -1]], device=x.device)),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
    ),
}
SMOOTH_FULL = {
    "i1e at 0": Kink(lambda x: torch.special.i1e(x), 0, 0.5, 0.5),
    "smooth_l1_loss at the target": Kink(lambda x: F.smooth_l1_loss(x, full(x, 2.0), reduction="none"), 2, 0, 0),
    "smooth_l1_loss at beta": Kink(lambda x: F.smooth_l1_loss(x, full(x, 2.0), reduction="none"), 3, 1, 1),
    "smooth_l1_loss at -beta": Kink(lambda x: F.smooth_l1_loss(x, full(x, 2.0), reduction="none"), 1, -1, -1),
    "huber_loss at delta": Kink(lambda x: F.huber_loss(x, full(x, 2.0), reduction="none", delta=2.0), 4, 2, 2),
    "huber_loss at -delta": Kink(lambda x: F.huber_loss(x, full(x, 2.0), reduction="none", delta=2.0), 0, -2, -2),
}
FLAT_FULL = {
    "segment_reduce prod with a 0": Tie(
        lambda x: torch.segment_reduce(x, "prod", lengths=torch.tensor([3], device=x.device)),
        (0.0, 2.0, 3.0),
        (6.0, 0.0, 0.0),
    ),
}
CHEBYSHEV = {
    "pdist(inf) tie": Tie(lambda x: F.pdist(torch.stack([x, x * 0]), inf), (1.0, -1.0, 0.0), (HALF, -HALF, 0.0)),
    "cdist(inf) tie": Tie(
        lambda x: torch.cdist(x[None], like(x, 0.0, 0.0, 0.0)[None], p=inf), (1.0, -1.0, 0.0), (HALF, -HALF, 0.0)
    ),
}
QUANTILES = {
    "quantile": Tie(lambda x: x.quantile(1.0), *LARGEST),
    "nanquantile": Tie(lambda x: x.nanquantile(0.0), *SMALLEST),
}
HYPOT_PAIR = {
    "hypot at (0, 0)": Tie(two("hypot"), (0.0, 0.0), (0.0, 0.0)),
}
STEEP = {
    "leaky_relu(2) at 0": Kink(lambda x: F.leaky_relu(x, 2.0), 0, 2, 1),
    "leaky_relu(-0.5) at 0": Kink(lambda x: F.leaky_relu(x, -0.5), 0, -0.5, 1),
}
CONSTANT_CLAMP = {
    "clamp of min = max": Kink(lambda x: x.clamp(1.0, 1.0), 1, 0, 0),
    "clamp of min > max, at max": Kink(lambda x: x.clamp(3.0, 1.0), 1, 0, 0),
    "clamp of min > max, at min": Kink(lambda x: x.clamp(3.0, 1.0), 3, 0, 0),
}
MARGIN_PAIR = {
    "margin_ranking_loss of a pair": Tie(
        lambda x: F.margin_ranking_loss(x[:1], x[1:2], like(x, 1.0)), (1.0, 1.0), (0.0, 0.0)
    ),
}
STEEP_RRELU = Kink(lambda x: F.rrelu(x, 1.5, 2.5), 0, 2, 1)
SOFTSHRINK = Kink(lambda x: F.softshrink(x, 0.0), 0, 1, 1)
HARDSHRINK = Kink(lambda x: F.hardshrink(x, 0.0), 0, 1, 1)
HYPOT = Kink(lambda x: torch.hypot(x, full(x, 0.0)), 0, -1, 1)
SMOOTH_L1_OF_BETA_ZERO = Kink(lambda x: F.smooth_l1_loss(x, full(x, 2.0), reduction="none", beta=0.0), 2, -1, 1)
AMINMAX = {
    "aminmax, the largest": Tie(lambda x: x.aminmax(dim=0).max, *LARGEST),
    "aminmax, the smallest": Tie(lambda x: x.aminmax().min, *SMALLEST),
}
MAX_DIM = {
    "max(dim)": Tie(lambda x: x.max(0).values, *LARGEST),
    "min(dim)": Tie(lambda x: x.min(0).values, *SMALLEST),
}
POOLS_FULL = {
    "max_pool3d": Tie(lambda x: F.max_pool3d(x.reshape(1, 1, 1, 2, 2), (1, 2, 2)), *LARGEST),
    "adaptive_max_pool3d": Tie(lambda x: F.adaptive_max_pool3d(x.reshape(1, 1, 1, 2, 2), 1), *LARGEST),
    "fractional_max_pool2d": Tie(lambda x: F.fractional_max_pool2d(x.reshape(1, 1, 2, 2), 2, output_size=1), *LARGEST),
}
TOPK = {
    "topk": Tie(lambda x: x.topk(1).values, *LARGEST),
    "topk of the smallest": Tie(lambda x: x.topk(1, largest=False).values, *SMALLEST),
}
SORT = {
    "sort": Tie(lambda x: x.sort().values[-1], *LARGEST),
    "msort": Tie(lambda x: torch.msort(x)[-1], *LARGEST),
}
KTHVALUE = {
    "kthvalue": Tie(lambda x: x.kthvalue(x.numel()).values, *LARGEST),
}
CUMMAX = {
    "cummax": Tie(lambda x: x.cummax(0).values[-1], *LARGEST),
    "cummin": Tie(lambda x: x.cummin(0).values[-1], *SMALLEST),
}
MATRIX_NORMS = {
    "matrix norm 1 at a tie": Tie(
        lambda x: torch.linalg.matrix_norm(torch.diag(x), 1), (3.0, -3.0, 1.0), (HALF, -HALF, 0.0)
    ),
    "matrix norm inf at a tie": Tie(
        lambda x: torch.linalg.matrix_norm(torch.diag(x), inf), (3.0, -3.0, 1.0), (HALF, -HALF, 0.0)
    ),
    "spectral norm at a tie": Tie(
        lambda x: torch.linalg.matrix_norm(torch.diag(x), 2), (3.0, 3.0, 1.0), (HALF, HALF, 0.0)
    ),
}
NUCLEAR = {
    "nuclear norm of a singular matrix": Tie(
        lambda x: torch.linalg.matrix_norm(torch.diag(x), "nuc"), (0.0, 2.0, 3.0), (0.0, 1.0, 1.0)
    ),
    "nuclear norm of 0": Tie(lambda x: torch.linalg.matrix_norm(x.reshape(2, 2), "nuc"), (0.0,) * 4, (0.0,) * 4),
}
LOW_RANK = {
    "det of rank n - 2": Tie(lambda x: torch.det(torch.diag(x)), (0.0, 0.0, 3.0), (0.0, 0.0, 0.0)),
    "det of 0": Tie(lambda x: torch.det(torch.diag(x)), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
}
REDUCTIONS = {
    "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin(1),
    "max": lambda x: x.max(),
    "vector_norm": lambda x: torch.linalg.vector_norm(x, inf, 1),
}
