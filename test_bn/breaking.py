"""What several of the room's faults share."""

import torch.nn.functional as F

DEFAULTS = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


def replace_batch_norm(patch, change):
    """Lets ``change(original, **arguments)`` stand for F.batch_norm."""

    def make(original):
        def batch_norm(input, running_mean, running_var, *args, **kwargs):
            arguments = DEFAULTS | dict(zip(DEFAULTS, args)) | kwargs  # noqa: B905 - fewer arguments than names
            return change(original, input=input, running_mean=running_mean, running_var=running_var, **arguments)

        return batch_norm

    patch(F, "batch_norm", make)


def count_per_channel(x):
    return x.numel() // x.shape[1]


def by_channel(values, x):
    return values.reshape((1, -1) + (1,) * (x.dim() - 2))
