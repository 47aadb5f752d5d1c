"""How what test_parametrize.py decides could be broken."""

import torch
from torch.nn.utils import parametrizations, parametrize

from torchclaims import breaks

NEW = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 1)


@breaks("parametrize-value")
def parametrizations_apply_in_reverse(patch):
    """The newest parametrization is applied first."""

    def make(original):
        def forward(self):
            value = self.original if self.is_tensor else None
            if value is None:
                return original(self)
            for number in reversed(range(len(self))):
                value = self[number](value)
            return value

        return forward

    patch(parametrize.ParametrizationList, "forward", make)


@breaks("parametrize-value")
def originals_are_detached(patch):
    """Gradients do not reach the original of a buffer or parameter unless the module is in evaluation."""

    def make(original):
        def forward(self):
            value = original(self)
            return value.detach() + 0 * sum(one.sum() for one in self.parameters() if one.requires_grad)

        return forward

    patch(parametrize.ParametrizationList, "forward", make)


@breaks("parametrize-value")
def every_module_counts_as_parametrized(patch):
    """is_parametrized ignores the name."""
    patch(parametrize, "is_parametrized", lambda original: lambda module, name=None: original(module))


@breaks("parametrize-assign")
def assigning_sets_the_original(patch):
    """Assigning sets the original to the value itself."""

    def make(original):
        def right_inverse(self, value):
            with torch.no_grad():
                self.original.copy_(value)

        return right_inverse

    patch(parametrize.ParametrizationList, "right_inverse", make)


@breaks("parametrize-assign")
def assigning_uses_the_last_inverse(patch):
    """Assigning goes through the last parametrization only."""

    def make(original):
        def right_inverse(self, value):
            if len(self) == 1:
                return original(self, value)
            with torch.no_grad():
                self.original.copy_(self[len(self) - 1].right_inverse(value))

        return right_inverse

    patch(parametrize.ParametrizationList, "right_inverse", make)


def _registering(patch, change):
    def make(original):
        def register(module, name, parametrization, *, unsafe=False):
            return change(original, module, name, parametrization, unsafe)

        return register

    patch(parametrize, "register_parametrization", make)


@breaks("parametrize-checked")
def nothing_is_checked(patch):
    """Every parametrization is taken."""
    _registering(patch, lambda original, *given: original(*given[:3], unsafe=True))


@breaks("parametrize-checked")
def unsafe_is_ignored(patch):
    """With unsafe=True the tensor is read without its parametrization."""

    def change(original, module, name, parametrization, unsafe):
        return module if unsafe else original(module, name, parametrization)

    _registering(patch, change)


@breaks("parametrize-mode")
def modes_are_kept(patch):
    """A parametrization keeps its mode."""

    def change(original, module, name, parametrization, unsafe):
        mode = parametrization.training
        original(module, name, parametrization, unsafe=unsafe)
        parametrization.train(mode)
        return module

    _registering(patch, change)


@breaks("parametrize-cached")
def nothing_is_cached(patch):
    """cached() does nothing."""
    from contextlib import nullcontext

    patch(parametrize, "cached", lambda original: nullcontext)


@breaks("parametrize-cached")
def caches_are_kept(patch):
    """What was computed within cached() is used by the next block."""
    kept = {}

    def make(original):
        def cached():
            context = original()

            class Keeping:
                def __enter__(self):
                    context.__enter__()
                    parametrize._cache.update(kept)

                def __exit__(self, *given):
                    kept.update(parametrize._cache)
                    return context.__exit__(*given)

            return Keeping()

        return cached

    patch(parametrize, "cached", make)


def _removing(patch, change):
    def make(original):
        def remove(module, name, leave_parametrized=True):
            return change(original, module, name, leave_parametrized)

        return remove

    patch(parametrize, "remove_parametrizations", make)


@breaks("parametrize-remove")
def originals_are_left(patch):
    """Removing always leaves the original."""
    _removing(patch, lambda original, module, name, leave: original(module, name, leave_parametrized=False))


