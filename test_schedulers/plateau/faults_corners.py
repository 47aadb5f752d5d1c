"""How what test_corners.py decides could be broken, or mended."""

from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from test_schedulers.common import around
from torchclaims import breaks

IS_BETTER = "_is_better" if hasattr(ReduceLROnPlateau, "_is_better") else "is_better"


@breaks("lr-plateau-remains")
def what_remains_is_good_enough(patch):
    """ReduceLROnPlateau takes a metric equal to the best for an improvement."""
    patch(ReduceLROnPlateau, IS_BETTER, around(lambda original, self, a, best: a == best or original(self, a, best)))


@breaks("lr-plateau-eps-equal", "lr-plateau-eps")
def eps_is_a_thousandth_smaller(patch):
    """ReduceLROnPlateau makes reductions of eps, and of a little less."""

    @around
    def reduce(original, self, epoch):
        before = self.eps
        self.eps = before * 0.999
        try:
            original(self, epoch)
        finally:
            self.eps = before

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-plateau-eps")
def eps_is_a_thousandth_larger(patch):
    """ReduceLROnPlateau ignores reductions of a little more than eps."""

    @around
    def reduce(original, self, epoch):
        before = self.eps
        self.eps = before * 1.001
        try:
            original(self, epoch)
        finally:
            self.eps = before

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-plateau-state")
def the_cooldown_is_not_restored(patch):
    """load_state_dict of ReduceLROnPlateau ends a cooldown."""

    @around
    def load_state_dict(original, self, state):
        original(self, state)
        self.cooldown_counter = 0

    patch(ReduceLROnPlateau, "load_state_dict", load_state_dict)


@breaks("lr-plateau-state")
def the_mode_is_the_builders(patch):
    """load_state_dict of ReduceLROnPlateau leaves what is worst as it was built."""

    @around
    def load_state_dict(original, self, state):
        before = self.mode_worse
        original(self, state)
        self.mode_worse = before

    patch(ReduceLROnPlateau, "load_state_dict", load_state_dict)


@breaks("lr-plateau-new-group")
def a_new_group_is_passed_over(patch):
    """ReduceLROnPlateau reduces the groups that it knows, and leaves a new one alone."""

    @around
    def reduce(original, self, epoch):
        groups = self.optimizer.param_groups
        later = groups[len(self.min_lrs) :]
        del groups[len(self.min_lrs) :]
        original(self, epoch)
        groups.extend(later)

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-plateau-tensor")
def a_tensor_is_replaced_by_a_number(patch):
    """ReduceLROnPlateau replaces a tensor by a number."""

    @around
    def reduce(original, self, epoch):
        original(self, epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].item()

    patch(ReduceLROnPlateau, "_reduce_lr", reduce)


@breaks("lr-step-epoch")
def plateau_ignores_the_epoch(patch):
    """ReduceLROnPlateau warns of an epoch and counts on by one."""

    @around
    def step(original, self, metrics, epoch=None):
        before = self.last_epoch
        original(self, metrics, *([epoch] if epoch is not None else []))
        self.last_epoch = before + 1

    patch(ReduceLROnPlateau, "step", step)
