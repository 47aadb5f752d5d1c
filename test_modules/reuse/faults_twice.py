"""How what test_twice.py decides could be broken."""

import weakref

import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


@breaks("reuse-output-changes", "reuse-runs-each-time", "reuse-flops", "reuse-bn-updates-each-time")
def own_output_passes_through(patch):
    """A module that is called with its own last output gives it back."""
    last = weakref.WeakKeyDictionary()

    def broken(original):
        def call(self, *args, **kwargs):
            if args and args[0] is last.get(self, lambda: None)():
                return args[0]
            output = original(self, *args, **kwargs)
            last[self] = weakref.ref(output)
            return output

        return call

    patch(nn.Module, "__call__", broken)


@breaks("reuse-runs-each-time")
def hooks_fire_at_the_first_use_only(patch):
    """A forward hook fires at the first call and not again."""

    def broken(original):
        def register_forward_hook(self, hook, **kwargs):
            fired = []

            def once(*args):
                if not fired:
                    fired.append(True)
                    return hook(*args)
                return None

            return original(self, once, **kwargs)

        return register_forward_hook

    patch(nn.Module, "register_forward_hook", broken)


@breaks("reuse-bn-updates-each-time")
def statistics_move_every_other_time(patch):
    """The running mean moves by the input of the first use of two, twice as far."""

    def broken(original):
        def batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            if training and mean.any():
                return original(x, mean.clone(), variance, weight, bias, training, momentum, eps)
            return original(x, mean, variance, weight, bias, training, momentum, eps)

        return batch_norm

    patch(F, "batch_norm", broken)


@breaks("reuse-bn-updates-each-time")
def variance_is_biased_in_later_updates(patch):
    """Updates of the running variance after the first take the biased variance."""

    def broken(original):
        def batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            first = variance is None or not mean.any()
            before = None if first else variance.clone()
            output = original(x, mean, variance, weight, bias, training, momentum, eps)
            if training and not first:
                count = x.numel() // x.size(1)
                moved = variance - (1 - momentum) * before
                variance.copy_((1 - momentum) * before + moved * (count - 1) / count)
            return output

        return batch_norm

    patch(F, "batch_norm", broken)


@breaks("reuse-bn-updates-each-time")
def counter_moves_in_evaluation(patch):
    """num_batches_tracked counts batches in evaluation too."""

    def broken(original):
        def forward(self, x):
            if not self.training:
                self.num_batches_tracked.add_(1)
            return original(self, x)

        return forward

    patch(nn.BatchNorm2d, "forward", broken)


def _used_before(weight):
    """Whether ``weight`` comes in for the second, fourth, ... time."""
    weight.used = not getattr(weight, "used", False)
    return not weight.used


@breaks("reuse-output-changes")
def second_use_takes_the_transposed_weight(patch):
    """The second use of a weight takes it transposed, as a cached layout of the wrong order would."""

    def broken(original):
        def linear(x, weight, bias=None):
            square = weight.size(0) == weight.size(1)
            return original(x, weight.t() if _used_before(weight) and square else weight, bias)

        return linear

    patch(F, "linear", broken)


@breaks("reuse-grads-add", "reuse-grads-tied-untied")
def second_use_gives_no_gradient(patch):
    """Only the first use of a weight adds to its gradient."""

    def broken(original):
        def operation(x, weight, bias=None, *args, **kwargs):
            return original(x, weight.detach() if _used_before(weight) else weight, bias, *args, **kwargs)

        return operation

    patch(F, "linear", broken)
    patch(F, "conv2d", broken)


@breaks("reuse-grads-add", "reuse-grads-tied-untied")
def gradients_of_uses_are_averaged(patch):
    """The gradient of a weight is the mean over its uses, not the sum."""

    def broken(original):
        def operation(x, weight, bias=None, *args, **kwargs):
            weight.uses = getattr(weight, "uses", 0) + 1
            if weight.uses == 1 and weight.requires_grad:
                weight.register_hook(lambda grad: grad / weight.uses)
            return original(x, weight, bias, *args, **kwargs)

        return operation

    patch(F, "linear", broken)
    patch(F, "conv2d", broken)
