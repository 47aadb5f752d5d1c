"""How what test_corners.py decides could be broken, or mended."""

from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, SequentialLR

from test_schedulers.common import around, rates_of, set_rates
from torchclaims import breaks


@breaks("lr-sequential-nested")
def a_sequence_of_one_steps_nothing(patch):
    """SequentialLR of a single composed scheduler begins at the rates that this has, and passes steps on."""

    @around
    def __init__(original, self, optimizer, schedulers, milestones, last_epoch=-1):
        if len(schedulers) > 1 or not hasattr(schedulers[0], "_schedulers"):
            return original(self, optimizer, schedulers, milestones, last_epoch)
        self.optimizer, self._schedulers, self._milestones, self.last_epoch = optimizer, schedulers, milestones, 0
        self._last_lr = schedulers[0].get_last_lr()
        return None

    patch(SequentialLR, "__init__", __init__)


@breaks("lr-sequential-nested-later")
def a_nested_scheduler_begins_anew(patch):
    """SequentialLR lets a composed scheduler begin from the base rates at its milestone."""

    @around
    def step(original, self):
        if self.last_epoch + 1 not in self._milestones or not hasattr(self._schedulers[1], "_schedulers"):
            return original(self)
        self.last_epoch += 1
        set_rates(self.optimizer, [group["initial_lr"] for group in self.optimizer.param_groups])
        nested = self._schedulers[1]
        for one in nested._schedulers:
            one.last_epoch = -1
        first = nested._schedulers[: 1 if isinstance(nested, SequentialLR) else None]
        for one in first:
            one._initial_step()
        nested.last_epoch = 0
        self._last_lr = rates_of(self.optimizer)
        return None

    patch(SequentialLR, "step", step)


@breaks("lr-sequential-epochs")
def the_first_scheduler_begins_always(patch):
    """SequentialLR lets its first scheduler take epoch 0, also with a milestone there."""

    @around
    def __init__(original, self, optimizer, schedulers, *args, **kwargs):
        original(self, optimizer, schedulers, *args, **kwargs)
        if self._milestones[:1] == [0]:
            schedulers[0]._initial_step()

    patch(SequentialLR, "__init__", __init__)


@breaks("lr-sequential-epochs")
def a_sequence_does_not_count(patch):
    """SequentialLR leaves its own count of epochs where it was after the first switch."""

    @around
    def step(original, self):
        original(self)
        if self.last_epoch == len(self._milestones) + 7:
            self.last_epoch -= 1

    patch(SequentialLR, "step", step)


@breaks("lr-composition-types")
def others_are_left_out(patch):
    """SequentialLR and ChainedScheduler pass over what has no optimizer."""

    def scheduler(one):
        return hasattr(one, "optimizer")

    @around
    def sequence(original, self, optimizer, schedulers, milestones, **kwargs):
        kept = [one for one in schedulers if scheduler(one)]
        original(self, optimizer, kept, milestones[: len(kept) - 1], **kwargs)

    @around
    def chain(original, self, schedulers, *args, **kwargs):
        original(self, [one for one in schedulers if scheduler(one)] or schedulers, *args, **kwargs)

    patch(SequentialLR, "__init__", sequence)
    patch(ChainedScheduler, "__init__", chain)


@breaks("lr-composition-types")
def a_chain_believes_its_argument(patch):
    """ChainedScheduler keeps the optimizer that it is given and does not compare."""

    @around
    def __init__(original, self, schedulers, optimizer=None):
        original(self, schedulers)
        self.optimizer = optimizer or self.optimizer

    patch(ChainedScheduler, "__init__", __init__)


@breaks("lr-chained-back-to-back")
def the_last_of_four_is_left_out(patch):
    """ChainedScheduler steps three schedulers at most."""

    @around
    def step(original, self):
        every = self._schedulers
        self._schedulers = every[:3]
        original(self)
        self._schedulers = every

    patch(ChainedScheduler, "step", step)


@breaks("lr-chained-back-to-back")
def last_rates_of_a_chain_are_its_first_ones(patch):
    """get_last_lr of a ChainedScheduler returns the rates of its first scheduler's last step."""

    @around
    def get_last_lr(original, self):
        return self._schedulers[0].get_last_lr() if hasattr(self, "_schedulers") else original(self)

    patch(LRScheduler, "get_last_lr", get_last_lr)


@breaks("lr-composition-state")
def parts_are_not_loaded(patch):
    """load_state_dict of a composed scheduler loads its own entries only."""

    @around
    def load_state_dict(original, self, state):
        vars(self).update({key: value for key, value in state.items() if key != "_schedulers"})

    for kind in (SequentialLR, ChainedScheduler):
        patch(kind, "load_state_dict", load_state_dict)
