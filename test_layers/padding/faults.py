"""How padding could be broken."""

import torch
from torch import nn

from torchclaims import breaks


def altered(patch, alter):
    """F.pad calls ``alter(original, input, pad, mode, value)``."""

    def make(original):
        def pad(input, pad, mode="constant", value=None):
            return alter(original, input, list(pad), mode, value)

        return pad

    patch(nn.functional, "pad", make)


def altered_everywhere(patch, alter):
    """As :func:`altered`, for the tests that imported the function."""
    import sys

    altered(patch, alter)
    for name, module in list(sys.modules.items()):
        if "test_padding" in name and hasattr(module, "functional_pad"):
            patch(module, "functional_pad", lambda original: nn.functional.pad)


@breaks("pad-values", "pad-gradients", "pad-half-precision", "pad-functional-dimensions", "pad-copies")
def reflection_repeats_the_border(patch):
    """The mirror image begins with the border itself."""

    def alter(original, input, pad, mode, value):
        if mode != "reflect" or max(pad) < 1 or not input.numel():
            return original(input, pad, mode, value)
        cut = [min(number, 1) if number > 0 else number for number in pad]
        rest = [number - one for number, one in zip(pad, cut, strict=True)]
        return original(original(input, cut, "replicate"), rest, "replicate")

    altered_everywhere(patch, alter)


@breaks("pad-values")
def constant_of_the_last_side(patch):
    """The last side of the last dimension is filled with zeros."""

    def alter(original, input, pad, mode, value):
        out = original(input, pad, mode, value)
        if mode != "constant" or pad[1] <= 0:
            return out
        return torch.cat([out[..., : -pad[1]], torch.zeros_like(out[..., -pad[1] :])], -1)

    altered_everywhere(patch, alter)


@breaks("pad-circular", "pad-gradients")
def circle_shifted(patch):
    """Circular padding in one dimension is shifted by one element where its ends differ."""

    def alter(original, input, pad, mode, value):
        out = original(input, pad, mode, value)
        return out.roll(1, -1) if mode == "circular" and pad[0] > pad[1] >= 0 else out

    altered_everywhere(patch, alter)


@breaks("pad-zero", "pad-half-precision", "pad-functional")
def zeros_not_quite(patch):
    """The constant is a small number where zero is meant."""

    def alter(original, input, pad, mode, value):
        return original(input, pad, mode, 1e-5 if mode == "constant" and not value else value)

    altered_everywhere(patch, alter)


@breaks("pad-gradients", "pad-half-precision")
def copies_without_gradient(patch):
    """Replicated borders hand on the gradient of the border alone."""

    def alter(original, input, pad, mode, value):
        out = original(input, pad, mode, value)
        if mode != "replicate" or min(pad) < 0 or not max(pad):
            return out
        inside = original(torch.ones_like(input), pad, "constant", 0.0)
        return torch.where(inside > 0, out, out.detach())

    altered_everywhere(patch, alter)


@breaks("pad-functional", "pad-functional-dimensions")
def pairs_from_the_first(patch):
    """The first pair is for the first of the dimensions to be padded."""

    def alter(original, input, pad, mode, value):
        pairs = [pad[i : i + 2] for i in range(0, len(pad) - 1, 2)]
        return original(input, [n for pair in reversed(pairs) for n in pair] if len(pad) % 2 == 0 else pad, mode, value)

    altered_everywhere(patch, alter)


@breaks("pad-copies")
def fill_added(patch):
    """A constant is filled in by adding and multiplying with a mask."""

    def alter(original, input, pad, mode, value):
        out = original(input, pad, mode, value)
        if mode != "constant" or not out.is_floating_point():
            return out + 0 if out.is_floating_point() else out
        return out + 0.0 * original(torch.ones_like(input), pad)

    altered_everywhere(patch, alter)


