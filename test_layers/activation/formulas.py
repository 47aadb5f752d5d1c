"""The activation layers that work number by number, each with what its page says it computes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from torch import nn

from torchclaims.reference import activation
from torchclaims.reference.activation import Pointwise


class Layer(NamedTuple):
    """A layer with some arguments and its formula."""

    kind: type[nn.Module]
    arguments: dict[str, Any]
    formula: Pointwise
    # How many results on the way may be rounded to the cell's dtype, where several operations make the function.
    steps: int = 0

    def make(self, **more: Any) -> nn.Module:
        """The layer; in evaluation, which only RReLU notices."""
        return self.kind(**self.arguments, **more).eval()


# Arguments other than defaults are exact in every dtype.
LAYERS = {
    "ELU": Layer(nn.ELU, {}, activation.elu()),
    "ELU, alpha": Layer(nn.ELU, {"alpha": 0.75}, activation.elu(0.75)),
    "SELU": Layer(nn.SELU, {}, activation.selu()),
    "CELU": Layer(nn.CELU, {}, activation.celu()),
    "CELU, alpha": Layer(nn.CELU, {"alpha": 0.5}, activation.celu(0.5)),
    "GELU": Layer(nn.GELU, {}, activation.gelu()),
    "GELU, tanh": Layer(nn.GELU, {"approximate": "tanh"}, activation.gelu_tanh()),
    "SiLU": Layer(nn.SiLU, {}, activation.silu()),
    "Mish": Layer(nn.Mish, {}, activation.mish()),
    "Softplus": Layer(nn.Softplus, {}, activation.softplus()),
    "Softplus, beta and threshold": Layer(nn.Softplus, {"beta": 2.0, "threshold": 1.5}, activation.softplus(2.0, 1.5)),
    "Softplus, threshold": Layer(nn.Softplus, {"threshold": 1.5}, activation.softplus(1.0, 1.5)),
    "Softsign": Layer(nn.Softsign, {}, activation.softsign(), 3),
    "Tanhshrink": Layer(nn.Tanhshrink, {}, activation.tanhshrink(), 3),
    "Tanh": Layer(nn.Tanh, {}, activation.tanh(), 3),
    "LogSigmoid": Layer(nn.LogSigmoid, {}, activation.logsigmoid(), 1),
    "Softshrink": Layer(nn.Softshrink, {}, activation.softshrink()),
    "Softshrink, lambd": Layer(nn.Softshrink, {"lambd": 1.25}, activation.softshrink(1.25)),
    "Hardshrink": Layer(nn.Hardshrink, {}, activation.hardshrink()),
    "Hardshrink, lambd": Layer(nn.Hardshrink, {"lambd": 1.25}, activation.hardshrink(1.25)),
    "Hardtanh": Layer(nn.Hardtanh, {}, activation.hardtanh()),
    "Hardtanh, bounds": Layer(nn.Hardtanh, {"min_val": -0.25, "max_val": 1.5}, activation.hardtanh(-0.25, 1.5)),
    "ReLU6": Layer(nn.ReLU6, {}, activation.hardtanh(0.0, 6.0)),
    "Hardsigmoid": Layer(nn.Hardsigmoid, {}, activation.hardsigmoid()),
    "Hardswish": Layer(nn.Hardswish, {}, activation.hardswish()),
    "LeakyReLU": Layer(nn.LeakyReLU, {}, activation.leaky(), 2),
    "LeakyReLU, slope": Layer(nn.LeakyReLU, {"negative_slope": 0.375}, activation.leaky(0.375)),
    "RReLU": Layer(nn.RReLU, {}, activation.leaky((1 / 8 + 1 / 3) / 2), 2),
    "RReLU, bounds": Layer(nn.RReLU, {"lower": 0.25, "upper": 0.75}, activation.leaky(0.5)),
    "Threshold": Layer(nn.Threshold, {"threshold": 0.25, "value": -7.5}, activation.threshold(0.25, -7.5)),
}

# Those whose page offers inplace=True.
IN_PLACE = {
    name: layer
    for name, layer in LAYERS.items()
    if layer.kind
    in (
        nn.ELU,
        nn.SELU,
        nn.CELU,
        nn.SiLU,
        nn.Mish,
        nn.Hardtanh,
        nn.ReLU6,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.LeakyReLU,
        nn.RReLU,
        nn.Threshold,
    )
}

every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
every_layer_in_place = pytest.mark.parametrize("layer", IN_PLACE.values(), ids=IN_PLACE)


def around(rng: np.random.Generator, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers around 0 and around a kink of the layer."""
    centre = rng.choice([0.0, *layer.formula.kinks], shape)
    return np.clip(rng.normal(centre, 2.0, shape), -30, 30)
