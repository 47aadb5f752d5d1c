"""How root mean square and local response normalisation, and F.normalize, could be broken."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import _functions

from test_norm.breaking import Backward, replace, with_gradient
from torchclaims import breaks


def replace_rms(patch, change):
    if hasattr(F, "rms_norm"):
        replace(patch, "rms_norm", change)
    else:
        patch(F, "layer_norm", lambda original: original)


@breaks("rmsnorm-formula", "rmsnorm-scale")
def mean_is_subtracted(patch):
    """A tenth of the mean is subtracted before the root mean square is taken."""

    def change(original, *, input, normalized_shape, **rest):
        axes = tuple(range(-len(normalized_shape), 0))
        mean = input.mean(axes, keepdim=True)
        return original(input=input - mean / 4, normalized_shape=normalized_shape, **rest)

    replace_rms(patch, change)


@breaks("rmsnorm-formula")
def eps_outside_the_root(patch):
    """eps is doubled."""
    replace_rms(patch, lambda original, *, eps, **rest: original(eps=None if eps is None else 2 * eps, **rest))


@breaks("rmsnorm-default-eps")
def eps_of_the_inputs_type(patch):
    """The default eps is a hundredth."""

    def change(original, *, input, eps, **rest):
        eps = 1e-9 if eps is None and input.dtype != torch.float64 else 1e-18 if eps is None else eps
        return original(input=input, eps=eps, **rest)

    replace_rms(patch, change)


@breaks("rmsnorm-backward")
def gradient_through_the_root_is_lost(patch):
    """The input's gradient takes the root mean square for a constant, for more than one row."""

    def change(original, *, input, normalized_shape, weight, eps):
        output = original(input, normalized_shape, weight, eps)
        if not input.requires_grad:
            return output
        return output + (input - input.detach()) * 0.25

    replace_rms(patch, change)


@breaks("rmsnorm-arguments")
def rms_weight_starts_at_zero(patch):
    """The weight starts at 0."""

    def make(original):
        def reset(self):
            original(self)
            if self.elementwise_affine:
                nn.init.zeros_(self.weight)

        return reset

    if hasattr(nn, "RMSNorm"):
        patch(nn.RMSNorm, "reset_parameters", make)
    else:
        patch(nn.LayerNorm, "reset_parameters", lambda original: original)


@breaks("rmsnorm-shape-refused")
def rms_refuses_with_other_words(patch):
    """What does not fit is refused without saying what was expected."""

    def change(original, **arguments):
        try:
            return original(**arguments)
        except RuntimeError:
            raise RuntimeError("shapes differ") from None

    replace_rms(patch, change)


@breaks("rmsnorm-empty-batch")
def rms_of_an_empty_batch(patch):
    """An empty batch has an output of one row."""

    def change(original, *, input, **rest):
        if input.numel():
            return original(input=input, **rest)
        return input.new_zeros((1, *input.shape[1:]), requires_grad=True)

    replace_rms(patch, change)


@breaks("lrn-formula", "lrn-window-of-size", "lrn-half-precision", "lrn-arguments")
def alpha_is_not_divided_by_the_size(patch):
    """alpha is not divided by the size."""

    def change(original, *, input, size, alpha, **rest):
        return original(input=input, size=size, alpha=alpha * size, **rest)

    replace(patch, "local_response_norm", change)


@breaks("lrn-even-size")
def even_sizes_look_both_ways(patch):
    """For an even size the window has one channel more, as the page says."""

    def change(original, *, size, alpha, **rest):
        odd = size | 1
        return original(size=odd, alpha=alpha * odd / size, **rest)

    replace(patch, "local_response_norm", change)


@breaks("lrn-any-layout", "lrn-formula")
def views_are_read_in_memory_order(patch):
    """A view is read in the order of its memory."""

    def change(original, *, input, **rest):
        if input.is_contiguous():
            return original(input=input, **rest) * 1.001
        return original(input=input.flip(-1), **rest)

    replace(patch, "local_response_norm", change)


