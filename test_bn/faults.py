"""How batch normalisation could be broken."""

import torch

from torchclaims import breaks


@breaks("bn-running-mean-momentum", "bn-running-var-unbiased")
def momentum_weighs_the_old_value(patch):
    """momentum weighs the old value instead of the new one."""

    def broken(original):
        def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            return original(input, running_mean, running_var, weight, bias, training, 1 - momentum, eps)

        return batch_norm

    patch(torch.nn.functional, "batch_norm", broken)
