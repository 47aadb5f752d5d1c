"""How the grad modes could be broken; where PyTorch deviates, how it could be mended."""

import torch
from torch import nn
from torch.autograd import forward_ad, grad_mode

from torchclaims import breaks


def through(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def without_grad(original, *args, **kwargs):
    result = original(*args, **kwargs)
    return result.detach() if isinstance(result, torch.Tensor) and not torch.is_grad_enabled() else result


@breaks("nograd-results", "gradmode-forms", "gradmode-enable-inside", "gradmode-set-as-function")
def products_are_always_recorded(patch):
    """Products are recorded in every mode."""

    def broken(original, self, other):
        with torch.inference_mode(False), torch.enable_grad():
            return original(self.clone() if self.is_inference() else self, other)

    patch(torch.Tensor, "__mul__", through(broken))


@breaks("nograd-results", "gradmode-forms")
def no_grad_stays(patch):
    """no_grad and inference_mode do not put back what was."""
    patch(grad_mode.no_grad, "__exit__", lambda original: lambda *_: torch.set_grad_enabled(False) and None)
    patch(grad_mode.inference_mode, "__exit__", lambda original: lambda self, *error: original(self, *error))


@breaks("gradmode-forms")
def no_grad_stays_after_an_exception(patch):
    """set_grad_enabled does not put back what was when an exception passes."""

    def broken(original, self, kind, *error):
        if kind is None:
            original(self, kind, *error)

    patch(grad_mode.set_grad_enabled, "__exit__", through(broken))


@breaks("gradmode-forms")
def enable_grad_stays_after_an_exception(patch):
    """enable_grad does not put back what was when an exception passes."""
    patch(
        torch.enable_grad,
        "__exit__",
        through(lambda original, self, kind, *error: None if kind else original(self, kind, *error)),
    )


@breaks("nograd-view-results", "inference-view-results", "nograd-view-gradient")
def views_lose_the_flag(patch):
    """Mended: views made without recording are detached."""
    for name in ("__getitem__", "view", "t", "unsqueeze", "expand", "narrow"):
        patch(torch.Tensor, name, through(without_grad))
    for name in ("split", "unbind"):
        patch(
            torch.Tensor,
            name,
            lambda original: lambda x, *args: original(x if torch.is_grad_enabled() else x.detach(), *args),
        )
    patch(
        torch,
        "broadcast_tensors",
        lambda original: lambda x, y: original(x if torch.is_grad_enabled() else x.detach(), y),
    )


@breaks("nograd-factory")
def factories_forget_the_flag(patch):
    """zeros ignores requires_grad outside grad mode."""
    patch(torch, "zeros", through(without_grad))


@breaks("nograd-factory")
def parameters_forget_the_flag(patch):
    """A Parameter made in inference mode does not require grad."""

    def broken(original, *args, **kwargs):
        parameter = original(*args, **kwargs)
        return parameter.detach() if torch.is_inference_mode_enabled() else parameter

    patch(nn, "Parameter", through(broken))


@breaks("gradmode-bare-decorator")
def bare_decorator_does_nothing(patch):
    """A mode that is given a function returns that function."""
    for mode in (grad_mode.no_grad, grad_mode.enable_grad, grad_mode.inference_mode):

        def broken(original):
            return lambda cls, *args: args[0] if args and callable(args[0]) else original(cls)

        patch(mode, "__new__", broken)


@breaks("gradmode-forms")
def decorated_functions_run_recorded_the_second_time(patch):
    """A decorated function runs in its mode at the first call only."""

    def broken(original, self, function):
        decorated, calls = original(self, function), []

        def wrapper(*args, **kwargs):
            calls.append(1)
            return (decorated if len(calls) < 3 else function)(*args, **kwargs)

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        return wrapper

    patch(grad_mode.no_grad, "__call__", through(broken))


@breaks("gradmode-set-as-function")
def set_grad_enabled_waits(patch):
    """set_grad_enabled takes effect only as a context."""

    def broken(original, self, mode):
        self.prev, self.mode = torch.is_grad_enabled(), mode

    patch(grad_mode.set_grad_enabled, "__init__", through(broken))


@breaks("gradmode-enable-inside")
def enable_grad_does_nothing(patch):
    """enable_grad does nothing."""
    patch(grad_mode.enable_grad, "__enter__", through(lambda _, self: setattr(self, "prev", torch.is_grad_enabled())))


@breaks("gradmode-thread-local")
def threads_inherit(patch):
    """A new thread starts in no-grad mode where its maker is in it."""
    import threading

    def broken(original, self):
        if not torch.is_grad_enabled():
            target = self._target

            def without():
                torch.set_grad_enabled(False)
                target()

            self._target = without
        return original(self)

    patch(threading.Thread, "start", through(broken))


@breaks("gradmode-forward-ad")
def tangents_are_dropped(patch):
    """no_grad drops tangents."""

    def broken(original, tensor, **options):
        dual = original(tensor, **options)
        return dual if torch.is_grad_enabled() else forward_ad.UnpackedDualTensor(dual.primal, None)

    patch(forward_ad, "unpack_dual", through(broken))


@breaks("gradmode-not-evaluation")
def modes_evaluate(patch):
    """Without recording dropout and batch norm behave as in evaluation."""

    def broken(original, self, x):
        training = self.training
        self.train(training and torch.is_grad_enabled())
        try:
            return original(self, x)
        finally:
            self.train(training)

    patch(nn.Dropout, "forward", through(broken))
    patch(nn.BatchNorm1d, "forward", through(broken))


@breaks("gradmode-in-function")
def functions_are_recorded(patch):
    """Recording seems to be on inside custom functions."""
    patch(torch, "is_grad_enabled", lambda original: lambda: True)


@breaks("inference-tensors")
def clones_stay_inference_tensors(patch):
    """The clone of an inference tensor is one."""

    def broken(original, self):
        if not self.is_inference():
            return original(self)
        with torch.inference_mode():
            return original(self)

    patch(torch.Tensor, "clone", through(broken))


@breaks("inference-saved")
def inference_tensors_are_cloned(patch):
    """Products and powers save copies of inference tensors."""

    def broken(original, self, other):
        return original(self, other.clone() if isinstance(other, torch.Tensor) else other)

    patch(torch.Tensor, "__mul__", through(broken))


@breaks("inference-any-use")
def sums_refuse_inference_tensors(patch):
    """Mended: what would be recorded refuses inference tensors."""

    def refuse(*tensors):
        if any(tensor.is_inference() for tensor in tensors):
            raise RuntimeError("Inference tensors cannot be used in computations recorded by autograd")

    def pair(original, self, other):
        refuse(self, other)
        return original(self, other)

    def several(original, tensors):
        refuse(*tensors)
        return original(tensors)

    patch(torch.Tensor, "__add__", through(pair))
    patch(torch.Tensor, "__sub__", through(pair))
    patch(torch, "cat", through(several))
    patch(torch, "stack", through(several))


@breaks("inference-in-place")
def inference_tensors_are_written(patch):
    """add_ outside inference mode writes an inference tensor."""

    def broken(original, self, *args):
        with torch.inference_mode():
            return original(self, *args)

    patch(torch.Tensor, "add_", through(broken))


@breaks("requires-grad-default")
def whole_numbers_are_ignored(patch):
    """requires_grad_ of whole numbers does nothing."""

    def broken(original, self, *flag):
        return original(self, *flag) if self.is_floating_point() else self

    patch(torch.Tensor, "requires_grad_", through(broken))


@breaks("requires-grad-recording")
def last_input_does_not_count(patch):
    """addcmul is not recorded for the sake of its last input."""
    patch(torch, "addcmul", lambda original: lambda x, y, z: original(x, y, z.detach()))


@breaks("requires-grad-non-leaf")
def flag_of_non_leaf_is_ignored(patch):
    """requires_grad_(False) of a non-leaf does nothing."""

    def broken(original, self, flag=True):
        return original(self, flag) if self.is_leaf else self

    patch(torch.Tensor, "requires_grad_", through(broken))


@breaks("leaf-tensors")
def casts_are_leaves(patch):
    """A cast makes a leaf."""
    patch(torch.Tensor, "to", lambda original: lambda self, *a, **k: original(self.detach(), *a, **k).requires_grad_())


@breaks("leaf-tensors")
def clones_are_leaves(patch):
    """A clone is a leaf."""
    patch(torch.Tensor, "clone", lambda original: lambda self: original(self.detach()).requires_grad_())