@breaks("pad-one-number")
def one_number_for_the_last_dimension(patch):
    """One number pads the left side less than the others in three dimensions."""

    def make(original):
        def __init__(self, padding, *args):
            original(self, padding, *args)
            if isinstance(padding, int):
                self.padding = (padding - 1, *self.padding[1:])

        return __init__

    for kind in ("Circular", "Constant", "Reflection", "Replication"):
        patch(getattr(nn, f"{kind}Pad3d"), "__init__", make)


@breaks("pad-limits")
def reflection_as_large_as_the_dimension(patch):
    """A reflection that is too large by one becomes the largest."""

    def alter(original, input, pad, mode, value):
        if mode == "reflect":
            pad = [min(n, input.shape[-1 - i // 2] - 1) for i, n in enumerate(pad)]
        return original(input, pad, mode, value)

    altered_everywhere(patch, alter)


@breaks("pad-limits")
def circle_smaller_by_one(patch):
    """A circular padding as large as the dimension is refused."""

    def alter(original, input, pad, mode, value):
        if mode == "circular" and any(n >= input.shape[-1 - i // 2] for i, n in enumerate(pad)):
            raise AssertionError("wrapping around more than once")
        return original(input, pad, mode, value)

    altered_everywhere(patch, alter)


@breaks("pad-refused")
def dimensions_not_checked(patch):
    """Circular padding takes tensors of any dimensions, by padding none that it cannot."""

    def make(original):
        def forward(self, input):
            return original(self, input) if input.dim() in (len(self.padding) // 2 + k for k in (1, 2)) else input

        return forward

    patch(nn.modules.padding._CircularPadNd, "forward", make)


@breaks("pad-refused")
def unknown_mode_is_constant(patch):
    """An unknown mode pads by a constant."""
    known = ("constant", "reflect", "replicate", "circular")
    altered_everywhere(
        patch,
        lambda original, input, pad, mode, value: original(input, pad, mode if mode in known else "constant", value),
    )


@breaks("pad-empty-batch")
def empty_batch_stays(patch):
    """A batch of no samples is returned as it is."""
    altered_everywhere(
        patch,
        lambda original, input, pad, mode, value: original(input, pad, mode, value) if input.numel() else input * 1,
    )


@breaks("pad-circular-cropped")
def circle_of_what_is_left(patch):
    """Mended: what is left after cropping goes round as often as is needed."""

    def alter(original, input, pad, mode, value):
        if mode != "circular" or len(pad) > 2 or min(pad) >= 0:
            return original(input, pad, mode, value)
        size = input.shape[-1]
        places = torch.arange(-pad[0], size + pad[1], device=input.device)
        if pad[0] >= 0 or -pad[0] < size:
            first, last = max(0, -pad[0]), size - max(0, -pad[1])
            places = (torch.arange(-max(0, pad[0]), last - first + max(0, pad[1])) % (last - first)) + first
        return input[..., places % size]

    altered_everywhere(patch, alter)


@breaks("pad-repr")
def value_not_printed(patch):
    """A constant padding does not print its value."""

    def make(original):
        return lambda self: original(self).split(", value")[0]

    patch(nn.modules.padding._ConstantPadNd, "extra_repr", make)


@breaks("pad-replication-positive")
def empty_outputs_refused(patch):
    """Mended: an output with a dimension of no elements is refused."""

    def alter(original, input, pad, mode, value):
        out = original(input, pad, mode, value)
        if mode == "replicate" and out.numel() == 0 < input.numel():
            raise RuntimeError("too small")
        return out

    altered_everywhere(patch, alter)


@breaks("pad-replication-positive")
def one_column_always_left(patch):
    """Replication leaves one column where it was to leave none."""

    def alter(original, input, pad, mode, value):
        if mode == "replicate" and min(pad) < 0:
            pad = [n if i % 2 == 0 or n + pad[i - 1] > -input.shape[-1 - i // 2] else n + 1 for i, n in enumerate(pad)]
        return original(input, pad, mode, value)

    altered_everywhere(patch, alter)
