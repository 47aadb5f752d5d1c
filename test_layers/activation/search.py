"""Counter-examples to the activations' formulas."""

import numpy as np
import torch

from test_layers.activation.formulas import LAYERS
from test_layers.activation.test_formulas import assert_gradient, assert_value
from torchclaims import claim
from torchclaims.reference import differentiation
from torchclaims.reference.differentiation import choose, sigmoid
from torchclaims.search import search


@claim("act-formulas", "act-gradients", "act-layouts")
@search
def test_pointwise(cell, script):
    layer = LAYERS[script.pick(*LAYERS)]
    shape = script.sizes(script.pick(1, 0, 2, 3, 4), 0, 4)
    (reach,) = script.pick((4.0,), (16.0,), (0.25,))
    x = script.tensor("x", shape, low=-reach, high=reach, grad=True)
    out = script.run("out", f"torch.nn.{layer.kind.__name__}(**{layer.arguments}).eval()(x)")
    assert_value(cell, out, x, layer, "out")
    grad = script.tensor("grad", shape)
    (gradient,) = script.run("gradient", "torch.autograd.grad(out, [x], grad)")
    # The slope at a kink is another claim's.
    smooth = ~np.isin(x, layer.formula.kinks)
    kept = gradient[torch.tensor(smooth.tolist(), dtype=torch.bool, device=gradient.device).reshape(shape)]
    assert_gradient(cell, kept, grad[smooth], x[smooth], layer, "gradient")


def shape_and_axis(script):
    shape = script.sizes(script.pick(2, 1, 3, 4), 1, 4)
    return shape, script.integers(0, len(shape) - 1)[0]


@claim("softmax-formula", "softmax-gradient", "softmin-formula", "log-softmax-formula")
@search
def test_softmax(cell, script):
    shape, axis = shape_and_axis(script)
    (reach,) = script.pick((4.0,), (16.0,))
    script.tensor("x", shape, low=-reach, high=reach, grad=True)
    name = script.pick("softmax", "softmin", "log_softmax")

    def formula(x):
        function = differentiation.log_softmax if name == "log_softmax" else differentiation.softmax
        return function(-x if name == "softmin" else x, axis)

    script.agree(f"torch.nn.functional.{name}(x, {axis})", formula, ["x"], orders=8)


@claim("glu-formula")
@search
def test_glu(cell, script):
    shape, axis = shape_and_axis(script)
    shape = tuple(2 * size if number == axis else size for number, size in enumerate(shape))
    script.tensor("x", shape, low=-8.0, high=8.0, grad=True)
    half = shape[axis] // 2

    def formula(x):
        first, second = (x[(slice(None),) * axis + (part,)] for part in (slice(0, half), slice(half, 2 * half)))
        return first * sigmoid(second)

    script.agree(f"torch.nn.functional.glu(x, {axis})", formula, ["x"])


@claim("prelu-formula")
@search
def test_prelu(cell, script):
    shape = script.sizes(script.pick(2, 1, 3, 4), 1, 4)
    count = shape[1] if len(shape) > 1 and script.pick(True, False) else 1
    script.tensor("x", shape, grad=True)
    script.tensor("weight", (count,), low=-2.0, high=2.0, grad=True)

    def formula(x, weight):
        slopes = weight.reshape(*([-1] if len(shape) > 1 else [1]), *[1] * max(0, len(shape) - 2))
        # At 0 the gradient takes the slope of the negative side.
        return choose(x.value > 0, x, slopes * x)

    script.agree("torch.nn.functional.prelu(x, weight)", formula, ["x", "weight"])
