"""How folding, and taking the statistics anew, could be broken."""

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import fusion

from torchclaims import breaks


@breaks("bn-fold-convolution", "bn-fold-transposed")
def running_mean_is_added(patch):
    """The running mean is added where it should be subtracted."""
    patch(
        fusion,
        "fuse_conv_bn_weights",
        lambda original: (
            lambda w, b, mean, variance, eps, bn_w, bn_b, *rest, **more: original(
                w, b, -mean, variance, eps, bn_w, bn_b, *rest, **more
            )
        ),
    )


@breaks("bn-fold-convolution", "bn-fold-makes-a-new-layer")
def eps_is_left_out_and_gradients_are_off(patch):
    """eps is left out, and no fused weight needs a gradient."""

    def make(original):
        def fuse(w, b, mean, variance, eps, *rest, **more):
            return tuple(
                nn.Parameter(one, requires_grad=False) for one in original(w, b, mean, variance, 0.0, *rest, **more)
            )

        return fuse

    patch(fusion, "fuse_conv_bn_weights", make)


@breaks("bn-fold-traffic")
def folded_layer_still_normalises(patch):
    """What is folded normalises too, by a mean of 0 and a variance of 1."""

    def make(original):
        def fuse(conv, bn, transpose=False):
            fused = original(conv, bn, transpose)
            zeros, ones = torch.zeros_like(bn.running_mean), torch.ones_like(bn.running_var)
            fused.register_forward_hook(lambda layer, args, y: nn.functional.batch_norm(y, zeros, ones, eps=1e-30))
            return fused

        return fuse

    patch(fusion, "fuse_conv_bn_eval", make)


@breaks("bn-fold-traffic")
def normalisation_works_in_two_steps(patch):
    """In evaluation the normalisation subtracts the mean in a pass of its own."""

    def make(original):
        def batch_norm(x, mean, *args, **kwargs):
            centred = x - mean.reshape(-1, *[1] * (x.dim() - 2))
            return original(centred, torch.zeros_like(mean), *args, **kwargs)

        return batch_norm

    patch(nn.functional, "batch_norm", make)


@breaks("bn-fold-transposed-groups")
def groups_are_folded(patch):
    """The scale is laid out by groups, as it should be."""

    def make(original):
        def fuse(conv, bn, transpose=False):
            if not transpose or conv.groups == 1:
                return original(conv, bn, transpose)
            fused = copy.deepcopy(conv)
            scale = bn.weight / (bn.running_var + bn.eps).sqrt()
            size = conv.in_channels // conv.groups
            by_group = scale.reshape(conv.groups, 1, -1).expand(-1, size, -1).flatten(0, 1)
            fused.weight = nn.Parameter(conv.weight * by_group[..., None, None])
            fused.bias = nn.Parameter((conv.bias - bn.running_mean) * scale + bn.bias)
            return fused

        return fuse

    patch(fusion, "fuse_conv_bn_eval", make)


def linear_with(change):
    def make(original):
        def fuse(w, b, mean, variance, eps, bn_w, bn_b):
            return original(*change(w, b, mean, variance, eps, bn_w, bn_b))

        return fuse

    return make


@breaks("bn-fold-linear", "bn-fold-one-feature")
def variance_is_doubled(patch):
    """The running variance is doubled."""
    patch(fusion, "fuse_linear_bn_weights", linear_with(lambda w, b, m, v, *rest: (w, b, m, 2 * v, *rest)))


@breaks("bn-fold-linear-without-affine")
def missing_parameters_are_filled_in(patch):
    """A missing weight is taken for ones and a missing bias for zeros, as they should be."""

    def fill(w, b, mean, variance, eps, bn_w, bn_b):
        bn_w = torch.ones_like(mean) if bn_w is None else bn_w
        return w, b, mean, variance, eps, bn_w, torch.zeros_like(mean) if bn_b is None else bn_b

    patch(fusion, "fuse_linear_bn_weights", linear_with(fill))


@breaks("bn-fold-makes-a-new-layer")
def the_layer_itself_is_changed(patch):
    """The layer that was given is changed and returned."""

    def make(original):
        def fuse(layer, bn):
            fused = original(layer, bn)
            layer.weight.data.copy_(fused.weight.data)
            return layer

        return fuse

    patch(fusion, "fuse_linear_bn_eval", make)


@breaks("bn-fold-refuses")
def training_normalisation_is_folded(patch):
    """A normalisation in training is refused in other words."""

    def make(original):
        def fuse(layer, bn, *args, **kwargs):
            try:
                return original(layer, bn, *args, **kwargs)
            except AssertionError:
                raise AssertionError("no") from None

        return fuse

    patch(fusion, "fuse_conv_bn_eval", make)


@breaks("bn-update-averages", "bn-update-first-element")
def momentum_stays(patch):
    """Each batch is weighed by 0.4, whatever update_bn sets."""

    def make(original):
        def forward(self, x):
            kept = self.momentum
            self.momentum = 0.4 if kept is None else kept
            try:
                return original(self, x)
            finally:
                self.momentum = kept

        return forward

    patch(_BatchNorm, "forward", make)


@breaks("bn-update-averages")
def statistics_are_not_reset(patch):
    """update_bn goes on from the statistics that are there."""
    patch(_BatchNorm, "reset_running_stats", lambda original: lambda self: None)


@breaks("bn-update-leaves-the-rest")
def mode_is_left_in_training(patch):
    """A model with normalisation cannot leave training."""

    def make(original):
        def train(self, mode=True):
            return (
                original(self, True)
                if any(isinstance(one, _BatchNorm) for one in self.modules())
                else original(self, mode)
            )

        return train

    patch(nn.Module, "train", make)
