"""Complex convolutions, beside the four real ones that they are."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.reference.convolution import convolve, convolve_backward
from torchclaims.reference.windows import Windows
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, gamma, kernel_sum_bound, rounding_unit

COMPLEX = {torch.float16: torch.complex32, torch.float32: torch.complex64, torch.float64: torch.complex128}

# (x, weight, groups, further arguments)
CASES = {
    "in 1-D": ((2, 2, 7), (3, 2, 3), {"stride": 2, "padding": 1}),
    "in 2-D": ((2, 2, 4, 5), (3, 2, 2, 3), {"padding": (0, 1), "dilation": (2, 1)}),
    "groups": ((1, 4, 3, 4), (6, 2, 2, 2), {"groups": 2}),
    "in 3-D": ((1, 2, 3, 2, 4), (2, 2, 2, 1, 3), {"stride": (1, 2, 1)}),
}


def random_pair(cell, rng, shape):
    """A complex tensor of the cell's precision, and its real and imaginary parts as float64 arrays."""
    parts = [cell.tensor(rng.normal(size=shape)) for _ in range(2)]
    return torch.complex(*(part.double() for part in parts)).to(COMPLEX[cell.dtype]), [to_numpy(part) for part in parts]


def product(function, left, right):
    """``function``, linear in both of its arguments, of two complex numbers, each given as its parts."""
    return (
        function(left[0], right[0]) - function(left[1], right[1]),
        function(left[0], right[1]) + function(left[1], right[0]),
    )


def check(cell, seen, parts, magnitude, terms, count, what):
    # Three real convolutions do the work of four: their factors are sums, and their results are added up.
    bound = (
        3 * kernel_sum_bound(cell, terms, magnitude, magnitude, count) + gamma(6, rounding_unit(cell.dtype)) * magnitude
    )
    for part, wanted, name in zip((seen.real, seen.imag), parts, ("real", "imaginary"), strict=True):
        assert_within(part, wanted, bound, what=f"{what}, {name} part", because="sums of products of sums")


@claim("conv-complex")
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize(("x", "weight", "more"), CASES.values(), ids=CASES)
def test_complex(cell, rng, x, weight, more):
    inputs, x_parts = random_pair(cell, rng, x)
    kernels, weight_parts = random_pair(cell, rng, weight)
    layer = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(x) - 2](
        x[1], weight[0], weight[2:], **more, dtype=COMPLEX[cell.dtype], device=cell.device.name
    )
    biases, bias_parts = random_pair(cell, rng, weight[:1])
    layer.weight = nn.Parameter(kernels)
    layer.bias = nn.Parameter(biases)
    inputs.requires_grad_()
    out = layer(inputs)
    assert out.dtype == COMPLEX[cell.dtype]
    groups = more.get("groups", 1)
    windows = Windows.of(weight[2:], **{key: value for key, value in more.items() if key != "groups"})
    terms, count = 2 * int(np.prod(weight[1:])) + 2, int(np.prod(weight[2:]))

    def forward(left, right):
        return convolve(left, right, None, windows, groups)

    shifts = [part.reshape(-1, *[1] * (len(x) - 2)) for part in bias_parts]
    sizes = [sum(map(abs, parts)) for parts in (x_parts, weight_parts)]
    magnitude = forward(*sizes) + sum(map(abs, shifts))
    expected = [part + shift for part, shift in zip(product(forward, x_parts, weight_parts), shifts, strict=True)]
    check(cell, out, expected, magnitude, terms, count, "output")

    grad, grad_parts = random_pair(cell, rng, tuple(out.shape))
    out.backward(grad)
    conjugate_x, conjugate_weight = ((real, -imaginary) for real, imaginary in (x_parts, weight_parts))
    size = sum(map(abs, grad_parts))
    terms = 2 * out.numel() // weight[0] + terms
    for which, factor, seen in ((0, conjugate_weight, inputs.grad), (1, conjugate_x, layer.weight.grad)):

        def backward(left, right, which=which):
            given = (np.zeros(x), right) if which == 0 else (right, np.zeros(weight))
            return convolve_backward(left, *given, windows, groups)[which]

        parts = product(backward, grad_parts, factor)
        magnitude = backward(size, sum(map(abs, factor)))
        check(cell, seen, parts, magnitude, terms, count + x[0], f"gradient of {('x', 'weight')[which]}")
    spatial = (0, *range(2, len(x)))
    sums = [part.sum(spatial) for part in grad_parts]
    check(cell, layer.bias.grad, sums, size.sum(spatial), terms, x[0], "gradient of bias")
