"""How what test_shapes.py decides could be broken."""

import torch

from test_layers.pooling.breaking import each_average, each_max, each_pool
from torchclaims import breaks


@breaks("pool-output-shape")
def window_in_the_right_padding_kept(patch):
    """With ceil_mode, a window that starts in the padding after the input is kept."""

    def alter(dims, original, x, a):
        out = original(x, **a)
        for axis in range(dims):
            kernel, stride, pad = (a[key][axis] for key in ("kernel_size", "stride", "padding"))
            extent = a.get("dilation", (1,) * dims)[axis] * (kernel - 1) + 1
            size = x.shape[axis - dims]
            count = -(-(size + 2 * pad - extent) // stride) + 1
            if a["ceil_mode"] and (count - 1) * stride >= size + pad:
                out = torch.cat([out, out.narrow(axis - dims, 0, 1)], axis - dims)
        return out

    each_max(patch, alter)


@breaks("pool-stride-default", "pool-output-shape")
def stride_of_one(patch):
    """The stride is 1 where it equals the kernel size."""
    each_pool(patch, lambda dims, a: {"stride": (1,) * dims if a["stride"] == a["kernel_size"] else a["stride"]})


@breaks("pool-unbatched")
def unbatched_pools_the_wrong_axes(patch):
    """Without a batch the channels are reversed."""

    def alter(dims, original, x, a):
        return original(x.flip(0) if x.dim() == dims + 1 else x, **a)

    each_max(patch, alter)
    each_average(patch, alter)


@breaks("pool-unbatched")
def empty_batch_gets_a_sample(patch):
    """A batch of no samples has one sample of output."""

    def alter(dims, original, x, a):
        return original(x.new_zeros(1, *x.shape[1:]) if len(x) == 0 else x, **a)

    each_max(patch, alter)


@breaks("pool-refused")
def padding_cut(patch):
    """Padding beyond half the kernel is cut to half."""
    each_pool(
        patch,
        lambda dims, a: {
            "padding": tuple(min(p, k // 2) for p, k in zip(a["padding"], a["kernel_size"], strict=False))
        },
    )


@breaks("pool-refused")
def small_input_gets_a_small_kernel(patch):
    """A kernel larger than the input is cut to the input."""

    def alter(dims, original, x, a):
        kernel = tuple(
            min(k, s + 2 * p) for k, s, p in zip(a["kernel_size"], x.shape[-dims:], a["padding"], strict=False)
        )
        return original(x, **{**a, "kernel_size": kernel})

    each_average(patch, alter)


@breaks("pool-unbatched")
def padding_counts_without_a_batch(patch):
    """Without a batch, padding counts in means, whatever count_include_pad says."""

    def alter(dims, original, x, a):
        return original(x, **{**a, "count_include_pad": a["count_include_pad"] or x.dim() == dims + 1})

    each_average(patch, alter)