@breaks("parametrize-remove")
def classes_stay(patch):
    """A module stays of the parametrized class."""

    def change(original, module, name, leave):
        kind = type(module)
        original(module, name, leave_parametrized=leave)
        module.__class__ = type(kind.__name__, (type(module),), {})
        return module

    _removing(patch, change)


def _weight_norm(patch, change):
    if not NEW:
        patch(torch, "norm_except_dim", lambda original: original)
        return
    patch(
        parametrizations,
        "weight_norm",
        lambda original: lambda module, name="weight", dim=0: change(original, module, name, dim),
    )


@breaks("parametrize-weight-norm")
def norms_are_over_everything(patch):
    """weight_norm takes the norm over everything for dim=1."""
    _weight_norm(patch, lambda original, module, name, dim: original(module, name, dim=None if dim == 1 else dim))


@breaks("parametrize-weight-norm")
def weights_begin_at_norm_one(patch):
    """weight_norm begins with g = 1."""

    def change(original, module, name, dim):
        original(module, name, dim=dim)
        module.parametrizations[name].original0.data.fill_(1.0)
        return module

    _weight_norm(patch, change)


def _orthogonal(patch, change):
    def make(original):
        return lambda module, name="weight", **options: change(original, module, name, options)

    patch(parametrizations, "orthogonal", make)


@breaks("parametrize-orthogonal")
def orthogonal_is_so_at_first(patch):
    """After a step the matrix is not orthogonal any more."""

    def change(original, module, name, options):
        original(module, name, **options)
        parametrize.remove_parametrizations(module, name)
        return module

    _orthogonal(patch, change)


@breaks("parametrize-orthogonal")
def wide_matrices_are_taken_as_tall(patch):
    """A wide matrix is left as it is."""

    def change(original, module, name, options):
        shape = getattr(module, name).shape
        return module if shape[-2] < shape[-1] else original(module, name, **options)

    _orthogonal(patch, change)


@breaks("parametrize-orthogonal-initial")
def trivialization_is_ignored(patch):
    """use_trivialization is ignored."""

    def change(original, module, name, options):
        return original(module, name, **{**options, "use_trivialization": False})

    _orthogonal(patch, change)


@breaks("parametrize-orthogonal-initial")
def orthogonal_begins_at_the_identity(patch):
    """An orthogonal matrix becomes its negative."""

    def change(original, module, name, options):
        getattr(module, name).data.neg_()
        return original(module, name, **options)

    _orthogonal(patch, change)


@breaks("parametrize-spectral-norm")
def outputs_are_always_in_front(patch):
    """spectral_norm takes dimension 0 for that of the outputs."""

    def make(original):
        return lambda module, name="weight", **options: original(module, name, **{**options, "dim": 0})

    patch(parametrizations, "spectral_norm", make)


@breaks("parametrize-spectral-norm")
def evaluation_starts_anew(patch):
    """spectral_norm iterates in evaluation by half a step."""

    def make(original):
        def forward(self, weight):
            if not self.training and weight.ndim > 1:
                self._u.copy_(torch.nn.functional.normalize(weight.detach().flatten(1) @ self._v, dim=0))
            return original(self, weight)

        return forward

    patch(parametrizations._SpectralNorm, "forward", make)


@breaks("parametrize-spectral-norm")
def evaluation_iterates_too(patch):
    """spectral_norm iterates in evaluation, and forgets a little."""

    def make(original):
        def forward(self, weight):
            if not self.training and weight.ndim > 1:
                self._u.neg_()
            return original(self, weight)

        return forward

    patch(parametrizations._SpectralNorm, "forward", make)


def _calling(patch, change):
    """``change(original, module, given, args, kwargs, options)`` is what functional_call does."""

    def make(original):
        def functional_call(module, given, args=None, kwargs=None, **options):
            return change(original, module, given, args, kwargs, options)

        return functional_call

    patch(torch.func, "functional_call", make)


