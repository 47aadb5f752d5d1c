"""How averaging, and the schedule that goes with it, could be broken or mended."""

import math

import torch
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import swa_utils
from torch.optim.swa_utils import SWALR, AveragedModel

from test_schedulers.common import around, set_rates, with_attribute
from torchclaims import breaks


@breaks("swa-schedule")
def annealing_takes_an_epoch_more(patch):
    """SWALR takes anneal_epochs + 1 epochs."""
    patch(SWALR, "get_lr", with_attribute("anneal_epochs", lambda epochs: epochs + 1))


@breaks("swa-schedule")
def the_cosine_is_a_quarter(patch):
    """SWALR anneals along a sine instead of half a cosine wave."""
    patch(SWALR, "_cosine_anneal", lambda original: lambda t: math.sin(math.pi / 2 * t))


@breaks("swa-schedule-late")
def annealing_begins_at_the_base_rate(patch):
    """SWALR anneals from the group's initial rate."""

    @around
    def get_lr(original, self):
        step = min(1.0, (self._step_count - 1) / max(1, self.anneal_epochs))
        alpha = self.anneal_func(step)
        return [group["swa_lr"] * alpha + group["initial_lr"] * (1 - alpha) for group in self.optimizer.param_groups]

    patch(SWALR, "get_lr", get_lr)


@breaks("swa-arguments")
def arguments_are_made_to_fit(patch):
    """SWALR takes a negative number of epochs for none and an unknown strategy for the linear one."""

    @around
    def __init__(original, self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        strategy = anneal_strategy if anneal_strategy == "cos" else "linear"
        original(self, optimizer, swa_lr, max(0, int(anneal_epochs)), strategy, last_epoch)

    patch(SWALR, "__init__", __init__)


@breaks("swa-argument-names")
def the_documented_names_are_taken(patch):
    """SWALR takes its arguments by the names that its page gives them."""
    names = {"swa_lrs": "swa_lr", "annealing_epochs": "anneal_epochs", "annealing_strategy": "anneal_strategy"}

    @around
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **{names.get(key, key): value for key, value in kwargs.items()})

    patch(SWALR, "__init__", __init__)


@breaks("swa-state")
def the_strategy_is_the_builders(patch):
    """load_state_dict of SWALR goes on along the curve that it was built with."""

    @around
    def load_state_dict(original, self, state):
        curve = self.anneal_func
        original(self, state)
        self.anneal_func = curve

    patch(SWALR, "load_state_dict", load_state_dict)


@breaks("swa-last-epoch")
def the_count_of_steps_is_restored(patch):
    """SWALR built with last_epoch = t keeps the rate that it finds, and counts the steps from there."""

    @around
    def __init__(original, self, optimizer, *args, last_epoch=-1, **kwargs):
        before = [group["lr"] for group in optimizer.param_groups]
        original(self, optimizer, *args, last_epoch=last_epoch, **kwargs)
        if last_epoch >= 0:
            set_rates(optimizer, before)
            self._step_count = self.last_epoch + 1

    patch(SWALR, "__init__", __init__)


@breaks("averaged-copy")
def the_model_itself_is_kept(patch):
    """AveragedModel keeps the model instead of a copy."""

    @around
    def __init__(original, self, model, *args, **kwargs):
        original(self, model, *args, **kwargs)
        self.module = model

    patch(AveragedModel, "__init__", __init__)


@breaks("averaged-equal-weights", "averaged-exponential", "averaged-custom")
def the_first_update_is_averaged(patch):
    """The first update averages with the parameters at construction."""

    @around
    def update_parameters(original, self, model):
        first = self.n_averaged.item() == 0
        if first:
            self.n_averaged += 1
        original(self, model)

    patch(AveragedModel, "update_parameters", update_parameters)


@breaks("averaged-equal-weights-functions")
def the_number_is_a_python_one(patch):
    """get_swa_multi_avg_fn takes the number for a Python integer, whose inverse is not rounded to float32."""

    def make(original):
        def get():
            update = original()
            return lambda averages, parameters, number: update(averages, parameters, int(number))

        return get

    patch(swa_utils, "get_swa_multi_avg_fn", make)


