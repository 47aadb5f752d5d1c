"""Counter-examples to the sums of products that define linear and bilinear layers."""

import numpy as np

from test_layers.linear.test_bilinear import bilinear
from test_layers.linear.test_linear import BECAUSE
from torchclaims import claim
from torchclaims.reference.convolution import linear, linear_backward
from torchclaims.reference.differentiation import Term
from torchclaims.search import search
from torchclaims.tolerance import assert_within, kernel_sum_bound, roundings, sum_bound


@claim("linear-formula", "linear-gradients")
@search
def test_linear(cell, script):
    lead = script.sizes(script.pick(1, 0, 2, 3), low=0, high=3)
    features, out = script.size(), script.size()
    x = script.tensor("x", (*lead, features), grad=True)
    weight = script.tensor("weight", (out, features), grad=True)
    bias = script.tensor("bias", (out,), grad=True) if script.pick(True, False) else None
    names = ["x", "weight", "bias"][: 2 if bias is None else 3]
    seen = script.run("out", f"torch.nn.functional.linear({', '.join(names)})")
    expected = linear(x, weight, bias)
    magnitude = linear(abs(x), abs(weight), None if bias is None else abs(bias))
    # Of an input that is not contiguous the product may be rounded before the bias is added.
    product = expected if bias is None else expected - bias
    bound = kernel_sum_bound(cell, features + 1, magnitude, expected) + roundings(cell, 1, product)
    assert_within(seen, expected, bound, what="out", because=BECAUSE)
    grad = script.tensor("grad", seen.shape)
    gradients = script.run("gradients", f"torch.autograd.grad(out, [{', '.join(names)}], grad)")
    wanted, magnitudes = linear_backward(grad, x, weight), linear_backward(abs(grad), abs(x), abs(weight))
    rows = int(np.prod(lead))
    for name, one, value, size, terms in zip(names, gradients, wanted, magnitudes, (out, rows, rows), strict=False):
        bound = kernel_sum_bound(cell, terms, size, value)
        assert_within(one, value, bound, what=f"gradient of {name}", because=BECAUSE)


@claim("bilinear-formula")
@search
def test_bilinear(cell, script):
    lead = script.sizes(script.pick(1, 0, 2), low=0, high=3)
    first, second, out = script.size(), *script.integers(1, 4, 2)
    inputs = [script.tensor("a", (*lead, first)), script.tensor("b", (*lead, second))]
    inputs.append(script.tensor("weight", (out, first, second)))
    inputs.append(script.tensor("bias", (out,)) if script.pick(True, False) else None)
    seen = script.run("out", f"torch.nn.functional.bilinear(a, b, weight{', bias' * (inputs[3] is not None)})")
    expected = bilinear(*inputs)
    magnitude = bilinear(*(None if one is None else abs(one) for one in inputs))
    bound = sum_bound(cell, 2 * first * second + 3, magnitude, expected)
    assert_within(seen, expected, bound, what="out", because=BECAUSE)


@claim("bilinear-gradients")
@search
def test_bilinear_gradients(cell, script):
    rows, (first, second, out) = script.size(0, 4), script.integers(1, 5, 3)
    shapes = {"a": (rows, first), "b": (rows, second), "weight": (out, first, second)}
    for name, shape in shapes.items():
        script.tensor(name, shape, grad=True)

    def formula(a: Term, b: Term, weight: Term) -> Term:
        products = a.reshape(rows, 1, first, 1) * weight.reshape(1, out, first, second) * b.reshape(rows, 1, 1, second)
        return products.sum((2, 3))

    script.agree("torch.nn.functional.bilinear(a, b, weight)", formula, list(shapes))