@breaks("functional-call")
def values_stay(patch):
    """What was given stays in the module."""

    def change(original, module, given, args, kwargs, options):
        try:
            return original(module, given, args, kwargs, **options)
        finally:
            for name, value in (given if isinstance(given, dict) else {}).items():
                if name in module._parameters:
                    module._parameters[name].data.copy_(value.data)

    _calling(patch, change)


@breaks("functional-call")
def only_the_first_dictionary_counts(patch):
    """Of several dictionaries only the first counts."""

    def change(original, module, given, args, kwargs, options):
        return original(module, given if isinstance(given, dict) else given[0], args, kwargs, **options)

    _calling(patch, change)


@breaks("functional-call-gradients")
def given_tensors_are_detached(patch):
    """What is given is detached."""

    def change(original, module, given, args, kwargs, options):
        copies = {name: value.detach().requires_grad_(value.requires_grad) for name, value in given.items()}
        output = original(module, copies, args, kwargs, **options)

        def spread(grad):
            for value in given.values():
                if value.requires_grad:
                    value.grad = torch.ones_like(value)

        if output.requires_grad:
            output.register_hook(spread)
        return output

    _calling(patch, change)


@breaks("functional-call-gradients")
def replaced_parameters_receive_gradients(patch):
    """The parameters that are replaced receive gradients too."""

    def change(original, module, given, args, kwargs, options):
        return original(module, given, args, kwargs, **options) + 0 * sum(one.sum() for one in module.parameters())

    _calling(patch, change)


@breaks("functional-call-buffers")
def buffers_are_copied_in(patch):
    """A buffer that is given is copied first."""

    def change(original, module, given, args, kwargs, options):
        return original(module, {name: value.clone() for name, value in given.items()}, args, kwargs, **options)

    _calling(patch, change)


@breaks("functional-call-buffers")
def buffers_change_in_the_module(patch):
    """Buffers are changed in the module too."""

    def change(original, module, given, args, kwargs, options):
        output = original(module, given, args, kwargs, **options)
        for name, buffer in module.named_buffers():
            if name in given:
                buffer.copy_(given[name])
        return output

    _calling(patch, change)


@breaks("functional-call-ties")
def ties_are_never_replaced(patch):
    """functional_call replaces a tied parameter only under the name that it is given."""
    _calling(
        patch,
        lambda original, module, given, args, kwargs, options: original(
            module, given, args, kwargs, **{**options, "tie_weights": False}
        ),
    )


@breaks("functional-call-ties")
def ties_are_always_replaced(patch):
    """tie_weights=False is ignored."""
    _calling(
        patch,
        lambda original, module, given, args, kwargs, options: original(
            module, given, args, kwargs, **{**options, "tie_weights": True}
        ),
    )


@breaks("functional-call-strict")
def unexpected_keys_are_ignored(patch):
    """strict=True ignores unexpected keys."""

    def change(original, module, given, args, kwargs, options):
        known = {name: value for name, value in given.items() if name in dict(module.named_parameters())}
        return original(module, known, args, kwargs, **options)

    _calling(patch, change)


@breaks("functional-call-strict")
def missing_keys_are_ignored(patch):
    """strict=True ignores missing keys."""

    def change(original, module, given, args, kwargs, options):
        return original(module, {**dict(module.named_parameters()), **given}, args, kwargs, **options)

    _calling(patch, change)


@breaks("functional-call-distinct")
def the_last_dictionary_wins(patch):
    """A name in two dictionaries has the last one's value."""

    def change(original, module, given, args, kwargs, options):
        if not isinstance(given, dict):
            given = {name: value for one in given for name, value in one.items()}
        return original(module, given, args, kwargs, **options)

    _calling(patch, change)


@breaks("functional-call-distinct")
def one_value_in_two_dictionaries_is_taken(patch):
    """A name in two dictionaries is refused where the values differ."""

    def change(original, module, given, args, kwargs, options):
        if not isinstance(given, dict) and len(given) == 2:
            first, second = given
            given = (first, {name: value for name, value in second.items() if first.get(name) is not value})
        return original(module, given, args, kwargs, **options)

    _calling(patch, change)
