"""How reductions' names and weights could be broken."""

import torch.nn.functional as F
from torch import nn

from test_losses.common import called_with
from torchclaims import breaks


@breaks("loss-invalid-reduction")
def unknown_reduction_is_a_mean(patch):
    """An unknown reduction is taken for 'mean'."""
    names = ("l1_loss", "nll_loss", "cross_entropy", "gaussian_nll_loss", "kl_div", "huber_loss")

    def change(*args, reduction="mean", **k):
        return args, {"reduction": reduction if reduction in ("none", "mean", "sum", "batchmean") else "sum", **k}

    for name in names:
        called_with(patch, F, name, change)


@breaks("loss-weight-is-a-buffer")
def weight_is_a_plain_attribute(patch):
    """weight is a plain attribute."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            if isinstance(self, nn.modules.loss._Loss) and name == "weight":
                object.__setattr__(self, name, tensor)
            else:
                original(self, name, tensor, persistent)

        return register_buffer

    patch(nn.Module, "register_buffer", make)


@breaks("loss-weight-is-a-buffer")
def pos_weight_not_saved(patch):
    """pos_weight is a buffer that is not saved."""

    def make(original):
        def register_buffer(self, name, tensor, persistent=True):
            original(self, name, tensor, persistent and name != "pos_weight")

        return register_buffer

    patch(nn.Module, "register_buffer", make)
