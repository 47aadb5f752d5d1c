"""How what test_corners.py decides could be broken, or mended."""

from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, LRScheduler, OneCycleLR

from test_schedulers.common import around, rates_of, set_rates
from torchclaims import breaks


@breaks("lr-warm-restarts-minimum")
def a_period_ends_at_the_minimum(patch):
    """CosineAnnealingWarmRestarts stays in the period at its last epoch, and sets eta_min there."""

    @around
    def get_lr(original, self):
        if self.last_epoch > 0 and self.T_cur == 0:
            return [self.eta_min for _ in self.base_lrs]
        return original(self)

    patch(CosineAnnealingWarmRestarts, "get_lr", get_lr)


@breaks("lr-warm-restarts-far-jump", "lr-warm-restarts-epoch")
def periods_are_counted_in_whole_numbers(patch):
    """CosineAnnealingWarmRestarts finds the period of a jump by counting, and takes a jump before the start for one."""

    @around
    def step(original, self, epoch=None):
        if epoch is None:
            return original(self)
        start, length = 0, self.T_0
        while epoch >= start + length:
            start, length = start + length, length * self.T_mult
        self.T_cur, self.T_i, self.last_epoch = epoch - start, length, int(epoch)
        self._get_lr_called_within_step = True
        set_rates(self.optimizer, self.get_lr())
        self._get_lr_called_within_step = False
        return None

    patch(CosineAnnealingWarmRestarts, "step", step)


@breaks("lr-warm-restarts-far-jump")
def a_far_jump_lands_one_epoch_late(patch):
    """CosineAnnealingWarmRestarts.step(epoch) rounds a far epoch up."""

    @around
    def step(original, self, epoch=None):
        return original(self, epoch + 1 if epoch and epoch > 3 else epoch)

    patch(CosineAnnealingWarmRestarts, "step", step)


@breaks("lr-onecycle-first-rate")
def one_cycle_begins_where_it_should(patch):
    """OneCycleLR gives its first rate at step 0, however the phases lie."""

    @around
    def get_lr(original, self):
        if self.last_epoch == 0:
            return [group["initial_lr"] for group in self.optimizer.param_groups]
        return original(self)

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-onecycle-first-rate")
def one_cycle_begins_at_the_rate_it_finds(patch):
    """OneCycleLR divides the rate that the optimizer has, not max_lr."""

    @around
    def __init__(original, self, optimizer, max_lr, *args, **kwargs):
        found = [rate * 2.5 for rate in rates_of(optimizer)]
        original(self, optimizer, found, *args, **kwargs)

    patch(OneCycleLR, "__init__", __init__)


@breaks("lr-onecycle-all-steps", "lr-onecycle-over")
def one_cycle_stays_at_its_end(patch):
    """OneCycleLR takes any step beyond its last for its last."""

    @around
    def get_lr(original, self):
        before = self.last_epoch
        self.last_epoch = min(before, self.total_steps - 1)
        try:
            return original(self)
        finally:
            self.last_epoch = before

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-onecycle-over")
def a_refused_step_moves_the_rates(patch):
    """OneCycleLR sets its smallest rate before it refuses a step too many."""

    @around
    def get_lr(original, self):
        if self.last_epoch > self.total_steps:
            set_rates(self.optimizer, [group["min_lr"] for group in self.optimizer.param_groups])
        return original(self)

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-onecycle-precedence")
def epochs_come_first(patch):
    """OneCycleLR takes epochs * steps_per_epoch before total_steps."""

    @around
    def __init__(original, self, *args, total_steps=None, epochs=None, steps_per_epoch=None, **kwargs):
        if epochs is not None and steps_per_epoch is not None:
            total_steps = None
        original(self, *args, total_steps=total_steps, epochs=epochs, steps_per_epoch=steps_per_epoch, **kwargs)

    patch(OneCycleLR, "__init__", __init__)


@breaks("lr-onecycle-arguments", "lr-cyclic-arguments")
def the_first_entries_count(patch):
    """Lists for too many groups are cut, and the last entry of those for too few is repeated."""

    @around
    def _format_param(original, name, optimizer, param):
        if isinstance(param, (list, tuple)):
            count = len(optimizer.param_groups)
            param = [*param, *[param[-1]] * count][:count]
        return original(name, optimizer, param)

    from torch.optim import lr_scheduler

    if hasattr(lr_scheduler, "_format_param"):
        patch(lr_scheduler, "_format_param", _format_param)
    else:
        patch(CyclicLR, "_format_param", around(lambda original, self, *args: _format_param(original)(*args)))


