"""How memory formats could be broken, or mended."""

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks

LAST = torch.channels_last


def around(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def first(tensor):
    return tensor.contiguous() if isinstance(tensor, torch.Tensor) else tensor


@breaks("format-strides", "format-rank")
def contiguous_ignores_its_format(patch):
    """Tensor.contiguous takes any format for the ordinary one."""
    patch(torch.Tensor, "contiguous", around(lambda original, self, memory_format=None: original(self)))


@breaks("format-strides", "format-rank")
def a_clone_ignores_its_format(patch):
    """Tensor.clone takes any format for the ordinary one."""
    patch(
        torch.Tensor,
        "clone",
        around(
            lambda original, self, memory_format=None: original(self).contiguous() if memory_format else original(self)
        ),
    )


@breaks("format-ambiguous")
def one_channel_is_copied(patch):
    """Tensor.contiguous copies a tensor with one channel."""

    @around
    def contiguous(original, self, memory_format=torch.contiguous_format):
        result = original(self, memory_format=memory_format)
        small = self.dim() in (4, 5) and (self.size(1) == 1 or self[0, 0].numel() == 1)
        return result.clone() if small else result

    patch(torch.Tensor, "contiguous", contiguous)


@breaks("format-preserve-dense")
def a_clone_is_contiguous(patch):
    """Tensor.clone forgets the strides of any other order than that of channels_last."""

    @around
    def clone(original, self, **kwargs):
        known = self.dim() == 4 and self.is_contiguous(memory_format=LAST)
        return original(self, **kwargs) if known or kwargs else original(self).contiguous()

    patch(torch.Tensor, "clone", clone)


@breaks("format-preserve-gaps")
def gaps_make_copies_contiguous(patch):
    """Tensor.clone makes a contiguous copy of a tensor with gaps, as is said."""

    @around
    def clone(original, self, **kwargs):
        size = sum((n - 1) * s for n, s in zip(self.shape, self.stride(), strict=True)) + 1
        return original(self, **kwargs) if size == self.numel() else original(self).contiguous()

    patch(torch.Tensor, "clone", clone)


@breaks("format-values", "format-conv")
def pooling_and_convolution_return_contiguous_outputs(patch):
    """Convolutions and pooling return contiguous outputs."""
    for name in ("conv2d", "max_pool2d", "avg_pool2d", "conv_transpose2d"):
        patch(F, name, around(lambda original, *args, **kwargs: original(*args, **kwargs).contiguous()))


@breaks("format-values")
def the_last_channel_is_another(patch):
    """Average pooling and convolution in channels_last see the first channel in the place of the last one."""

    @around
    def wrong(original, x, *args, **kwargs):
        if x.size(1) > 1 and not x.is_contiguous():
            x = torch.cat([x[:, :-1], x[:, :1]], 1).contiguous(memory_format=LAST)
        return original(x, *args, **kwargs)

    for name in ("conv2d", "avg_pool2d", "batch_norm"):
        patch(F, name, wrong)


@breaks("format-conv")
def the_weight_does_not_count(patch):
    """A convolution's output takes the format of its input."""

    @around
    def conv2d(original, x, *args, **kwargs):
        out = original(x, *args, **kwargs)
        return out if not x.is_contiguous() else out.contiguous()

    patch(F, "conv2d", conv2d)


@breaks("format-pointwise")
def relu_is_contiguous(patch):
    """relu returns a contiguous tensor."""
    for owner, name in ((F, "relu"), (torch, "where"), (torch, "cat")):
        patch(owner, name, around(lambda original, *args, **kwargs: first(original(*args, **kwargs))))


@breaks("format-convert-2d")
def only_children_are_converted(patch):
    """convert_conv2d_weight_memory_format converts every weight of four dimensions."""
    patch(nn.utils, "convert_conv2d_weight_memory_format", around(lambda original, m, f: more_than(m, f, original)))


def more_than(module, memory_format, original):
    for one in module.parameters():
        if one.dim() == 4:
            one.data = one.data.contiguous(memory_format=memory_format)
    return original(module, memory_format)


@breaks("format-convert-3d")
def transposed_ones_are_left_out(patch):
    """convert_conv3d_weight_memory_format passes over ConvTranspose3d."""

    @around
    def convert(original, module, memory_format):
        kept = [(one, one.weight.data) for one in module.modules() if isinstance(one, nn.ConvTranspose3d)]
        original(module, memory_format)
        for one, weight in kept:
            one.weight.data = weight
        return module

    if hasattr(nn.utils, "convert_conv3d_weight_memory_format"):
        patch(nn.utils, "convert_conv3d_weight_memory_format", convert)
    else:
        patch(nn.utils, "convert_conv2d_weight_memory_format", convert)


@breaks("format-load")
def loading_takes_strides(patch):
    """load_state_dict gives a weight the strides of the state."""

    @around
    def load_state_dict(original, self, state, *args, **kwargs):
        result = original(self, state, *args, **kwargs)
        for name, one in self.named_parameters():
            if not kwargs and one.dim() == 4:
                one.data = state[name].clone()
        return result

    patch(nn.Module, "load_state_dict", load_state_dict)


@breaks("format-load-assign")
def assigning_copies(patch):
    """assign=True copies into the module's own tensors."""

    @around
    def load_state_dict(original, self, state, strict=True, assign=False):
        return original(self, state, strict)

    patch(nn.Module, "load_state_dict", load_state_dict)


@breaks("format-kept")
def saving_makes_contiguous(patch):
    """torch.save saves contiguous tensors."""

    @around
    def save(original, state, *args, **kwargs):
        original({name: value.contiguous() for name, value in state.items()}, *args, **kwargs)

    patch(torch, "save", save)