@breaks("averaged-equal-weights-functions")
def the_number_has_the_new_one(patch):
    """The functions of the equal average divide by one too many."""

    def make(original):
        def get():
            update = original()
            return lambda average, parameter, number: update(average, parameter, number + 1)

        return get

    for name in ("get_swa_avg_fn", "get_swa_multi_avg_fn"):
        patch(swa_utils, name, make)


@breaks("averaged-equal-weights")
def the_fourth_counts_twice(patch):
    """From the fourth update on each new model has more than its share."""

    @around
    def update_parameters(original, self, model):
        late = int(self.n_averaged.item() >= 3)
        self.n_averaged -= late
        original(self, model)
        self.n_averaged += late

    patch(AveragedModel, "update_parameters", update_parameters)


@breaks("averaged-exponential")
def decay_is_a_hundredth_by_default(patch):
    """The default decay is 0.99."""
    for name in ("get_ema_avg_fn", "get_ema_multi_avg_fn"):
        patch(swa_utils, name, lambda original: lambda decay=0.99: original(decay))


@breaks("averaged-exponential")
def decay_weighs_the_new_parameter(patch):
    """get_ema_multi_avg_fn gives the new parameter the weight decay."""
    patch(swa_utils, "get_ema_multi_avg_fn", lambda original: lambda decay=0.999: original(1 - decay))


@breaks("averaged-decay-range")
def decay_is_clipped(patch):
    """A decay above 1 is taken for 1."""
    for name in ("get_ema_avg_fn", "get_ema_multi_avg_fn"):
        patch(swa_utils, name, lambda original: lambda decay=0.999: original(min(decay, 1.0)))


@breaks("averaged-custom")
def the_number_is_one_too_large(patch):
    """avg_fn and multi_avg_fn get the number of models with the new one."""

    @around
    def update_parameters(original, self, model):
        before = self.n_averaged.item()
        self.n_averaged += int(before > 0)
        original(self, model)
        self.n_averaged -= int(before > 0)

    patch(AveragedModel, "update_parameters", update_parameters)


@breaks("averaged-buffers")
def buffers_are_left_alone(patch):
    """Buffers stay as they were at construction unless they are averaged."""

    @around
    def update_parameters(original, self, model):
        before = [buffer.clone() for buffer in self.module.buffers()]
        original(self, model)
        if not self.use_buffers:
            for buffer, value in zip(self.module.buffers(), before, strict=True):
                buffer.copy_(value)

    patch(AveragedModel, "update_parameters", update_parameters)


@breaks("averaged-buffers")
def averaged_buffers_are_copies(patch):
    """use_buffers=True copies buffers as use_buffers=False does."""

    @around
    def update_parameters(original, self, model):
        original(self, model)
        for buffer, value in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(value)

    patch(AveragedModel, "update_parameters", update_parameters)


@breaks("averaged-integer-buffers")
def integers_are_averaged_by_truncation(patch):
    """get_swa_multi_avg_fn averages integers as get_swa_avg_fn does."""

    def make(original):
        def get():
            update = original()

            @torch.no_grad()
            def swa_update(averages, parameters, number):
                if averages[0].is_floating_point():
                    return update(averages, parameters, number)
                for average, parameter in zip(averages, parameters, strict=True):
                    average.copy_(average + (parameter - average) / (number + 1))
                return None

            return swa_update

        return get

    patch(swa_utils, "get_swa_multi_avg_fn", make)


@breaks("update-bn")
def old_statistics_are_kept(patch):
    """update_bn goes on from the statistics that are there."""

    @around
    def update_bn(original, loader, model, *args):
        patched = _NormBase.reset_running_stats
        _NormBase.reset_running_stats = lambda self: None
        try:
            original(loader, model, *args)
        finally:
            _NormBase.reset_running_stats = patched

    patch(swa_utils, "update_bn", update_bn)


@breaks("update-bn")
def the_model_stays_in_training(patch):
    """update_bn leaves the model in training mode."""

    @around
    def update_bn(original, loader, model, *args):
        original(loader, model, *args)
        model.train()

    patch(swa_utils, "update_bn", update_bn)


@breaks("update-bn-batches")
def the_last_batch_is_dropped(patch):
    """update_bn leaves out the last batch, and asks the loader first."""
    patch(
        swa_utils, "update_bn", around(lambda original, loader, model, *args: original(list(loader)[:-1], model, *args))
    )
