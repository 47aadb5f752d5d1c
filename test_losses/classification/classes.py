"""Inputs with classes, and targets and weights for them."""

import numpy as np
import torch

from torchclaims.comparison import assert_formula

# Unbatched, batches around whole vectors, K dimensions, one class, no sample.
INPUTS = {
    "unbatched": (5,),
    "batch": (9, 5),
    "one class": (3, 1),
    "many classes": (2, 33),
    "one sample": (1, 4),
    "one dimension": (2, 5, 7),
    "pixels": (2, 3, 4, 3),
    "one column": (3, 4, 5, 1),
    "three dimensions": (2, 3, 2, 1, 3),
    "empty": (0, 4),
}
BINARY = {"scalar": (), "vector": (17,), "matrix": (3, 5), "four axes": (2, 3, 1, 4), "empty": (0, 2)}
# Where a reduction has a case of its own.
EDGES = ("unbatched", "empty")
WEIGHTED = {"unweighted": False, "weighted": True}


def class_axis(shape):
    return min(1, len(shape) - 1)


def targets(cell, rng, shape):
    """Class indices for an input of ``shape``, as a tensor and as an array."""
    axis = class_axis(shape)
    y = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    return cell.tensor(y, dtype=torch.int64), np.asarray(y)


def class_weights(cell, rng, shape, weighted):
    """A weight for each class, or None, as a tensor and as the array of what it holds."""
    if not weighted:
        return None, None
    values = rng.integers(1, 16, shape[class_axis(shape)]) / 8
    return cell.tensor(values), values


def check_indices(cell, rng, loss, formula, x, y):
    assert_formula(cell, rng, lambda x: loss(x, y), formula, [x])


def reduction_of(shape, reduction):
    """The mean of a single sample is its sum: that of no axis."""
    return "sum" if len(shape) == 1 and reduction == "mean" else reduction