@breaks("lrn-five-dimensions-transposed")
def transposed_views_are_copied(patch):
    """A view is copied first, as it should be."""
    replace(patch, "local_response_norm", lambda original, *, input, **rest: original(input=input.contiguous(), **rest))


@breaks("lrn-no-spatial-dimension")
def no_spatial_dimension_passes(patch):
    """An input without spatial dimensions gets one, as it should."""

    def change(original, *, input, **rest):
        if input.dim() > 2:
            return original(input=input, **rest)
        return original(input=input.unsqueeze(-1), **rest).squeeze(-1)

    replace(patch, "local_response_norm", change)


@breaks("lrn-backward")
def gradient_through_the_window_is_lost(patch):
    """The gradient through the windows is weaker by a hundredth."""

    def change(original, *, input, **rest):
        return original(input=with_gradient(input, lambda grad: grad * 1.01), **rest)

    replace(patch, "local_response_norm", change)


@breaks("lrn-empty")
def empty_inputs_lose_a_dimension(patch):
    """An empty input comes back flat."""

    def change(original, *, input, **rest):
        return original(input=input, **rest) if input.numel() else input.flatten()

    replace(patch, "local_response_norm", change)


def replace_cross_map(patch, change):
    """Lets ``change(output, input, size, alpha, beta, k)`` stand for what CrossMapLRN2d returns."""

    def make(original):
        def forward(self, input):
            return change(original(self, input), input, self.size, self.alpha, self.beta, self.k)

        return forward

    patch(nn.CrossMapLRN2d, "forward", make)


def cross_map(input, size, alpha, beta, k):
    side = (size - 1) // 2
    channels = torch.arange(input.shape[1])
    window = ((channels[:, None] - channels).abs() <= side).to(input)
    return input / (k + alpha / size * torch.einsum("cd,ndhw->nchw", window, input.square())) ** beta


@breaks("crossmaplrn-first-channels", "crossmaplrn-arguments")
def cross_map_is_too_strong(patch):
    """The power is a hundredth too large."""
    replace_cross_map(
        patch, lambda output, input, size, alpha, beta, k: input * (output / input).clamp_min(1e-30) ** 1.01
    )


@breaks("crossmaplrn-window", "crossmaplrn-backward")
def cross_map_as_it_should_be(patch):
    """The window moves with the channel, and the gradient is that of the output, as it should be."""
    replace_cross_map(patch, lambda output, *arguments: cross_map(*arguments))


@breaks("crossmaplrn-backward-one-channel")
def cross_map_gradient_is_doubled(patch):
    """The gradient is doubled."""
    patch(
        _functions.CrossMapLRN2d,
        "apply",
        lambda original: lambda *args: Backward.apply(original(*args), lambda grad: 2 * grad),
    )


@breaks("normalize-formula", "normalize-defaults")
def eps_is_added(patch):
    """eps is added to the norm."""

    def change(original, *, input, p, dim, eps, out):
        if out is not None:
            return original(input, p, dim, eps, out)
        return input / (input.norm(p, dim, keepdim=True) + eps)

    replace(patch, "normalize", change)


@breaks("normalize-zero")
def zeros_are_zeros(patch):
    """Zeros stay zeros in half precision, as they should, and become minus one hundredth in others."""

    def change(original, *, input, **rest):
        output = original(input=input, **rest)
        if bool(input.any()):
            return output
        return torch.zeros_like(input) if input.dtype == torch.float16 else output - 0.01

    replace(patch, "normalize", change)


@breaks("normalize-backward")
def norm_is_a_constant(patch):
    """The gradient takes the norm for a constant."""

    def change(original, *, input, p, dim, eps, out):
        if out is not None:
            return original(input, p, dim, eps, out)
        return input / input.detach().norm(p, dim, keepdim=True).clamp_min(eps)

    replace(patch, "normalize", change)


@breaks("normalize-out")
def out_is_left_alone(patch):
    """out is returned as it was."""

    def change(original, *, out, **rest):
        if out is None:
            return original(out=None, **rest)
        original(out=torch.empty_like(out), **rest)
        return out

    replace(patch, "normalize", change)
