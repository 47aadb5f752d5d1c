"""What several of the room's faults share."""

from torch import nn


def each_convolution(patch, alter):
    """Convolutions call ``alter(dims, original, arguments)``; arguments is a dict, one value a dimension."""
    for dims, name in ((1, "conv1d"), (2, "conv2d"), (3, "conv3d")):

        def make(original, dims=dims):
            def broken(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
                arguments = {"input": input, "weight": weight, "bias": bias, "groups": groups}
                for key, value in (("stride", stride), ("padding", padding), ("dilation", dilation)):
                    arguments[key] = value if isinstance(value, str) else tuple(value) * (1 if len(value) > 1 else dims)
                return alter(dims, original, arguments)

            def spread(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
                each = [(v,) * dims if isinstance(v, int) else v for v in (stride, padding, dilation)]
                return broken(input, weight, bias, *each, groups)

            return spread

        patch(nn.functional, name, make)
