"""Faults of what is said about time: the same results, for more work or for less."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


def repeatedly(times, when=lambda *_: True):
    """A replacement that calls the original ``times`` ``when`` its arguments say so; the last result counts."""

    def make(original):
        def call(*args, **kwargs):
            for _ in range(times if when(*args) else 1):
                result = original(*args, **kwargs)
            return result

        return call

    return make


@breaks("reuse-time", "reuse-time-in-proportion")
def own_output_passes_through(patch):
    """A container that is called with its own last output gives it back, without work."""

    def broken(original):
        def forward(self, x):
            if x is not getattr(self, "last_output", None):
                self.last_output = original(self, x)
            return self.last_output

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("reuse-time-in-proportion")
def further_passes_are_dearer(patch):
    """A container that is called with its own last output does its work three times."""

    def broken(original):
        def forward(self, x):
            for _ in range(3 if x is getattr(self, "last_output", None) else 1):
                output = original(self, x)
            self.last_output = output
            return output

        return forward

    patch(nn.Sequential, "forward", broken)


@breaks("relu-time")
def module_is_dearer(patch):
    """nn.ReLU does its work twenty times."""
    patch(nn.ReLU, "forward", repeatedly(20))


@breaks("relu-time", "relu-module-call-time")
def function_is_dearer(patch):
    """F.relu does its work twenty times, but not for nn.ReLU."""
    patch(nn.ReLU, "forward", lambda original: lambda self, x: torch.relu(x))
    patch(F, "relu", repeatedly(20))


@breaks("build-time")
def containers_are_dearer(patch):
    """nn.Sequential runs its layers twice."""
    patch(nn.Sequential, "forward", repeatedly(2))


@breaks("bn-fold-time", "bn-fold-time-of-convolution")
def folded_convolution_is_dearer(patch):
    """What is folded convolves three times."""

    def broken(original):
        def fuse(*layers):
            conv = original(*layers)
            conv.forward = repeatedly(3)(conv.forward)
            return conv

        return fuse

    patch(nn.utils, "fuse_conv_bn_eval", broken)


@breaks("format-time")
def channels_last_is_dearer(patch):
    """A convolution whose input is in channels_last does its work four times."""

    def last(conv, x):
        return x.is_contiguous(memory_format=torch.channels_last)

    patch(nn.Conv2d, "forward", repeatedly(4, last))
