"""What several of the room's faults share."""

from torch import nn


def _each(value, dims):
    return (value,) * dims if isinstance(value, int) else tuple(value) * (dims if len(value) == 1 else 1)


def each_max(patch, alter):
    """Max pooling calls ``alter(dims, original, input, arguments)``; a dict, one value a dimension."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def max_pool(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
                stride = kernel_size if stride is None else stride
                axes = {
                    "kernel_size": kernel_size,
                    "stride": stride,
                    "padding": padding,
                    "dilation": dilation,
                }
                arguments = {key: _each(value, dims) for key, value in axes.items()}
                return alter(
                    dims,
                    original,
                    input,
                    {**arguments, "ceil_mode": ceil_mode, "return_indices": return_indices},
                )

            return max_pool

        patch(nn.functional, f"max_pool{dims}d", make)


def each_average(patch, alter):
    """Average pooling calls ``alter(dims, original, input, arguments)``; a dict, one value a dimension."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def avg_pool(
                input,
                kernel_size,
                stride=None,
                padding=0,
                ceil_mode=False,
                count_include_pad=True,
                divisor_override=None,
            ):
                stride = kernel_size if stride is None else stride
                axes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
                arguments = {key: _each(value, dims) for key, value in axes.items()}
                arguments |= {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
                if dims > 1:
                    arguments["divisor_override"] = divisor_override
                return alter(dims, original, input, arguments)

            return avg_pool

        patch(nn.functional, f"avg_pool{dims}d", make)


def each_pool(patch, change):
    """All pooling calls the original with ``change(dims, arguments)``."""
    for each in (each_max, each_average):
        each(patch, lambda dims, original, x, a: original(x, **{**a, **change(dims, a)}))


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor
