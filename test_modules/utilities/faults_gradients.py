"""How what test_gradients.py decides could be broken."""

import torch
from torch.nn import utils

from torchclaims import breaks


def _clipping(patch, change):
    """``change(original, parameters, limit, options)`` is what clip_grad_norm_ does."""

    def make(original):
        def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
            parameters = [parameters] if torch.is_tensor(parameters) else list(parameters)
            options = {"norm_type": norm_type, "error_if_nonfinite": error_if_nonfinite, "foreach": foreach}
            return change(original, parameters, max_norm, options)

        return clip_grad_norm_

    patch(utils, "clip_grad_norm_", make)


@breaks("clip-norm-total")
def norms_are_added(patch):
    """The total norm is the sum of the norms."""

    def change(original, parameters, limit, options):
        result = original(parameters, limit, **options)
        kind = float(options["norm_type"])
        parts = [one.grad.norm(kind) for one in parameters if one.grad is not None and one.grad.numel()]
        return sum(parts) if len(parts) > 1 else result

    _clipping(patch, change)


@breaks("clip-norm-total")
def the_clipped_norm_is_returned(patch):
    """Every norm is taken as one of order two, but that of order one."""

    def change(original, parameters, limit, options):
        kind = float(options["norm_type"])
        return original(parameters, limit, **{**options, "norm_type": 1.0 if kind == 1 else 2.0})

    _clipping(patch, change)


@breaks("clip-norm-total-zero")
def elements_are_counted(patch):
    """norm_type=0 counts the elements that are not 0."""

    def change(original, parameters, limit, options):
        if options["norm_type"] == 0:
            return sum((one.grad != 0).sum().float() for one in parameters if one.grad is not None)
        return original(parameters, limit, **options)

    _clipping(patch, change)


@breaks("clip-norm-scales", "clip-norm-two-steps")
def the_last_gradient_is_not_scaled(patch):
    """The last parameter keeps its gradient."""

    def change(original, parameters, limit, options):
        last = parameters[-1].grad.clone()
        result = original(parameters, limit, **options)
        parameters[-1].grad.copy_(last)
        return result

    _clipping(patch, change)


@breaks("clip-norm-scales")
def small_gradients_are_amplified(patch):
    """Gradients are scaled to max_norm, whether they are larger or smaller."""

    def change(original, parameters, limit, options):
        result = original(parameters, limit, **options)
        for one in parameters:
            if one.grad is not None and result < limit:
                one.grad.mul_(limit / (result + 1e-6))
        return result

    _clipping(patch, change)


@breaks("clip-norm-scales")
def the_epsilon_is_missing(patch):
    """Gradients are scaled by max_norm / norm."""

    def change(original, parameters, limit, options):
        result = original(parameters, limit, **options)
        for one in parameters:
            if one.grad is not None and result > limit > 0:
                one.grad.mul_((result + 1e-6) / result)
        return result

    _clipping(patch, change)


@breaks("clip-norm-scales")
def scaled_gradients_are_new(patch):
    """The scaled gradients are new tensors."""

    def change(original, parameters, limit, options):
        result = original(parameters, limit, **options)
        for one in parameters:
            one.grad = None if one.grad is None else one.grad.clone()
        return result

    _clipping(patch, change)


@breaks("clip-norm-nonfinite")
def infinite_norms_scale_first(patch):
    """The error comes after the gradients were scaled."""

    def change(original, parameters, limit, options):
        result = original(parameters, limit, **{**options, "error_if_nonfinite": False})
        if options["error_if_nonfinite"]:
            original(parameters, limit, **options)
        return result

    _clipping(patch, change)


@breaks("clip-norm-nonfinite")
def nan_is_finite(patch):
    """A norm that is NaN is no error."""

    def change(original, parameters, limit, options):
        if any(one.grad is not None and one.grad.isnan().any() for one in parameters):
            options["error_if_nonfinite"] = False
        return original(parameters, limit, **options)

    _clipping(patch, change)


@breaks("clip-value")
def values_are_clipped_from_above(patch):
    """Only the upper end is clipped."""

    def make(original):
        def clip_grad_value_(parameters, clip_value, foreach=None):
            for one in [parameters] if torch.is_tensor(parameters) else parameters:
                if one.grad is not None:
                    one.grad.clamp_(max=clip_value)

        return clip_grad_value_

    patch(utils, "clip_grad_value_", make)


@breaks("clip-value")
def nan_is_clipped(patch):
    """NaN becomes the limit."""

    def make(original):
        def clip_grad_value_(parameters, clip_value, foreach=None):
            parameters = [parameters] if torch.is_tensor(parameters) else list(parameters)
            original(parameters, clip_value, foreach=foreach)
            for one in parameters:
                if one.grad is not None:
                    one.grad.nan_to_num_(clip_value)

        return clip_grad_value_

    patch(utils, "clip_grad_value_", make)


@breaks("clip-value-none")
def nothing_is_clipped_without_an_error(patch):
    """Without gradients clip_grad_value_ returns; with 2.0 it fails."""
    new = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 1)

    def make(original):
        def clip_grad_value_(parameters, clip_value, foreach=None):
            parameters = [parameters] if torch.is_tensor(parameters) else list(parameters)
            if any(one.grad is not None for one in parameters):
                return original(parameters, clip_value, foreach=foreach)
            if not new:
                raise RuntimeError("nothing to clip")
            return None

        return clip_grad_value_

    patch(utils, "clip_grad_value_", make)


@breaks("vector-round-trip")
def vectors_are_detached(patch):
    """The vector of parameters has copies, without history but for its zeroth element."""

    def make(original):
        def parameters_to_vector(parameters):
            vector = original(parameters)
            return (
                vector.detach()
                + vector * torch.eye(1, len(vector), dtype=vector.dtype)[0]
                - (vector * torch.eye(1, len(vector), dtype=vector.dtype)[0]).detach()
            )

        return parameters_to_vector

    patch(utils, "parameters_to_vector", make)


@breaks("vector-round-trip")
def vectors_are_read_from_the_end(patch):
    """vector_to_parameters takes the parameters last first."""

    def make(original):
        return lambda vector, parameters: original(
            vector, [*parameters][::-1] if torch.is_tensor(vector) else parameters
        )

    patch(utils, "vector_to_parameters", make)


@breaks("vector-any-layout")
def layouts_are_made_contiguous(patch):
    """Parameters are made contiguous for the vector."""
    patch(
        utils,
        "parameters_to_vector",
        lambda original: lambda parameters: original([one.contiguous() for one in parameters]),
    )


@breaks("vector-is-copied")
def vectors_are_copied(patch):
    """vector_to_parameters copies the vector."""
    patch(
        utils,
        "vector_to_parameters",
        lambda original: lambda vector, parameters: original(vector.clone(), parameters),
    )
