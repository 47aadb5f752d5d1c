"""How what test_patterns.py decides could be broken."""

import torch
from torch.nn import init

from torchclaims import breaks


@breaks("init-constant")
def constant_is_rounded(patch):
    """constant_ rounds its value to half precision on the way."""

    def broken(original):
        return lambda tensor, val: original(tensor, torch.tensor(val).half().to(torch.bfloat16).item())

    patch(init, "constant_", broken)


@breaks("init-constant")
def ones_leaves_the_last_element(patch):
    """ones_ leaves out the last element of tensors with dimensions."""

    def broken(original):
        def ones_(tensor):
            last = tensor.flatten()[-1:].clone()
            original(tensor)
            with torch.no_grad():
                tensor[(-1,) * tensor.dim()] = last[0]
            return tensor

        return ones_

    patch(init, "ones_", broken)


@breaks("init-eye")
def eye_keeps_what_was_there(patch):
    """eye_ sets the diagonal and leaves the rest."""
    patch(init, "eye_", lambda original: lambda tensor: tensor.fill_diagonal_(1))


@breaks("init-eye")
def eye_wraps_around(patch):
    """The diagonal of a tall matrix begins again below the square."""
    patch(init, "eye_", lambda original: lambda tensor: original(tensor).fill_diagonal_(1, wrap=True))


@breaks("init-dirac", "init-dirac-identity")
def dirac_ignores_groups(patch):
    """dirac_ takes all output channels for one group."""
    patch(init, "dirac_", lambda original: lambda tensor, groups=1: original(tensor))


@breaks("init-dirac")
def dirac_centres_even_kernels_left(patch):
    """The centre of an even kernel is (size - 1) // 2."""

    def broken(original):
        def dirac_(tensor, groups=1):
            with torch.no_grad():
                even = [dim for dim in range(2, tensor.dim()) if tensor.size(dim) % 2 == 0]
                return tensor.copy_(
                    original(tensor, groups).roll([-1] * len(even), even) if even else original(tensor, groups)
                )

        return dirac_

    patch(init, "dirac_", broken)


@breaks("init-dirac-identity")
def same_padding_pads_the_left_more(patch):
    """padding='same' shifts the input by one column."""

    def broken(original):
        return lambda input, *args, **kwargs: original(input.roll(1, -1), *args, **kwargs)

    patch(torch.nn.functional, "conv2d", broken)
