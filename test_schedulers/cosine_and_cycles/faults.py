"""How schedules that follow a cosine, or rise and fall, could be broken."""

import math

from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR

from test_schedulers.common import around, first_for_all, muted, rates_of, set_rates, shifted, with_attribute
from torchclaims import breaks


@breaks("lr-cosine", "lr-cosine-without-restarts")
def cosine_is_one_epoch_too_long(patch):
    """CosineAnnealingLR takes T_max + 1 epochs."""
    patch(CosineAnnealingLR, "get_lr", with_attribute("T_max", lambda period: period + 1))


@breaks("lr-cosine")
def cosine_ignores_the_minimum(patch):
    """CosineAnnealingLR scales the whole rate, not what is above eta_min."""
    patch(CosineAnnealingLR, "get_lr", with_attribute("eta_min", lambda minimum: 0.0))


@breaks("lr-cosine-without-restarts")
def cosine_stays_at_the_minimum(patch):
    """CosineAnnealingLR stays at eta_min beyond T_max."""

    @around
    def get_lr(original, self):
        return rates_of(self.optimizer) if self.last_epoch > self.T_max else original(self)

    patch(CosineAnnealingLR, "get_lr", get_lr)


@breaks("lr-cosine-recursive")
def cosine_in_closed_form(patch):
    """CosineAnnealingLR makes each rate from the base rate, whatever the present one is."""

    @around
    def get_lr(original, self):
        shares = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * shares for base in self.base_lrs]

    patch(CosineAnnealingLR, "get_lr", get_lr)


@breaks("lr-cosine-recursive")
def cosine_ends_at_zero_from_a_changed_rate(patch):
    """CosineAnnealingLR scales the whole of a rate that is above the base rate, not what is above eta_min."""

    @around
    def get_lr(original, self):
        above = any(rate > base for rate, base in zip(rates_of(self.optimizer), self.base_lrs, strict=True))
        return with_attribute("eta_min", lambda minimum: 0.0)(original)(self) if above else original(self)

    patch(CosineAnnealingLR, "get_lr", get_lr)


@breaks("lr-cosine-without-restarts")
def cosine_restarts(patch):
    """CosineAnnealingLR jumps back to the base rate after T_max."""

    @around
    def get_lr(original, self):
        return list(self.base_lrs) if self.last_epoch == self.T_max + 1 else original(self)

    patch(CosineAnnealingLR, "get_lr", get_lr)


@breaks("lr-cosine-without-restarts")
def cosine_rises_only_once(patch):
    """CosineAnnealingLR knows the first trough, not the second."""

    @around
    def get_lr(original, self):
        return rates_of(self.optimizer) if self.last_epoch == 3 * self.T_max + 1 else original(self)

    patch(CosineAnnealingLR, "get_lr", get_lr)


@breaks("lr-warm-restarts", "lr-groups")
def restarts_anneal_the_first_base_for_all(patch):
    """CosineAnnealingWarmRestarts anneals the first group's base rate for every group."""
    patch(CosineAnnealingWarmRestarts, "get_lr", first_for_all("base_lrs"))


@breaks("lr-warm-restarts")
def periods_do_not_grow(patch):
    """CosineAnnealingWarmRestarts ignores T_mult."""
    patch(CosineAnnealingWarmRestarts, "step", with_attribute("T_mult", lambda growth: 1))


@breaks("lr-warm-restarts", "lr-warm-restarts-epoch")
def periods_are_one_epoch_too_long(patch):
    """CosineAnnealingWarmRestarts divides by T_i + 1."""
    patch(CosineAnnealingWarmRestarts, "get_lr", with_attribute("T_i", lambda period: period + 1))


@breaks("lr-warm-restarts-epoch")
def fractions_are_cut_off(patch):
    """CosineAnnealingWarmRestarts takes whole epochs only."""

    @around
    def step(original, self, epoch=None):
        return original(self, None if epoch is None else math.floor(epoch))

    patch(CosineAnnealingWarmRestarts, "step", step)


@breaks("lr-warm-restarts-epoch")
def a_jump_forgets_its_period(patch):
    """After a jump CosineAnnealingWarmRestarts goes on as if in its first period."""

    @around
    def step(original, self, epoch=None):
        original(self, epoch)
        if epoch is not None:
            self.T_i = self.T_0

    patch(CosineAnnealingWarmRestarts, "step", step)


@breaks("lr-warm-restarts-epoch")
def a_jump_back_keeps_the_period(patch):
    """After a jump back into the first period CosineAnnealingWarmRestarts keeps the later length."""

    @around
    def step(original, self, epoch=None):
        before = self.T_i
        original(self, epoch)
        if epoch is not None and epoch < self.T_0 and self.T_i != before:
            self.T_i = before
            set_rates(self.optimizer, muted(self.get_lr)())

    patch(CosineAnnealingWarmRestarts, "step", step)


