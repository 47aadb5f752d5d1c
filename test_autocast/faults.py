"""How autocast and the gradient scaler could be broken, or mended."""

import sys
import threading

import torch
import torch.nn.functional as F
from torch.amp import GradScaler
from torch.amp.autocast_mode import autocast

from torchclaims import breaks


def around(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def within():
    return torch.is_autocast_cpu_enabled()


@breaks("amp-lower")
def bmm_and_prelu_are_unlisted(patch):
    """Some operations of the first list run in the dtype of their first input."""

    @around
    def plain(original, *inputs):
        if not within():
            return original(*inputs)
        with torch.autocast("cpu", enabled=False):
            return original(*(one.to(inputs[0].dtype) for one in inputs))

    for owner, name in ((torch, "bmm"), (F, "conv3d"), (torch, "addbmm")):
        patch(owner, name, plain)


@breaks("amp-lower", "amp-training")
def products_are_halved_in_precision(patch):
    """Within autocast linear rounds its factors to four bits on the way."""

    def coarse(x):
        return (x.float() * 16).round() / 16 if isinstance(x, torch.Tensor) else x

    @around
    def linear(original, x, weight, bias=None):
        return original(coarse(x), coarse(weight * 0.25) * 4, bias) if within() else original(x, weight, bias)

    patch(F, "linear", linear)


@breaks("amp-float32")
def losses_are_in_half_precision(patch):
    """Losses and linear algebra return the dtype of their inputs."""

    @around
    def narrow(original, x, *args, **kwargs):
        out = original(x, *args, **kwargs)
        return out.to(x.dtype) if within() and x.dtype != out.dtype else out

    for owner, name in ((F, "mse_loss"), (F, "nll_loss"), (torch.linalg, "solve"), (torch, "trace")):
        patch(owner, name, narrow)


@breaks("amp-unlisted")
def softmax_is_listed(patch):
    """softmax runs in float32 within autocast, as it does on CUDA."""
    patch(F, "softmax", around(lambda original, x, *args: original(x.float() if within() else x, *args)))


@breaks("amp-unlisted-smooth-l1")
def smooth_l1_is_not_cast(patch):
    """smooth_l1_loss runs in the dtype of its inputs."""

    @around
    def smooth_l1_loss(original, *inputs):
        with torch.autocast("cpu", enabled=False):
            return original(*inputs)

    patch(F, "smooth_l1_loss", smooth_l1_loss)


@breaks("amp-promote")
def the_first_dtype_counts(patch):
    """cat and stack run in the dtype of their first input within autocast."""

    @around
    def joined(original, tensors, *args):
        out = original(tensors, *args)
        return out.to(tensors[0].dtype) if within() else out

    for name in ("cat", "stack"):
        patch(torch, name, joined)


@breaks("amp-not-eligible")
def dtype_is_overruled(patch):
    """prod runs in float32 within autocast whatever dtype it is asked for."""
    patch(
        torch,
        "prod",
        around(lambda original, *a, **k: original(*a, **k).float() if within() else original(*a, **k)),
    )


@breaks("amp-not-eligible")
def doubles_are_cast(patch):
    """mm casts float64 inputs within autocast."""
    patch(
        torch,
        "mm",
        around(
            lambda original, *inputs, **kwargs: original(
                *(one.float() if within() and one.dtype == torch.float64 else one for one in inputs), **kwargs
            )
        ),
    )


@breaks("amp-regions")
def the_end_of_a_region_turns_off(patch):
    """Leaving a region turns autocast off, whatever was before."""

    @around
    def leave(original, self, *args):
        original(self, *args)
        torch.set_autocast_cpu_enabled(False)
        return False

    patch(autocast, "__exit__", leave)


@breaks("amp-regions")
def a_decorator_forgets(patch):
    """A decorated function runs without autocast."""
    patch(autocast, "__call__", around(lambda original, self, function: function))


@breaks("amp-dtype")
def a_dtype_outlives_its_region(patch):
    """Where a region within another ends, the outer one goes on in the inner one's dtype."""

    @around
    def leave(original, self, *args):
        original(self, *args)
        if within():
            torch.set_autocast_cpu_dtype(self.fast_dtype)
        return False

    patch(autocast, "__exit__", leave)


@breaks("amp-dtype")
def the_default_is_float16(patch):
    """autocast for CPUs takes float16 by default, as on CUDA."""

    @around
    def __init__(original, self, device_type, dtype=None, *args, **kwargs):
        original(self, device_type, dtype or torch.float16, *args, **kwargs)

    patch(autocast, "__init__", __init__)


@breaks("amp-other-dtypes")
def another_dtype_is_the_default(patch):
    """A dtype that autocast does not have is taken for bfloat16, with the warning."""

    @around
    def __init__(original, self, device_type, dtype=None, *args, **kwargs):
        original(self, device_type, dtype, *args, **kwargs)
        if dtype not in (None, torch.bfloat16, torch.float16):
            original(self, device_type, torch.bfloat16)

    patch(autocast, "__init__", __init__)


@breaks("amp-thread")
def threads_inherit(patch):
    """A new thread begins with its parent's state."""

    @around
    def start(original, self):
        state, run = within(), self.run

        def inheriting():
            torch.set_autocast_cpu_enabled(state)
            run()

        self.run = inheriting
        original(self)

    patch(threading.Thread, "start", start)


@breaks("amp-training")
def the_cache_is_never_cleared(patch):
    """The weights that a region has cast are kept for the next one."""
    cache = {}

    @around
    def linear(original, x, weight, bias=None):
        if not within() or not weight.is_leaf:
            return original(x, weight, bias)
        known = cache.setdefault(id(weight), weight.to(torch.bfloat16))
        return original(x, known, bias)

    patch(F, "linear", linear)


@breaks("amp-custom")
def integers_are_cast(patch):
    """custom_fwd runs forward with autocast on after it has cast."""

    @around
    def custom_fwd(original, *, device_type, cast_inputs=None):
        decorate = original(device_type=device_type, cast_inputs=cast_inputs)

        def keeping(forward):
            def on(ctx, *args):
                with torch.autocast("cpu", enabled=ctx._fwd_used_autocast or cast_inputs is not None):
                    return forward(ctx, *args)

            return decorate(on)

        return keeping

    patch(torch.amp, "custom_fwd", custom_fwd)


@breaks("amp-custom")
def backward_has_a_state_of_its_own(patch):
    """custom_bwd leaves the state in which backward is called."""
    patch(torch.amp, "custom_bwd", lambda original: lambda *, device_type: lambda backward: backward)


@breaks("amp-custom-float64")
def float64_is_cast(patch):
    """Mended: forward gets float64 tensors in the dtype of cast_inputs."""

    @around
    def custom_fwd(original, *, device_type, cast_inputs=None):
        decorate = original(device_type=device_type, cast_inputs=cast_inputs)
        return lambda forward: decorate(
            lambda ctx, x, *args: forward(ctx, x if cast_inputs is None else x.to(cast_inputs), *args)
        )

    patch(torch.amp, "custom_fwd", custom_fwd)


@breaks("amp-available")
def anything_is_available(patch):
    """is_autocast_available knows every device type."""
    patch(torch.amp, "is_autocast_available", lambda original: lambda device_type: True)


@breaks("amp-deprecated")
def an_old_name_counts_down(patch):
    """torch.cpu.amp.GradScaler has a scale of one."""

    @around
    def scaler(original, init_scale=1.0, **kwargs):
        return original(init_scale=1.0, **kwargs)

    patch(torch.cpu.amp, "GradScaler", scaler)


@breaks("scaler-scale")
def nested_losses_are_not_scaled(patch):
    """scale scales the first of several losses."""

    @around
    def scale(original, self, outputs):
        if isinstance(outputs, torch.Tensor):
            return original(self, outputs)
        return [original(self, outputs[0]), *outputs[1:]]

    patch(GradScaler, "scale", scale)


@breaks("scaler-step")
def nan_is_no_infinity(patch):
    """A gradient of NaN does not keep step from updating."""

    @around
    def unscale(original, self, optimizer, *args):
        found = original(self, optimizer, *args)
        for group in optimizer.param_groups:
            for one in group["params"]:
                if one.grad is not None and one.grad.isnan().any():
                    return {device: torch.zeros_like(value) for device, value in found.items()}
        return found

    patch(GradScaler, "_unscale_grads_", unscale)


@breaks("scaler-step")
def negative_infinity_is_a_number(patch):
    """Only a gradient of plus infinity is looked for."""

    @around
    def unscale(original, self, optimizer, *args):
        for group in optimizer.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    one.grad.clamp_(min=-1e30)
        return original(self, optimizer, *args)

    patch(GradScaler, "_unscale_grads_", unscale)


@breaks("scaler-skips-fused")
def fused_steps_are_taken_all_the_same(patch):
    """Fused Adam is not told that a gradient is not finite."""
    module = sys.modules[torch.optim.Adam.__module__]
    patch(module, "_fused_adam", around(lambda original, *args, **more: original(*args, **{**more, "found_inf": None})))


@breaks("scaler-update")
def steps_are_counted_in_all(patch):
    """The steps towards the next growth are not counted anew after a skipped one."""

    @around
    def update(original, self, *args):
        before = None if self._growth_tracker is None else self._growth_tracker.clone()
        original(self, *args)
        if (
            before is not None
            and not args
            and self._growth_tracker.item() == 0
            and before.item() + 1 < self._growth_interval
        ):
            self._growth_tracker.copy_(before)

    patch(GradScaler, "update", update)


@breaks("scaler-unscale")
def gradients_are_unscaled_again(patch):
    """step unscales gradients that unscale_ has unscaled."""

    @around
    def unscale_(original, self, optimizer):
        original(self, optimizer)
        for group in optimizer.param_groups:
            for one in group["params"]:
                one.grad.div_(self.get_scale())

    patch(GradScaler, "unscale_", unscale_)


@breaks("scaler-disabled")
def a_disabled_scaler_scales(patch):
    """A scaler that is off multiplies by one, which makes another tensor."""
    patch(
        GradScaler,
        "scale",
        around(lambda original, self, outputs: original(self, outputs) if self._enabled else outputs * 1.0),
    )


@breaks("scaler-state")
def the_count_is_not_saved(patch):
    """The state forgets the steps counted towards the next growth."""
    patch(
        GradScaler,
        "state_dict",
        around(lambda original, self: {**original(self), **({"_growth_tracker": 0} if self._enabled else {})}),
    )
