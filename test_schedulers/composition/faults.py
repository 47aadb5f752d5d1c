"""How schedulers made of schedulers could be broken."""

from torch.optim.lr_scheduler import ChainedScheduler, ReduceLROnPlateau, SequentialLR

from test_schedulers.common import around, rates_of, set_rates, with_attribute
from torchclaims import breaks


@breaks("lr-sequential")
def sequence_switches_one_epoch_late(patch):
    """SequentialLR steps the old scheduler once more at a milestone."""
    patch(SequentialLR, "step", with_attribute("_milestones", lambda epochs: [epoch + 1 for epoch in epochs]))


@breaks("lr-sequential")
def sequence_goes_on_from_the_last_rate(patch):
    """SequentialLR does not return to the base rate at a milestone."""

    @around
    def step(original, self):
        before = rates_of(self.optimizer)
        original(self)
        if self.last_epoch in self._milestones:
            set_rates(self.optimizer, before)

    patch(SequentialLR, "step", step)


@breaks("lr-sequential-arguments")
def superfluous_milestones_are_dropped(patch):
    """SequentialLR cuts its milestones to the number that it needs."""

    @around
    def __init__(original, self, optimizer, schedulers, milestones, **kwargs):
        original(self, optimizer, schedulers, milestones[: len(schedulers) - 1], **kwargs)

    patch(SequentialLR, "__init__", __init__)


@breaks("lr-chained")
def chain_steps_its_ends_only(patch):
    """ChainedScheduler steps the first and the last of its schedulers."""

    @around
    def step(original, self):
        for scheduler in (self._schedulers[0], self._schedulers[-1]):
            scheduler.step()
        self._last_lr = rates_of(self.optimizer)

    patch(ChainedScheduler, "step", step)


@breaks("lr-chained-optimizer")
def chain_takes_several_optimizers(patch):
    """ChainedScheduler does not compare the optimizers of its schedulers."""

    @around
    def __init__(original, self, schedulers, *args):
        original(self, schedulers[:1], *args)
        self._schedulers = list(schedulers)

    patch(ChainedScheduler, "__init__", __init__)


@breaks("lr-composition-refuses")
def plateau_is_left_out(patch):
    """ChainedScheduler silently leaves a ReduceLROnPlateau out."""

    @around
    def __init__(original, self, schedulers, *args):
        original(self, [one for one in schedulers if not isinstance(one, ReduceLROnPlateau)], *args)

    patch(ChainedScheduler, "__init__", __init__)
