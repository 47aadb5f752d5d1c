"""The cross entropy of a linear transformation, whole or in chunks, beside the formula of both."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import REDUCTIONS
from torchclaims import claim
from torchclaims.comparison import LAYOUTS, assert_formula, laid_out
from torchclaims.covering import covering
from torchclaims.reference import losses
from torchclaims.reference.differentiation import term

# (batch or none, features, classes, further dimensions of the output)
SIZES = {
    "unbatched": (None, 3, 5, ()),
    "batch": (9, 4, 5, ()),
    "one class": (3, 2, 1, ()),
    "one sample": (1, 4, 3, ()),
    "one feature": (5, 1, 4, ()),
    "more classes": (16, 3, 33, ()),
    "one dimension": (4, 3, 5, (2,)),
    "two dimensions": (3, 2, 4, (3, 2)),
}
# None is the reference; in chunks of rows that divide the batch, that do not, of one row, and as each heuristic says.
CHUNKS = {
    "whole": None,
    "auto": {},
    "rows of 1": {"batch_chunk_size": 1},
    "rows of 2": {"batch_chunk_size": 2},
    "rows of 4": {"batch_chunk_size": 4, "acc_policy": "accurate"},
    "more rows than there are": {"batch_chunk_size": 64, "acc_policy": "accurate"},
    "aspect ratio": {"chunking_method": "aspect_ratio", "acc_policy": "compact"},
    "aspect ratio, thirds": {"chunking_method": "aspect_ratio:3", "allow_retain_graph": True},
}
IN_CHUNKS = {name: options for name, options in CHUNKS.items() if options is not None}
TARGETS = ("indices", "ignored", "probabilities")
EXTRAS = {
    "plain": {},
    "weighted": {"weight": True},
    "smooth": {"label_smoothing": 0.25},
    "biased": {"bias": True},
    "all": {"weight": True, "label_smoothing": 0.125, "bias": True},
}


def options_of(chunks):
    return None if chunks is None else nn.LinearCrossEntropyOptions(**chunks)


def quietly(function):
    """``function``, whose warning that it takes the reference path is no finding here."""

    def call(*inputs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return function(*inputs)

    return call


class Case:
    """Input, weight, bias and targets of a size, and the formula over them."""

    def __init__(self, cell, rng, size, target="indices", extras=None, layout="plain"):
        batch, features, classes, more = size
        extras = extras or {}
        lead = () if batch is None else (batch,)
        self.more, self.classes, self.features = more, classes, features
        self.x = laid_out(cell, rng.normal(size=(*lead, features)), layout, requires_grad=True)
        self.weight = laid_out(cell, rng.normal(size=(classes, *more, features)), layout, requires_grad=True)
        self.tensors = [self.x, self.weight]
        if extras.get("bias"):
            self.tensors.append(cell.tensor(rng.normal(size=(classes, *more)), requires_grad=True))
        self.class_weight = rng.integers(1, 16, classes) / 8 if extras.get("weight") else None
        self.smoothing = extras.get("label_smoothing", 0.0)
        self.soft = target == "probabilities"
        if self.soft:
            self.y = rng.integers(0, 9, (*lead, classes, *more)) / 8
        else:
            self.y = np.asarray(rng.integers(0, classes, (*lead, *more)))
            if target == "ignored" and self.y.size > 1:
                self.y.flat[::2] = -100
        self.target = cell.tensor(self.y, dtype=None if self.soft else torch.int64)
        self.arguments = {
            "label_smoothing": self.smoothing,
            "weight": None if self.class_weight is None else cell.tensor(self.class_weight),
        }

    def formula(self, reduction):
        def of(x, weight, bias=None):
            flat = weight.reshape(-1, self.features)
            logits = x.reshape(-1, self.features) @ flat.T
            logits = logits if bias is None else logits + bias.reshape(1, -1)
            logits = logits.reshape(*x.shape[:-1], self.classes, *self.more)
            if self.soft:
                y = term(self.y)
                return losses.soft_cross_entropy(logits, y, self.class_weight, self.smoothing, reduction)
            return losses.cross_entropy(logits, self.y, self.class_weight, -100, self.smoothing, reduction)

        return of

    def function(self, reduction, chunks, *, quiet=True):
        def of(x, weight, bias=None):
            return F.linear_cross_entropy(
                x,
                weight,
                self.target,
                linear_bias=bias,
                reduction=reduction,
                options=options_of(chunks),
                **self.arguments,
            )

        return quietly(of) if quiet else of

    def check(self, cell, rng, reduction, chunks):
        assert_formula(cell, rng, self.function(reduction, chunks), self.formula(reduction), self.tensors)


@claim("loss-linear-cross-entropy")
@covering(size=SIZES, target=TARGETS, extras=EXTRAS, reduction=REDUCTIONS)
def test_whole(cell, rng, size, target, extras, reduction):
    Case(cell, rng, size, target, extras).check(cell, rng, reduction, None)


@claim("loss-linear-cross-entropy-chunks")
@covering(
    chunks=IN_CHUNKS,
    size={name: SIZES[name] for name in ("batch", "one sample", "one feature", "more classes")},
    target=TARGETS,
    extras={name: EXTRAS[name] for name in ("plain", "weighted", "biased")},
    reduction=REDUCTIONS,
)
def test_in_chunks(cell, rng, chunks, size, target, extras, reduction):
    Case(cell, rng, size, target, extras).check(cell, rng, reduction, chunks)


@claim("loss-linear-cross-entropy-chunks")
@pytest.mark.parametrize("policy", ["accurate", "compact"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_accumulating_in_full_precision(cell, rng, policy, reduction):
    accumulated = torch.float32 if cell.dtype.itemsize == 2 else cell.dtype
    chunks = {"batch_chunk_size": 4, "acc_policy": policy, "acc_dtype": accumulated}
    Case(cell, rng, (9, 4, 33, ()), extras={"bias": True}).check(cell, rng, reduction, chunks)


@claim("loss-linear-cross-entropy-chunks")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_layouts(cell, rng, layout, reduction):
    Case(cell, rng, (9, 4, 7, ()), layout=layout).check(cell, rng, reduction, {"batch_chunk_size": 2})


@claim("loss-linear-cross-entropy-chunks")
@pytest.mark.parametrize("needed", ["input", "weight"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_only_one_gradient(cell, rng, needed, reduction):
    case = Case(cell, rng, (9, 4, 7, ()))
    case.tensors[["weight", "input"].index(needed)].requires_grad_(False)
    case.check(cell, rng, reduction, {"batch_chunk_size": 4})


@claim("loss-linear-cross-entropy-layer")
@pytest.mark.parametrize("chunks", [None, {"batch_chunk_size": 2}], ids=["whole", "chunks"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("more", [(), (3, 2)], ids=str)
def test_layer(cell, rng, chunks, bias, more):
    layer = nn.LinearCrossEntropyLoss(4, 5, out_features=more, bias=bias, options=options_of(chunks))
    layer = cell.place(layer)
    flat = 5 * int(np.prod(more))
    assert layer.linear.weight.shape == (flat, 4)
    assert list(layer.state_dict()) == (["linear.weight", "linear.bias"] if bias else ["linear.weight"])
    case = Case(cell, rng, (6, 4, 5, more), extras={"bias": bias})
    parameters = {"weight": layer.linear.weight} | ({"bias": layer.linear.bias} if bias else {})
    formula = case.formula("mean")

    def shaped(x, weight, bias=None):
        return formula(x, weight, bias)

    assert_formula(cell, rng, quietly(lambda x: layer(x, case.target)), shaped, [case.x], parameters)


@claim("loss-linear-cross-entropy-ignore-index")
@pytest.mark.parametrize("chunks", [None, {"batch_chunk_size": 2}], ids=["whole", "chunks"])
@pytest.mark.parametrize("index", [-1, 2, 255])
def test_ignored(cell, rng, chunks, index):
    case = Case(cell, rng, (9, 3, 5, ()))
    case.y[::3] = index
    case.y[1] = 0  # so that one is not ignored
    target = cell.tensor(case.y, dtype=torch.int64)

    def formula(x, weight):
        return losses.cross_entropy(x @ weight.T, case.y, None, index, 0.0, "mean")

    def loss(x, weight):
        return F.linear_cross_entropy(x, weight, target, ignore_index=index, options=options_of(chunks))

    assert_formula(cell, rng, loss, formula, case.tensors)


@claim("loss-linear-cross-entropy-one-backward")
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_second_backward(cell, rng, reduction):
    case = Case(cell, rng, (9, 4, 7, ()), extras={"bias": True})
    loss = case.function(reduction, {"batch_chunk_size": 4})(*case.tensors)
    loss.backward(retain_graph=True)
    before = [tensor.grad.clone() for tensor in case.tensors]
    with pytest.raises(RuntimeError):
        loss.backward()
    assert all(torch.equal(tensor.grad, old) for tensor, old in zip(case.tensors, before, strict=True))


@claim("loss-linear-cross-entropy-retained")
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_retained_graph(cell, rng, reduction):
    case = Case(cell, rng, (9, 4, 7, ()), extras={"bias": True})
    chunks = {"batch_chunk_size": 4} | ({} if reduction == "none" else {"allow_retain_graph": True})
    loss = case.function(reduction, chunks)(*case.tensors)
    weights = torch.ones_like(loss)
    first = torch.autograd.grad(loss, case.tensors, weights, retain_graph=True)
    second = torch.autograd.grad(loss, case.tensors, 2 * weights)
    assert all(torch.equal(2 * one, other) for one, other in zip(first, second, strict=True))


REFUSED = {
    "a policy": ({"acc_policy": "loose"}, "invalid acc_policy: 'loose'"),
    "a method": ({"chunking_method": "aspect"}, "invalid chunking_method: 'aspect'"),
    "a factor of 0": ({"chunking_method": "aspect_ratio:0"}, "invalid chunking_method"),
    "no rows": ({"batch_chunk_size": 0}, "batch_chunk_size must be positive"),
    "rows less than none": ({"batch_chunk_size": -2}, "batch_chunk_size must be positive"),
    "an integer dtype": ({"acc_dtype": torch.int32}, "acc_dtype must be one of"),
}


@claim("loss-linear-cross-entropy-options-refused")
@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_options_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nn.LinearCrossEntropyOptions(**options)


@claim("loss-linear-cross-entropy-options-refused")
def test_sizes_that_disagree(cell, rng):
    case = Case(cell, rng, (9, 4, 7, ()))
    with pytest.raises(ValueError, match="give different chunk sizes"):
        case.function("mean", {"batch_chunk_size": 3, "chunking_method": "aspect_ratio"})(*case.tensors)


# What the chunked path has no code for.
WHOLE_ONLY = {
    "a bias of more dimensions": ("one dimension", "indices", {"bias": True}),
    "smooth labels": ("batch", "indices", {"label_smoothing": 0.25}),
}


@claim("loss-linear-cross-entropy-falls-back")
@pytest.mark.parametrize(("size", "target", "extras"), WHOLE_ONLY.values(), ids=WHOLE_ONLY)
def test_not_in_chunks(cell, rng, size, target, extras):
    case = Case(cell, rng, SIZES[size], target, extras)
    with pytest.warns(UserWarning, match="``options`` ignored"):
        case.function("mean", {"batch_chunk_size": 2}, quiet=False)(*case.tensors)
    case.check(cell, rng, "mean", {"batch_chunk_size": 2})