@breaks("lr-onecycle-momentum")
def one_cycle_cycles_the_first_momentum_for_all(patch):
    """OneCycleLR takes the first group's momentum for every group's."""

    @around
    def get_lr(original, self):
        rates = original(self)
        for group in self.optimizer.param_groups:
            if "momentum" in group and self.cycle_momentum:
                group["momentum"] = self.optimizer.param_groups[0]["momentum"]
        return rates

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-cyclic-exp-range")
def gamma_is_ignored(patch):
    """CyclicLR does not decay in mode exp_range."""
    patch(CyclicLR, "scale_fn", around(lambda original, self, x: 1.0))


@breaks("lr-cyclic-exp-range", "lr-cyclic-defaults")
def iterations_are_counted_from_one(patch):
    """CyclicLR evaluates a scale of iterations one iteration late."""

    @around
    def scale_fn(original, self, x):
        return original(self, x + 1 if self.scale_mode == "iterations" else x)

    patch(CyclicLR, "scale_fn", scale_fn)


@breaks("lr-cyclic-iterations")
def iterations_begin_anew_with_each_cycle(patch):
    """CyclicLR counts the iterations of a cycle, as it says."""

    @around
    def scale_fn(original, self, x):
        return original(self, x % self.total_size if self.scale_mode == "iterations" else x)

    patch(CyclicLR, "scale_fn", scale_fn)


@breaks("lr-cyclic-scale-fn")
def cycles_are_counted_from_zero(patch):
    """CyclicLR calls scale_fn with the number of cycles before."""

    @around
    def scale_fn(original, self, x):
        return original(self, max(x - 1, 1))

    patch(CyclicLR, "scale_fn", scale_fn)


@breaks("lr-cyclic-scale-fn")
def the_mode_goes_before_the_function(patch):
    """CyclicLR ignores scale_fn where the mode is one that it knows."""

    @around
    def scale_fn(original, self, x):
        return 1.0 if self.mode == "triangular" else original(self, x)

    patch(CyclicLR, "scale_fn", scale_fn)


@breaks("lr-cyclic-defaults")
def half_a_cycle_has_a_thousand_steps(patch):
    """step_size_up of CyclicLR is 1000 by default."""

    @around
    def __init__(original, self, optimizer, base_lr, max_lr, step_size_up=1000, *args, **kwargs):
        original(self, optimizer, base_lr, max_lr, step_size_up, *args, **kwargs)

    patch(CyclicLR, "__init__", __init__)


@breaks("lr-cyclic-defaults")
def the_second_beta_is_driven(patch):
    """CyclicLR swaps the betas of Adam."""

    @around
    def get_lr(original, self):
        rates = original(self)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = group["betas"][::-1]
        return rates

    patch(CyclicLR, "get_lr", get_lr)


@breaks("lr-cyclic-first-rate")
def cyclic_forgets_the_initial_rate(patch):
    """CyclicLR takes its base_lr for the group's initial_lr."""

    @around
    def __init__(original, self, optimizer, last_epoch=-1, *args, **kwargs):
        if isinstance(self, CyclicLR) and last_epoch == -1:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        original(self, optimizer, last_epoch, *args, **kwargs)

    patch(LRScheduler, "__init__", __init__)


@breaks("lr-cyclic-arguments")
def an_unknown_mode_is_triangular(patch):
    """CyclicLR takes a mode that it does not know for triangular."""

    @around
    def __init__(original, self, *args, mode="triangular", **kwargs):
        known = mode in ("triangular", "triangular2", "exp_range")
        original(self, *args, mode=mode if known else "triangular", **kwargs)

    patch(CyclicLR, "__init__", __init__)


@breaks("lr-onecycle-arguments-more")
def steps_are_rounded(patch):
    """OneCycleLR rounds a fractional number of steps down."""

    @around
    def __init__(original, self, *args, total_steps=None, **kwargs):
        original(self, *args, total_steps=None if total_steps is None else int(total_steps), **kwargs)

    patch(OneCycleLR, "__init__", __init__)


@breaks("lr-warm-restarts-arguments")
def eta_min_is_whatever(patch):
    """CosineAnnealingWarmRestarts cuts T_mult to an integer."""

    @around
    def __init__(original, self, optimizer, T_0, T_mult=1, eta_min=0.0, *args, **kwargs):
        original(self, optimizer, T_0, int(T_mult), eta_min, *args, **kwargs)

    patch(CosineAnnealingWarmRestarts, "__init__", __init__)
