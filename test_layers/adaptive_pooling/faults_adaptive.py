"""How what test_adaptive.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional


def _sizes(x, counts, dims):
    counts = (counts,) * dims if isinstance(counts, int) else tuple(counts)
    return tuple(size if count is None else count for size, count in zip(x.shape[-dims:], counts, strict=False))


def each_average(patch, alter):
    """Adaptive average pooling calls ``alter(dims, original, input, counts)``."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            return lambda input, output_size: alter(dims, original, input, _sizes(input, output_size, dims))

        patch(F, f"adaptive_avg_pool{dims}d", make)


def each_max(patch, alter):
    """Adaptive max pooling calls ``alter(dims, original, input, counts)``, which returns values and indices."""
    for dims in (1, 2, 3):

        def make(original, dims=dims):
            def pool(input, output_size, return_indices=False):
                both = alter(dims, lambda x, counts: original(x, counts, True), input, _sizes(input, output_size, dims))
                return both if return_indices else both[0]

            return pool

        patch(F, f"adaptive_max_pool{dims}d", make)


def regraded(tensor, factor):
    """``tensor`` itself, whose gradient is multiplied by ``factor``."""
    return tensor.detach() + (tensor - tensor.detach()) * factor


@breaks("adaptive-avg-values", "adaptive-output-shape")
def none_is_one(patch):
    """The counts of height and width are swapped."""
    each_average(patch, lambda dims, f, x, counts: f(x, counts[::-1]))


@breaks("adaptive-avg-values", "adaptive-avg-gradients", "adaptive-layouts")
def bins_do_not_overlap(patch):
    """The last bin of the last axis ends an element early where bins overlap: it ends at the floor."""

    def alter(dims, f, x, counts):
        size, count = x.shape[-1], counts[-1]
        if size % count == 0 or count < 2 or count > size:
            return f(x, counts)
        right = torch.cat([f(x, counts)[..., :-1], f(x[..., -(size // count) :], (*counts[:-1], 1))], -1)
        first = f(x[..., : size // count], (*counts[:-1], 1))
        return torch.cat([first, right[..., 1:]], -1)

    each_average(patch, alter)


@breaks("adaptive-avg-gradients")
def gradients_lost_at_the_end(patch):
    """The last column of the input gets no gradient."""

    def alter(dims, f, x, counts):
        inside = torch.ones_like(x)
        inside[..., -1:] = 0
        return f(regraded(x, inside), counts)

    each_average(patch, alter)


@breaks("adaptive-avg-values")
def global_mean_in_lower_precision(patch):
    """The mean of everything is taken in the next lower precision."""
    lower = {torch.float64: torch.float32, torch.float32: torch.bfloat16}

    def alter(dims, f, x, counts):
        return f(x.to(lower.get(x.dtype, x.dtype)).to(x.dtype) if set(counts) == {1} else x, counts)

    each_average(patch, alter)


@breaks("adaptive-max-values")
def nan_loses(patch):
    """A NaN loses against every number."""
    each_max(patch, lambda dims, f, x, counts: f(torch.nan_to_num(x, -torch.inf, torch.inf, -torch.inf), counts))


@breaks("adaptive-max-values")
def indices_within_the_bin(patch):
    """Indices count from the start of the bin in the last axis."""

    def alter(dims, f, x, counts):
        values, indices = f(x, counts)
        starts = torch.arange(counts[-1], device=x.device) * x.shape[-1] // counts[-1]
        return values, indices - starts

    each_max(patch, alter)


@breaks("adaptive-max-values", "adaptive-max-gradients", "adaptive-layouts")
def maxima_of_a_smaller_input(patch):
    """The last row is not looked at where the output is smaller."""

    def alter(dims, f, x, counts):
        if x.shape[-1] <= counts[-1] or not x.numel():
            return f(x, counts)
        return f(torch.cat([x[..., :-1], torch.full_like(x[..., -1:], -torch.inf)], -1), counts)

    each_max(patch, alter)


@breaks("adaptive-max-gradients")
def shared_maxima_get_one_gradient(patch):
    """The gradient of a maximum is halved in inputs of more than twenty elements."""
    each_max(patch, lambda dims, f, x, counts: f(regraded(x, 0.5 if x[0].numel() > 20 else 1.0), counts))


@breaks("adaptive-output-shape")
def none_is_forgotten(patch):
    """In three dimensions None counts as 1."""

    def make(original):
        def pool(input, output_size, return_indices=False):
            sizes = output_size if isinstance(output_size, int) else [one or 1 for one in output_size]
            return original(input, sizes, return_indices)

        return pool

    patch(F, "adaptive_max_pool3d", make)


@breaks("adaptive-layouts")
def strided_inputs_read_on(patch):
    """Inputs with gaps or moved axes are read as if they were contiguous."""

    def alter(dims, f, x, counts):
        if x.is_contiguous() or 0 in x.stride():
            return f(x, counts)
        return f(x.as_strided(x.shape, torch.empty(x.shape).stride(), x.storage_offset()), counts)

    each_average(patch, alter)


@breaks("adaptive-layouts")
def gradient_of_an_expanded_input(patch):
    """An expanded input gets its gradient halved."""

    def alter(dims, f, x, counts):
        return f(regraded(x, 0.5) if 0 in x.stride() else x, counts)

    each_max(patch, alter)
