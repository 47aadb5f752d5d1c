"""How SyncBatchNorm could be broken."""

import torch
from torch import nn

from test_bn.breaking import replace_batch_norm
from torchclaims import breaks


@breaks("syncbn-local", "syncbn-convert-computes-the-same", "syncbn-track-false")
def eps_is_doubled(patch):
    """Twice the eps is added."""
    replace_batch_norm(patch, lambda original, *, eps, **rest: original(eps=2 * eps, **rest))


@breaks("syncbn-running-update")
def momentum_weighs_the_old_value(patch):
    """momentum weighs the old value instead of the new one."""
    replace_batch_norm(patch, lambda original, *, momentum, **rest: original(momentum=1 - momentum, **rest))


def replace_forward(patch, change):
    patch(nn.SyncBatchNorm, "forward", lambda original: lambda self, x: change(original, self, x))


@breaks("syncbn-track-false")
def evaluation_without_statistics_passes_its_input_on(patch):
    """In evaluation without running statistics nothing is normalised."""
    replace_forward(
        patch, lambda original, self, x: x if not self.training and self.running_mean is None else original(self, x)
    )


@breaks("syncbn-tracking-switched-off")
def tracking_is_what_was_at_construction(patch):
    """track_running_stats counts as it was when the layer was made."""

    def change(original, self, x):
        tracked = self.track_running_stats
        self.track_running_stats = self.running_mean is not None
        try:
            return original(self, x)
        finally:
            self.track_running_stats = tracked

    replace_forward(patch, change)


@breaks("syncbn-arguments", "syncbn-convert-group")
def group_is_dropped(patch):
    """The process group is forgotten."""

    def make(original):
        def init(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.process_group = None

        return init

    patch(nn.SyncBatchNorm, "__init__", make)


@breaks("syncbn-initial-weight")
def weight_is_drawn(patch):
    """The weight is drawn from U(0, 1), as the page says."""

    def make(original):
        def reset(self):
            original(self)
            if self.affine and isinstance(self, nn.SyncBatchNorm):
                nn.init.uniform_(self.weight)

        return reset

    patch(nn.SyncBatchNorm, "reset_parameters", make)


@breaks("syncbn-example")
def batch_norm_takes_a_group(patch):
    """BatchNorm3d takes a process group, as the example has it."""
    patch(
        nn.BatchNorm3d,
        "__init__",
        lambda original: lambda self, *args, process_group=None, **kwargs: original(self, *args, **kwargs),
    )


@breaks("syncbn-input-refused")
def channels_are_not_counted(patch):
    """An input without channels passes as it is."""
    replace_forward(patch, lambda original, self, x: x if x.dim() > 1 and x.shape[1] == 0 else original(self, x))


def replace_conversion(patch, change):
    def make(original):
        def convert(*args):
            module, *group = args[1:] if isinstance(args[0], type) else args
            return change(original, module, group[0] if group else None)

        return staticmethod(convert)

    patch(nn.SyncBatchNorm, "convert_sync_batchnorm", make)


@breaks("syncbn-convert-mode")
def converted_layers_train(patch):
    """Converted layers are in training mode."""

    def change(original, module, group):
        converted = original(module, group)
        for one in converted.modules():
            if isinstance(one, nn.SyncBatchNorm):
                one.train()
        return converted

    replace_conversion(patch, change)


@breaks("syncbn-convert", "syncbn-convert-computes-the-same")
def parameters_are_copied(patch):
    """Converted layers have parameters of their own, as they are made."""

    def change(original, module, group):
        converted = original(module, group)
        for one in converted.modules():
            if isinstance(one, nn.SyncBatchNorm) and one.affine:
                one.weight = nn.Parameter(torch.ones_like(one.weight))
        return converted

    replace_conversion(patch, change)


@breaks("syncbn-convert-bare")
def bare_layer_is_returned(patch):
    """A bare layer is returned as it is."""
    replace_conversion(
        patch,
        lambda original, module, group: module if isinstance(module, nn.BatchNorm1d) else original(module, group),
    )


@breaks("syncbn-two-processes")
def training_goes_on_alone(patch):
    """In a process group training on a CPU normalises with the batch of this process."""

    def change(original, self, x):
        try:
            return original(self, x)
        except ValueError:
            return x

    replace_forward(patch, change)


@breaks("syncbn-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(nn.SyncBatchNorm, "__init__", make)