@breaks("lr-warm-restarts-arguments")
def a_fractional_period_is_cut_off(patch):
    """CosineAnnealingWarmRestarts cuts a fractional T_0 to an integer."""

    @around
    def __init__(original, self, optimizer, T_0, *args, **kwargs):
        return original(self, optimizer, int(T_0), *args, **kwargs)

    patch(CosineAnnealingWarmRestarts, "__init__", __init__)


def with_later_end(phase, phases):
    """Lets this phase of OneCycleLR, out of ``phases``, end an epoch later."""

    @around
    def get_lr(original, self):
        if self.last_epoch == 0 and len(self._schedule_phases) == phases:
            self._schedule_phases[phase]["end_step"] += 1
        return original(self)

    return get_lr


@breaks("lr-onecycle", "lr-onecycle-momentum")
def the_peak_is_one_step_late(patch):
    """OneCycleLR reaches max_lr one step late."""
    patch(OneCycleLR, "get_lr", with_later_end(0, phases=2))


@breaks("lr-onecycle")
def one_cycle_ends_where_it_began(patch):
    """OneCycleLR ignores final_div_factor."""

    @around
    def get_lr(original, self):
        for group in self.optimizer.param_groups:
            group["min_lr"] = group["initial_lr"]
        return original(self)

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-onecycle")
def cosine_curve_is_straight(patch):
    """OneCycleLR ignores anneal_strategy."""

    @around
    def straight(original, *args):
        start, end, share = args[-3:]
        return (end - start) * share + start

    patch(OneCycleLR, "_annealing_cos", straight)


@breaks("lr-onecycle-three-phases")
def the_second_phase_is_longer_than_the_first(patch):
    """With three_phase the fall of OneCycleLR takes one step more than its rise."""
    patch(OneCycleLR, "get_lr", with_later_end(1, phases=3))


@around
def momentum_in_phase(original, self):
    """A get_lr that mirrors the momentum between its bounds."""
    rates = original(self)
    for group in self.optimizer.param_groups if self.cycle_momentum else ():
        both = group.get("base_momentum", 0.5) + group.get("max_momentum", 0.75)
        if "momentum" in group:
            group["momentum"] = both - group["momentum"]
    return rates


@breaks("lr-onecycle-momentum")
def one_cycle_momentum_follows_the_rate(patch):
    """OneCycleLR raises the momentum with the rate."""
    patch(OneCycleLR, "get_lr", momentum_in_phase)


@breaks("lr-onecycle-momentum")
def one_cycle_drives_the_second_beta(patch):
    """OneCycleLR puts the momentum into the second beta."""

    @around
    def get_lr(original, self):
        before = [group.get("betas") for group in self.optimizer.param_groups]
        rates = original(self)
        for group, betas in zip(self.optimizer.param_groups, before, strict=True):
            if betas:
                group["betas"] = (betas[0], group["betas"][0])
        return rates

    patch(OneCycleLR, "get_lr", get_lr)


@breaks("lr-onecycle-arguments")
def a_share_above_one_is_cut(patch):
    """OneCycleLR takes a pct_start above 1 for 1."""

    @around
    def __init__(original, self, *args, pct_start=0.3, **kwargs):
        original(self, *args, pct_start=min(pct_start, 1.0), **kwargs)

    patch(OneCycleLR, "__init__", __init__)


@breaks("lr-cyclic", "lr-cyclic-momentum")
def cycles_are_always_symmetric(patch):
    """CyclicLR ignores step_size_down."""

    @around
    def __init__(original, self, *args, step_size_down=None, **kwargs):
        original(self, *args, **kwargs)

    patch(CyclicLR, "__init__", __init__)


@breaks("lr-cyclic")
def cycles_are_one_step_ahead(patch):
    """CyclicLR counts its steps from 1."""
    patch(CyclicLR, "get_lr", shifted(1))


@breaks("lr-cyclic-halved")
def amplitude_falls_as_one_over_the_cycle(patch):
    """In mode triangular2 the n-th cycle has an n-th of the amplitude."""
    patch(CyclicLR, "_triangular2_scale_fn", around(lambda original, *args: 1 / args[-1]))


@breaks("lr-cyclic-momentum")
def cyclic_momentum_follows_the_rate(patch):
    """CyclicLR raises the momentum with the rate."""
    patch(CyclicLR, "get_lr", momentum_in_phase)


@breaks("lr-warm-restarts-epoch")
def a_step_drops_the_fraction(patch):
    """step() after a fraction of an epoch goes to the next whole epoch of the period."""

    @around
    def step(original, self, epoch=None):
        if epoch is None:
            self.T_cur = math.floor(self.T_cur)
        original(self, epoch)

    patch(CosineAnnealingWarmRestarts, "step", step)
