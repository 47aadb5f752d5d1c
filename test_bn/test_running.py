"""Running statistics."""

import numpy as np
from torch import nn

from torchclaims import claim
from torchclaims.reference import normalisation
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings


@claim("bn-running-mean-momentum", "bn-running-var-unbiased")
def test_first_batch(cell, rng):
    bn = cell.place(nn.BatchNorm2d(3))
    x = cell.tensor(rng.normal(1.0, 2.0, (2, 3, 1, 2)))
    cell.run(bn)(x)
    mean, variance = normalisation.running_statistics([to_numpy(x)], 0.1, np.zeros(3), np.ones(3))
    assert_within(bn.running_mean, mean, roundings(cell, 8, np.abs(mean) + 2), what="running_mean", because="8 roundings")
    assert_within(bn.running_var, variance, roundings(cell, 30, variance + 4), what="running_var", because="8 roundings")
