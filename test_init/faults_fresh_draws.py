"""How what test_fresh_draws.py decides could be broken."""

import torch
from torch.nn import init

from test_init.breaking import CONVOLUTION, then
from torchclaims import breaks


@breaks("init-fresh-draws", "init-seed")
def layers_seed_themselves(patch):
    """Each layer is drawn from a fixed seed."""

    def broken(original):
        def kaiming_uniform_(*args, **kwargs):
            torch.manual_seed(0)
            return original(*args, **kwargs)

        return kaiming_uniform_

    patch(init, "kaiming_uniform_", broken)


@breaks("init-fresh-draws")
def draws_are_used_twice(patch):
    """The second half of a weight repeats the first with the other sign."""

    def repeat(tensor):
        half = tensor.size(0) // 2
        tensor[half : 2 * half] = -tensor[:half]

    patch(init, "kaiming_uniform_", then(repeat))


@breaks("init-fresh-draws")
def biases_come_in_pairs(patch):
    """Every second bias of a convolution is that of the channel before."""
    patch(
        CONVOLUTION,
        "reset_parameters",
        then(lambda conv: conv.bias is not None and conv.bias[1::2].copy_(conv.bias[:-1:2])),
    )


@breaks("init-fresh-draws")
def neighbours_are_correlated(patch):
    """Tensor.normal_ gives neighbours a correlation of 0.14, and every element the right distribution."""

    def broken(original):
        def normal_(tensor, mean=0.0, std=1.0, **kwargs):
            original(tensor, 0.0, std, **kwargs)
            with torch.no_grad():
                return tensor.copy_(0.98**0.5 * tensor + 0.02**0.5 * tensor.roll(1, -1)).add_(mean)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-fresh-draws")
def remainder_repeats_a_vector(patch):
    """What is left over after whole vectors of sixteen repeats the last of them."""

    def make(original):
        def normal_(self, *args, **kwargs):
            original(self, *args, **kwargs)
            rest = self.numel() % 16
            if self.numel() > 16 and rest and self.is_contiguous():
                self.data.view(-1)[-rest:] = self.data.view(-1)[-rest - 16 : -16].clone()
            return self

        return normal_

    patch(torch.Tensor, "normal_", make)
