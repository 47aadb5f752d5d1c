"""How what test_corners.py decides could be broken, or mended."""

from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from test_schedulers.common import around, rates_of, set_rates
from torchclaims import breaks

MENDED = (StepLR, MultiStepLR, ConstantLR)


@breaks("lr-last-epoch-boundary")
def construction_leaves_the_rate_in_force(patch):
    """A schedule of steps built with last_epoch = t leaves the rate that it finds."""

    @around
    def get_lr(original, self):
        return rates_of(self.optimizer) if self._is_initial and self.last_epoch > 0 else original(self)

    for kind in MENDED:
        patch(kind, "get_lr", get_lr)


@breaks("lr-last-epoch-recursive")
def construction_is_a_step(patch):
    """A recursive schedule built with last_epoch = t moves the rate on, as it did up to 2.6."""

    @around
    def get_lr(original, self):
        before = self._is_initial
        self._is_initial = before and self.last_epoch == 0
        try:
            return original(self)
        finally:
            self._is_initial = before

    for kind in (LinearLR, ExponentialLR, PolynomialLR, MultiplicativeLR):
        patch(kind, "get_lr", get_lr)


@breaks("lr-last-epoch-restarts", "lr-last-epoch-recursive")
def restarts_find_their_period(patch):
    """CosineAnnealingWarmRestarts finds the period of last_epoch where periods grow, and forgets it elsewhere."""

    @around
    def __init__(original, self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        original(self, optimizer, T_0, T_mult, eta_min, last_epoch)
        if last_epoch >= 0:
            start, length = 0, T_0
            while T_mult > 1 and self.last_epoch >= start + length:
                start, length = start + length, length * T_mult
            self.T_cur, self.T_i = self.last_epoch - start, length
            self._get_lr_called_within_step = True
            set_rates(optimizer, self.get_lr())
            self._get_lr_called_within_step = False

    patch(CosineAnnealingWarmRestarts, "__init__", __init__)


@breaks("lr-last-epoch-cycles")
def cycles_begin_anew(patch):
    """CyclicLR and OneCycleLR built with last_epoch = t set the momentum of the start."""

    @around
    def __init__(original, self, optimizer, *args, last_epoch=-1, **kwargs):
        original(self, optimizer, *args, last_epoch=last_epoch, **kwargs)
        if last_epoch >= 0 and self.cycle_momentum:
            for group in optimizer.param_groups:
                group["momentum"] = group["max_momentum"]

    for kind in (CyclicLR, OneCycleLR):
        patch(kind, "__init__", __init__)


@breaks("lr-last-epoch-sequence")
def a_sequence_steps_to_its_epoch(patch):
    """SequentialLR built with last_epoch = t begins anew and takes t + 1 steps."""

    @around
    def __init__(original, self, optimizer, schedulers, milestones, last_epoch=-1):
        original(self, optimizer, schedulers, milestones)
        optimizer._opt_called = True
        for _ in range(last_epoch + 1):
            self.step()

    patch(SequentialLR, "__init__", __init__)


@breaks("lr-load-again", "lr-cyclic-state")
def the_scale_is_not_loaded(patch):
    """load_state_dict of CyclicLR leaves the state that it is given, and scale_fn, alone."""

    @around
    def load_state_dict(original, self, state):
        LRScheduler.load_state_dict(self, {key: one for key, one in state.items() if key != "_scale_fn_custom"})

    patch(CyclicLR, "load_state_dict", load_state_dict)


@breaks("lr-cyclic-state")
def the_mode_is_not_loaded(patch):
    """load_state_dict of CyclicLR goes on scaling as it was built to."""

    @around
    def load_state_dict(original, self, state):
        scale = self.__dict__.get("_scale_fn_ref")
        original(self, state)
        if scale is not None:
            self._scale_fn_ref = scale

    patch(CyclicLR, "load_state_dict", load_state_dict)
