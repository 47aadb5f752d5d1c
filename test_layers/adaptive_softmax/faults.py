"""How the adaptive softmax could be broken."""

import torch
from torch import nn

from torchclaims import breaks

F = nn.functional
Layer = nn.AdaptiveLogSoftmaxWithLoss


def altered(patch, name, alter):
    """A method calls ``alter(original, self, *args)``."""
    patch(Layer, name, lambda original: lambda self, *args, **kwargs: alter(original, self, *args, **kwargs))


def initialised(patch, change):
    """The layer is made with ``change(**arguments)``."""

    def make(original):
        def __init__(self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None):
            arguments = {"cutoffs": cutoffs, "div_value": div_value, "head_bias": head_bias}
            original(self, in_features, n_classes, **(arguments | change(**arguments)), device=device, dtype=dtype)

        return __init__

    patch(Layer, "__init__", make)


@breaks("adaptive-softmax-structure")
def divided_by_two(patch):
    """div_value is 2 by default."""
    initialised(patch, lambda cutoffs, div_value, head_bias: {"div_value": 2.0 if div_value == 4.0 else div_value})


@breaks("adaptive-softmax-structure")
def head_always_with_bias(patch):
    """The head has a bias."""
    initialised(patch, lambda cutoffs, div_value, head_bias: {"head_bias": True})


@breaks("adaptive-softmax-structure")
def reset_leaves_the_clusters(patch):
    """reset_parameters leaves the clusters as they are."""
    altered(patch, "reset_parameters", lambda original, self: self.head.reset_parameters())


@breaks("adaptive-softmax-log-prob")
def clusters_alone(patch):
    """log_prob of a class beyond the shortlist is its cluster's alone."""

    def alter(original, self, x):
        out = original(self, x)
        head = F.log_softmax(self.head(x), 1)
        for i, start in enumerate(self.cutoffs[:-1]):
            out[:, start : self.cutoffs[i + 1]] -= head[:, self.shortlist_size + i, None]
        return out

    altered(patch, "log_prob", alter)


@breaks("adaptive-softmax-log-prob")
def last_cluster_in_lower_precision(patch):
    """log_prob is rounded to half precision."""
    altered(patch, "log_prob", lambda original, self, x: original(self, x).half().to(x.dtype))


def _with(result, **changes):
    return result._replace(**changes)


@breaks("adaptive-softmax-forward")
def loss_is_a_sum(patch):
    """The loss is a sum."""

    def alter(original, self, x, target):
        result = original(self, x, target)
        return _with(result, loss=result.loss * max(1, target.numel()))

    altered(patch, "forward", alter)


@breaks("adaptive-softmax-forward")
def outputs_sorted_by_cluster(patch):
    """The outputs come cluster by cluster."""

    def alter(original, self, x, target):
        result = original(self, x, target)
        if target.dim() == 0:
            return result
        order = (target >= self.shortlist_size).to(torch.int64).sort(stable=True).indices
        return _with(result, output=result.output[order.flip(0)])

    altered(patch, "forward", alter)


@breaks("adaptive-softmax-forward")
def one_sample_keeps_its_batch(patch):
    """Without a batch, the output has one."""

    def alter(original, self, x, target):
        result = original(self, x, target)
        return _with(result, output=result.output.reshape(-1))

    altered(patch, "forward", alter)


@breaks("adaptive-softmax-predict")
def predicts_the_cluster_start(patch):
    """Beyond the shortlist the first class of the cluster is predicted."""

    def alter(original, self, x):
        best = self.head(x).argmax(1)
        starts = torch.tensor([*range(self.shortlist_size), *self.cutoffs[:-1]], device=x.device)
        return starts[best]

    altered(patch, "predict", alter)


@breaks("adaptive-softmax-predict")
def predicts_within_the_shortlist(patch):
    """When all samples lie beyond the shortlist, the head's choice is returned as it is."""

    def alter(original, self, x):
        best = self.head(x).argmax(1)
        return best if bool((best >= self.shortlist_size).all()) else original(self, x)

    altered(patch, "predict", alter)


@breaks("adaptive-softmax-evaluates-what-it-needs")
def all_clusters_evaluated(patch):
    """All clusters are evaluated."""

    def alter(original, self, x, target):
        if x.dim() == 2:
            for cluster in self.tail:
                cluster(x[:1])
        return original(self, x, target)

    altered(patch, "forward", alter)


@breaks("adaptive-softmax-refused")
def cutoffs_sorted(patch):
    """Cutoffs are sorted and made unique."""
    initialised(patch, lambda cutoffs, div_value, head_bias: {"cutoffs": sorted({max(1, c) for c in cutoffs})})


@breaks("adaptive-softmax-refused")
def targets_clamped(patch):
    """Targets below 0 count as 0."""
    altered(patch, "forward", lambda original, self, x, target: original(self, x, target.clamp(min=0)))


@breaks("adaptive-softmax-last-target")
def n_classes_is_the_last_class(patch):
    """A target of n_classes counts as the last class, as the page allows."""

    def alter(original, self, x, target):
        return original(self, x, torch.where(target == self.n_classes, target - 1, target))

    altered(patch, "forward", alter)
