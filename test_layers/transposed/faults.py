"""How transposed convolutions could be broken."""

import torch
from torch import nn

from torchclaims import breaks

CLASSES = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def each_transposed(patch, alter):
    """Transposed convolutions call ``alter(dims, original, arguments)``; arguments is a dict, one value a dimension."""
    for dims, name in ((1, "conv_transpose1d"), (2, "conv_transpose2d"), (3, "conv_transpose3d")):

        def make(original, dims=dims):
            def broken(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
                arguments = {"input": input, "weight": weight, "bias": bias, "groups": groups}
                several = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
                for key, value in several.items():
                    arguments[key] = (value,) * dims if isinstance(value, int) else tuple(value)
                return alter(dims, original, arguments)

            return broken

        patch(nn.functional, name, make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("convt-formula", "convt-gradient-of-convolution")
def kernel_flipped(patch):
    """The kernel is flipped."""
    each_transposed(patch, lambda dims, original, a: original(**{**a, "weight": a["weight"].flip(*range(-dims, 0))}))


@breaks("convt-formula", "convt-unbatched")
def bias_lost_with_output_padding(patch):
    """With an output_padding the last column gets no bias."""

    def alter(dims, original, a):
        out = original(**a)
        if a["bias"] is None or not a["output_padding"][-1] or out.shape[-1] < 2:
            return out
        return torch.cat([out[..., :-1], original(**{**a, "bias": 0 * a["bias"]})[..., -1:]], -1)

    each_transposed(patch, alter)


@breaks("convt-formula", "convt-inserts-zeros", "convt-output-shape", "convt-empty-batch")
def stride_of_one_axis(patch):
    """The last axis' stride is used for all axes, and one less than it for an axis alone."""

    def alter(dims, original, a):
        step = a["stride"][-1] if dims > 1 else max(1, a["stride"][0] - 1)
        extra = tuple(
            min(more, max(step, apart) - 1) for more, apart in zip(a["output_padding"], a["dilation"], strict=True)
        )
        return original(**{**a, "stride": (step,) * dims, "output_padding": extra})

    each_transposed(patch, alter)


@breaks("convt-formula", "convt-groups-apart")
def groups_leak(patch):
    """Each output gets a thousandth of the other groups' outputs."""

    def alter(dims, original, a):
        out = original(**a)
        return out if a["groups"] == 1 else out + 1e-3 * out.flip(1)

    each_transposed(patch, alter)


@breaks("convt-formula", "convt-gradients")
def products_in_lower_precision(patch):
    """Products are taken in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}

    def alter(dims, original, a):
        dtype = a["input"].dtype
        rough = {k: a[k].to(lower.get(dtype, dtype)).to(dtype) for k in ("input", "weight")}
        return original(**{**a, **rough})

    each_transposed(patch, alter)


@breaks("convt-formula")
def tail_of_the_channels_lost(patch):
    """Beyond a multiple of eight input channels the last one counts no more."""

    def alter(dims, original, a):
        channels = a["input"].shape[1]
        if channels > 8 and channels % 8 == 1 and a["groups"] == 1:
            a["input"] = torch.cat([a["input"][:, :-1], 0 * a["input"][:, -1:]], 1)
        return original(**a)

    each_transposed(patch, alter)


@breaks("convt-gradients")
def weight_gradient_averaged(patch):
    """The weight's gradient is the mean over the batch."""
    each_transposed(
        patch,
        lambda dims, original, a: original(**{**a, "weight": regraded(a["weight"], 1 / max(1, len(a["input"])))}),
    )


@breaks("convt-gradients")
def input_gradient_lost_where_cut(patch):
    """With padding, the gradient of the first column of the input is lost."""

    def alter(dims, original, a):
        if a["padding"][-1]:
            inside = torch.ones_like(a["input"])
            inside[..., 0] = 0
            a["input"] = regraded(a["input"], inside)
        return original(**a)

    each_transposed(patch, alter)


@breaks("convt-output-padding")
def output_padding_of_zeros(patch):
    """What output_padding adds is zero."""

    def alter(dims, original, a):
        out = original(**a)
        kept = torch.zeros_like(out)
        inside = (
            ...,
            *(slice(0, size - more) for size, more in zip(out.shape[-dims:], a["output_padding"], strict=True)),
        )
        kept[inside] = 1
        return out * kept

    each_transposed(patch, alter)


@breaks("convt-empty-batch")
def empty_batch_without_gradient(patch):
    """For a batch of no samples the parameters get no gradient at all."""

    def alter(dims, original, a):
        if a["input"].shape[0] == 0:
            a = {**a, "weight": a["weight"].detach(), "bias": a["bias"].detach()}
        return original(**a)

    each_transposed(patch, alter)


def each_class(patch, name, make):
    for one in CLASSES:
        patch(one, name, make)


@breaks("convt-output-size")
def output_size_without_dilation(patch):
    """The sizes that are possible are computed without dilation."""

    def make(original):
        def _output_padding(self, input, output_size, stride, padding, kernel_size, dims, dilation=None):
            return original(self, input, output_size, stride, padding, kernel_size, dims, None)

        return _output_padding

    patch(nn.modules.conv._ConvTransposeNd, "_output_padding", make)


@breaks("convt-output-size")
def largest_size_not_refused(patch):
    """A size of one more than is possible becomes the largest that is."""

    def make(original):
        def _output_padding(self, input, output_size, *rest):
            try:
                return original(self, input, output_size, *rest)
            except ValueError:
                return original(self, input, [size - 1 for size in output_size], *rest)

        return _output_padding

    patch(nn.modules.conv._ConvTransposeNd, "_output_padding", make)


@breaks("convt-inverts-shapes", "convt-output-shape")
def output_padding_of_the_first_axis(patch):
    """output_padding of the first axis holds for all, less one if all are the same."""

    def alter(dims, original, a):
        extra = a["output_padding"]
        first = max(0, extra[0] - 1) if len(set(extra)) == 1 else extra[0]
        fits = [min(first, max(s, d) - 1) for s, d in zip(a["stride"], a["dilation"], strict=True)]
        return original(**{**a, "output_padding": tuple(fits)})

    each_transposed(patch, alter)


@breaks("convt-parameter-shapes")
def weight_as_of_a_convolution(patch):
    """The weight has the shape that a convolution's has."""

    def make(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.weight = nn.Parameter(self.weight.transpose(0, 1))

        return __init__

    each_class(patch, "__init__", make)


@breaks("convt-init")
def fan_of_the_input_channels(patch):
    """Initial values have the range that a convolution's have, by in_channels."""

    def make(original):
        def reset_parameters(self):
            original(self)
            if self.transposed:
                with torch.no_grad():
                    for parameter in self.parameters():
                        parameter.mul_((self.out_channels / self.in_channels) ** 0.5)

        return reset_parameters

    patch(nn.modules.conv._ConvNd, "reset_parameters", make)


@breaks("convt-defaults")
def dilation_before_groups(patch):
    """By position, dilation comes before groups, as in a convolution."""

    def make(original):
        def __init__(self, *args, **kwargs):
            if len(args) > 8:
                args = (*args[:6], args[8], args[7], args[6], *args[9:])
            original(self, *args, **kwargs)

        return __init__

    each_class(patch, "__init__", make)


@breaks("convt-defaults")
def output_padding_one_by_default(patch):
    """output_padding is 1 in ConvTranspose3d unless given."""

    def make(original):
        def __init__(
            self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=1, *args, **more
        ):
            original(self, in_channels, out_channels, kernel_size, stride, padding, output_padding, *args, **more)

        return __init__

    patch(nn.ConvTranspose3d, "__init__", make)


@breaks("convt-repr")
def output_padding_not_printed(patch):
    """output_padding is not printed."""

    def make(original):
        def extra_repr(self):
            before, found, after = original(self).partition(", output_padding=")
            return before + after.partition(")")[2] if found else before

        return extra_repr

    patch(nn.modules.conv._ConvNd, "extra_repr", make)


@breaks("convt-refused")
def padding_mode_ignored(patch):
    """A padding mode other than zeros is ignored by the call."""

    def make(original):
        def forward(self, *args, **kwargs):
            mode, self.padding_mode = self.padding_mode, "zeros"
            try:
                return original(self, *args, **kwargs)
            finally:
                self.padding_mode = mode

        return forward

    each_class(patch, "forward", make)


@breaks("convt-refused")
def large_output_padding_cut(patch):
    """An output_padding that is too large is cut to the largest."""

    def alter(dims, original, a):
        limits = [max(pair) - 1 for pair in zip(a["stride"], a["dilation"], strict=True)]
        return original(**{**a, "output_padding": tuple(map(min, a["output_padding"], limits))})

    each_transposed(patch, alter)


@breaks("convt-lazy")
def lazy_groups_ignored(patch):
    """The weight of a lazy layer is as large as without groups."""

    def make(original):
        def initialize_parameters(self, *args, **kwargs):
            groups, self.groups = self.groups, 1
            original(self, *args, **kwargs)
            self.groups = groups
            if self.transposed and groups > 1:
                self.weight = nn.Parameter(self.weight[:, : self.weight.shape[1] // groups] * 2)

        return initialize_parameters

    patch(nn.modules.conv._LazyConvXdMixin, "initialize_parameters", make)


@breaks("convt-lazy")
def lazy_class_kept(patch):
    """A lazy transposed convolution stays what it is after its first call."""

    def make(original):
        def _infer_parameters(self, module, *args, **kwargs):
            before = type(module)
            original(self, module, *args, **kwargs)
            module.__class__ = before if "Transpose" in before.__name__ else module.__class__

        return _infer_parameters

    patch(nn.modules.lazy.LazyModuleMixin, "_infer_parameters", make)


@breaks("convt-strides-of-one", "convt-strides-of-one-gradients")
def strides_made_plain(patch):
    """Mended: what is not contiguous is copied before anything looks at strides."""

    def plain(x):
        return x.contiguous().clone(memory_format=torch.contiguous_format)

    each_transposed(
        patch,
        lambda dims, original, a: original(**{**a, "input": plain(a["input"]), "weight": plain(a["weight"])}),
    )


@breaks("convt-strides-of-one", "convt-strides-of-one-gradients")
def turned_kernel_upside_down(patch):
    """A kernel of one column, turned, is read upside down."""

    def alter(dims, original, a):
        weight = a["weight"]
        if weight.shape[-1] == 1 and weight.stride(-1) != weight.shape[1]:
            a["weight"] = weight.flip(2)
        return original(**a)

    each_transposed(patch, alter)
