"""How saving, loading and resuming could be broken."""

from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiplicativeLR, ReduceLROnPlateau, SequentialLR

from test_schedulers.common import around, with_attribute
from torchclaims import breaks


@breaks("lr-lambda-not-saved")
def callable_objects_are_not_saved(patch):
    """state_dict saves None for callable objects too."""

    @around
    def state_dict(original, self):
        return {**original(self), "lr_lambdas": [None] * len(self.lr_lambdas)}

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "state_dict", state_dict)


@breaks("lr-lambda-not-saved")
def loading_replaces_the_functions(patch):
    """load_state_dict puts the saved entries in the place of the functions."""

    @around
    def load_state_dict(original, self, state):
        original(self, state)
        self.lr_lambdas = list(state["lr_lambdas"])

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "load_state_dict", load_state_dict)


@breaks("lr-state-dict", "lr-resume")
def state_lacks_the_epoch(patch):
    """state_dict leaves out last_epoch."""

    @around
    def state_dict(original, self):
        return {key: value for key, value in original(self).items() if key != "last_epoch"}

    for kind in (LRScheduler, LambdaLR):
        patch(kind, "state_dict", state_dict)


@breaks("lr-resume")
def loading_keeps_the_base_rates(patch):
    """load_state_dict leaves the base rates as the constructor found them."""
    patch(LambdaLR, "load_state_dict", with_attribute("base_lrs", lambda rates: rates))


@breaks("lr-resume")
def loading_resets_the_plateau(patch):
    """ReduceLROnPlateau forgets the best metric and its counts when it loads."""

    @around
    def load_state_dict(original, self, state):
        original(self, state)
        self._reset()

    patch(ReduceLROnPlateau, "load_state_dict", load_state_dict)


@breaks("lr-resume")
def loading_forgets_the_parts(patch):
    """SequentialLR restores itself, but not the schedulers that it is made of."""

    @around
    def load_state_dict(original, self, state):
        vars(self).update({key: value for key, value in state.items() if key != "_schedulers"})

    patch(SequentialLR, "load_state_dict", load_state_dict)


@breaks("lr-resume")
def loading_empties_the_saved_state(patch):
    """load_state_dict of LambdaLR takes the functions out of the state that it is given."""

    @around
    def load_state_dict(original, self, state):
        original(self, state)
        state.pop("lr_lambdas")

    patch(LambdaLR, "load_state_dict", load_state_dict)


@breaks("lr-last-epoch")
def last_epoch_is_taken_for_the_next(patch):
    """A scheduler built with last_epoch = t stands at epoch t."""

    @around
    def __init__(original, self, optimizer, last_epoch=-1, *args, **kwargs):
        original(self, optimizer, last_epoch - (last_epoch > 0), *args, **kwargs)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-last-epoch")
def resuming_takes_the_current_rate_for_the_base(patch):
    """A scheduler built with last_epoch >= 0 takes the rate in force for the base rate."""

    @around
    def __init__(original, self, optimizer, last_epoch=-1, *args, **kwargs):
        for group in optimizer.param_groups:
            if last_epoch >= 0 and "initial_lr" in group:
                group["initial_lr"] = group["lr"]
        original(self, optimizer, last_epoch, *args, **kwargs)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-last-epoch-needs-initial-lr")
def resuming_makes_up_the_initial_rate(patch):
    """A missing initial_lr is filled in with the rate in force."""

    @around
    def __init__(original, self, optimizer, last_epoch=-1, *args, **kwargs):
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        original(self, optimizer, last_epoch, *args, **kwargs)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-construction-overwrites")
def construction_keeps_a_loaded_rate(patch):
    """A scheduler leaves the rates alone if the optimizer has an initial_lr already."""

    @around
    def __init__(original, self, optimizer, *args, **kwargs):
        before = [(group, group["lr"]) for group in optimizer.param_groups if "initial_lr" in group]
        original(self, optimizer, *args, **kwargs)
        for group, rate in before:
            group["lr"] = rate

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-lambda-not-saved")
def saved_attributes_are_the_objects_own(patch):
    """state_dict saves the very dictionary of a callable object, not a copy."""

    @around
    def state_dict(original, self):
        saved = original(self)
        pairs = zip(self.lr_lambdas, saved["lr_lambdas"], strict=True)
        return {**saved, "lr_lambdas": [None if one is None else vars(function) for function, one in pairs]}

    for kind in (LambdaLR, MultiplicativeLR):
        patch(kind, "state_dict", state_dict)
