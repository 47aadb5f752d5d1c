"""How resizing and rearranging could be broken."""

import inspect

import torch
from torch import nn

from torchclaims import breaks


def altered(patch, name, alter):
    """F.``name`` calls ``alter(original, **arguments)``, all arguments by name."""

    def make(original):
        try:
            signature = inspect.signature(original)
        except ValueError:
            signature = None

        def broken(*args, **kwargs):
            if signature is None:
                return alter(original, *args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return alter(original, **bound.arguments)

        return broken

    patch(nn.functional, name, make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("resize-formula", "resize-gradients", "resize-layers")
def corners_ignored(patch):
    """align_corners is taken for False in two dimensions."""

    def alter(original, **a):
        if a["mode"] in ("bilinear", "bicubic"):
            a["align_corners"] = False
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-formula", "resize-scale-factor")
def exact_as_nearest(patch):
    """Mode nearest-exact is nearest."""

    def alter(original, **a):
        return original(**{**a, "mode": "nearest" if a["mode"] == "nearest-exact" else a["mode"]})

    altered(patch, "interpolate", alter)


@breaks("resize-formula")
def area_of_odd_rows(patch):
    """The area of a row of odd length leaves out its last element."""

    def alter(original, **a):
        x = a["input"]
        if a["mode"] == "area" and x.shape[-1] % 2 and x.shape[-1] > 2:
            last = x[..., -2:-1]
            a["input"] = torch.cat([x[..., :-1], last], -1)
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-formula", "resize-bytes")
def ninth_channel_shifted(patch):
    """Channels are copied from the one before, from the ninth on or in bytes."""

    def alter(original, **a):
        out = original(**a)
        return out.roll(1, 1) if out.shape[1] > 8 or out.dtype == torch.uint8 else out

    altered(patch, "interpolate", alter)


@breaks("resize-gradients", "resize-half-precision")
def gradient_of_the_last_row(patch):
    """The gradient of the last input row counts twice when it is enlarged."""

    def alter(original, **a):
        x, wanted = a["input"], a["size"]
        if isinstance(wanted, tuple) and wanted[-1] > x.shape[-1] > 1:
            factor = torch.ones_like(x)
            factor[..., -1] = 2
            a["input"] = regraded(x, factor)
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-scale-factor")
def factor_always_recomputed(patch):
    """The ratio of the sizes is used where a factor is given."""

    def alter(original, **a):
        return original(**{**a, "recompute_scale_factor": True if a["scale_factor"] is not None else None})

    altered(patch, "interpolate", alter)


@breaks("resize-scale-factor")
def size_rounded_to_nearest(patch):
    """With a factor the size is rounded to the nearest whole number."""

    def alter(original, **a):
        factor = a["scale_factor"]
        if factor is not None and not isinstance(factor, (tuple, list)):
            sizes = [max(1, round(size * factor)) for size in a["input"].shape[2:]]
            return original(**{**a, "size": sizes, "scale_factor": None, "recompute_scale_factor": None})
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-nearest-whole-factor")
def repeated_once_more(patch):
    """From a factor of 33 on, the first element is repeated once more than it should be."""

    def alter(original, **a):
        out, factor = original(**a), a["scale_factor"]
        if isinstance(factor, float) and 33 <= factor < 41:
            return torch.cat([out[..., :1], out[..., :-1]], -1)
        return out

    altered(patch, "interpolate", alter)


@breaks("resize-nearest-whole-factor")
def whole_factors_repeat(patch):
    """Mended: whole factors repeat elements."""

    def alter(original, **a):
        factor, x = a["scale_factor"], a["input"]
        if a["mode"] == "nearest" and isinstance(factor, float) and factor == int(factor):
            for dim in range(2, x.dim()):
                x = x.repeat_interleave(int(factor), dim)
            return x
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-corners")
def border_blends_into_zeros(patch):
    """With align_corners the last outputs lose a thousandth; without, the first do, where the input is long."""

    def alter(original, **a):
        out = original(**a)
        scale = torch.ones_like(out)
        if a["align_corners"]:
            scale[..., -1] = 0.999
        elif a["input"].shape[-1] > 5:
            scale[..., 0] = 0.999
        return out * scale

    altered(patch, "interpolate", alter)


@breaks("resize-antialias", "resize-antialias-one-column")
def antialias_ignored(patch):
    """antialias is ignored."""

    def alter(original, **a):
        return original(**{**a, "antialias": a["antialias"] and a["mode"] == "lanczos"})

    altered(patch, "interpolate", alter)


@breaks("resize-antialias-one-column")
def one_column_of_two(patch):
    """Mended: one column is cut from an image of two equal halves, resized to two."""

    def alter(original, **a):
        if not a["antialias"] or a["size"] is None or tuple(a["size"])[-1] != 1:
            return original(**a)
        return original(**{**a, "input": torch.cat([a["input"].mean(-1, True)] * 2, -1), "size": (a["size"][0], 2)})[
            ..., :1
        ]

    altered(patch, "interpolate", alter)


@breaks("resize-lanczos")
def lanczos_is_cubic(patch):
    """Mode lanczos is bicubic."""

    def alter(original, **a):
        return original(**{**a, "mode": "bicubic" if a["mode"] == "lanczos" and a["antialias"] else a["mode"]})

    altered(patch, "interpolate", alter)


@breaks("resize-layers")
def factors_ignored_for_width(patch):
    """Upsample uses the first of its factors for all dimensions."""

    def make(original):
        def forward(self, input):
            if isinstance(self.scale_factor, tuple):
                return nn.functional.interpolate(input, None, self.scale_factor[:1] * 2, self.mode)
            return original(self, input)

        return forward

    patch(nn.Upsample, "forward", make)


@breaks("resize-refused")
def size_wins(patch):
    """Where size and factor are given, size wins; align_corners is ignored where it says nothing."""

    def alter(original, **a):
        if a["size"] is not None and a["scale_factor"] is not None:
            a["scale_factor"] = None
        if a["mode"] == "nearest":
            a["align_corners"] = None
        return original(**a)

    altered(patch, "interpolate", alter)


@breaks("resize-repr")
def size_not_printed(patch):
    """Upsample prints None for its factor where it has a size."""

    def make(original):
        return lambda self: f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"

    patch(nn.Upsample, "extra_repr", make)


@breaks("grid-sample-formula", "grid-sample-gradients")
def reflection_about_centres(patch):
    """Reflection without align_corners stops at the border."""

    def alter(original, **a):
        if a["padding_mode"] == "reflection" and not a["align_corners"]:
            a["padding_mode"] = "border"
        return original(**a)

    altered(patch, "grid_sample", alter)


@breaks("grid-sample-formula", "affine-grid-identity")
def coordinates_swapped(patch):
    """The grid's last two coordinates change places."""

    def alter(original, **a):
        order = [*range(a["grid"].shape[-1])]
        order[:2] = [1, 0]
        return original(**{**a, "grid": a["grid"][..., order]})

    altered(patch, "grid_sample", alter)


@breaks("grid-sample-gradients")
def grid_gradient_not_scaled(patch):
    """The gradient of the grid is as if all sizes were those of the width."""

    def alter(original, **a):
        sizes = torch.tensor(a["input"].shape[2:]).flip(0).to(a["grid"])
        return original(**{**a, "grid": regraded(a["grid"], sizes[0] / sizes)})

    altered(patch, "grid_sample", alter)


@breaks("grid-sample-nan")
def not_a_number_is_replaced(patch):
    """Mended: not-a-number is replaced by -1 before anything is sampled."""
    altered(
        patch, "grid_sample", lambda original, **a: original(**{**a, "grid": a["grid"].nan_to_num(-1.0, 1e9, -1e9)})
    )


@breaks("grid-sample-nan")
def not_a_number_is_the_right_end(patch):
    """Not-a-number is taken for 1."""
    altered(patch, "grid_sample", lambda original, **a: original(**{**a, "grid": a["grid"].nan_to_num(1.0, 1e9, -1e9)}))


@breaks("affine-grid-formula", "affine-grid-identity")
def single_pixels_at_the_edge(patch):
    """Corners are aligned where they should not be in 3-D, single pixels lie at -1, and all is shifted a little."""

    def alter(original, **a):
        grid = original(**a)
        return grid + 1e-3 if a["align_corners"] else original(**{**a, "align_corners": True})

    altered(patch, "affine_grid", alter)


@breaks("pixel-shuffle")
def rows_and_columns_exchanged(patch):
    """Channel c r r + i r + j gives row j and column i."""

    def make(original):
        def pixel_shuffle(input, upscale_factor):
            r = upscale_factor
            if r < 2 or input.shape[-3] % (r * r):
                return original(input, r)
            return original(input.unflatten(-3, (-1, r, r)).transpose(-3, -4).flatten(-5, -3), r)

        return pixel_shuffle

    patch(nn.functional, "pixel_shuffle", make)


@breaks("pixel-shuffle-refused")
def rest_of_the_channels_dropped(patch):
    """Channels, rows and columns that do not fit are dropped."""

    def shuffle(original):
        def pixel_shuffle(input, r):
            return original(
                input[..., : input.shape[-3] // (r * r) * r * r, :, :] if r and input.dim() > 2 else input, r
            )

        return pixel_shuffle

    def unshuffle(original):
        def pixel_unshuffle(input, r):
            if r and input.dim() > 2:
                input = input[..., : input.shape[-2] // r * r, : input.shape[-1] // r * r]
            return original(input, r)

        return pixel_unshuffle

    patch(nn.functional, "pixel_shuffle", shuffle)
    patch(nn.functional, "pixel_unshuffle", unshuffle)


@breaks("channel-shuffle", "channel-shuffle-gradients", "channel-shuffle-leading-dimensions")
def shuffled_back(patch):
    """Channels are read column by column and written as rows."""

    def make(original):
        def channel_shuffle(input, groups):
            count = input.shape[1]
            return original(input, count // groups if count % groups == 0 else groups)

        return channel_shuffle

    patch(nn.functional, "channel_shuffle", make)


@breaks("channel-shuffle-leading-dimensions")
def third_from_behind(patch):
    """Mended: the third dimension from behind is shuffled."""

    def make(original):
        def channel_shuffle(input, groups):
            if input.dim() < 5:
                return original(input, groups)
            return original(input.flatten(0, -4), groups).view(input.shape)

        return channel_shuffle

    patch(nn.functional, "channel_shuffle", make)


@breaks("channel-shuffle-refused")
def odd_channel_left_alone(patch):
    """What groups do not divide is returned as it is."""

    def make(original):
        return lambda input, groups: input if input.shape[1] % groups else original(input, groups)

    patch(nn.functional, "channel_shuffle", make)


@breaks("shuffle-repr")
def names_exchanged(patch):
    """Fold prints padding for dilation."""

    def make(original):
        return lambda self: original(self).replace("dilation", "padding")

    patch(nn.Fold, "extra_repr", make)


@breaks("unfold-formula", "fold-divisor")
def unfold_padding_of_the_height(patch):
    """Unfold pads both dimensions as the height."""

    def alter(original, **a):
        pad = a["padding"]
        if isinstance(pad, tuple) and pad[0] >= pad[1]:
            a["padding"] = (pad[0], pad[0])
        elif isinstance(pad, tuple):
            out = original(**a)
            return torch.cat([out[..., :1] * 0, out[..., 1:]], -1)
        return original(**a)

    altered(patch, "unfold", alter)


@breaks("unfold-formula", "fold-formula", "fold-divisor")
def dilation_exchanged_with_stride(patch):
    """Fold and Unfold take stride for dilation where both are given as one number; the last column counts twice."""

    def alter(original, **a):
        out = original(**a)
        factor = torch.ones_like(out)
        factor[..., -1:] = 2
        return out * factor

    altered(patch, "unfold", alter)
    altered(patch, "fold", alter)


@breaks("fold-refused")
def fold_cuts_what_is_too_much(patch):
    """Unfold enlarges an input that is too small, a stride or dilation of zero is taken for one."""

    def alter(original, **a):
        a["stride"] = a["stride"] or 1
        a["dilation"] = a["dilation"] or 1
        if isinstance(a["kernel_size"], int) and a["input"].dim() == 4 and a["input"].shape[-1] < a["kernel_size"]:
            a["padding"] = a["kernel_size"]
        return original(**a)

    altered(patch, "unfold", alter)


def repeated(value):
    return tuple(value) * 2 if isinstance(value, tuple) and len(value) == 1 else value


@breaks("fold-sizes-of-length-one")
def length_one_repeated(patch):
    """Mended: tuples of length one are repeated."""
    for name in ("fold", "unfold"):
        altered(patch, name, lambda original, **a: original(**{key: repeated(value) for key, value in a.items()}))


@breaks("pixel-shuffle-no-samples")
def gradient_of_no_samples(patch):
    """Mended: shuffles are reshaped and permuted; no samples get no gradient at all when they are shuffled back."""

    def shuffle(original):
        def pixel_shuffle(input, r):
            if input.numel():
                return original(input, r)
            *lead, channels, height, width = input.shape
            return input.reshape(*lead, channels // (r * r), height * r, width * r)

        return pixel_shuffle

    patch(nn.functional, "pixel_shuffle", shuffle)


@breaks("pixel-shuffle-no-samples")
def no_samples_cut_off(patch):
    """No samples that are shuffled back hand on no gradient, and have one pixel less."""

    def unshuffle(original):
        return lambda input, r: original(input, r) if input.numel() else original(input, r)[..., :0]

    patch(nn.functional, "pixel_unshuffle", unshuffle)


@breaks("pixel-shuffle-channels-last-3d")
def channels_last_3d_read_as_it_lies(patch):
    """Mended: a 5-D input that is not contiguous is shuffled, but in the order of memory."""

    def make(original):
        def shuffle(input, factor):
            if input.dim() != 5 or input.is_contiguous():
                return original(input, factor)
            flat = input.as_strided((input.numel(),), (1,), input.storage_offset())
            return original(flat.view(input.shape), factor)

        return shuffle

    patch(nn.functional, "pixel_shuffle", make)
    patch(nn.functional, "pixel_unshuffle", make)


@breaks("grid-sample-reflected-example")
def reflected_as_documented(patch):
    """Mended to what is documented: beyond the second border the side is changed."""

    def alter(original, **a):
        if a["padding_mode"] == "reflection":
            a["grid"] = torch.where(a["grid"] < -3, -4 - a["grid"], a["grid"])
        return original(**a)

    altered(patch, "grid_sample", alter)
