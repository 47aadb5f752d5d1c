"""How what test_contract.py decides could be broken."""

import math

import torch
from torch.nn import init

from test_init.breaking import then
from torchclaims import breaks


@breaks("init-in-place")
def kaiming_returns_a_copy(patch):
    """kaiming_normal_ returns a copy."""
    patch(init, "kaiming_normal_", lambda original: lambda *args, **kwargs: original(*args, **kwargs).clone())


@breaks("init-in-place")
def zeros_replaces_the_storage(patch):
    """zeros_ gives the parameter new storage."""

    def broken(original):
        def zeros_(tensor):
            tensor.data = torch.zeros_like(tensor.data)
            return tensor

        return zeros_

    patch(init, "zeros_", broken)


@breaks("init-in-place")
def uniform_hides_from_the_version_counter(patch):
    """uniform_ fills through .data, so the version is not counted up."""

    def broken(original):
        def uniform_(tensor, a=0.0, b=1.0):
            original(tensor.data, a, b)
            return tensor

        return uniform_

    patch(init, "uniform_", broken)


@breaks("init-in-place")
def trunc_normal_freezes_the_parameter(patch):
    """trunc_normal_ leaves a parameter that requires no gradient."""
    patch(init, "trunc_normal_", then(lambda tensor: tensor.requires_grad_(False)))


@breaks("init-in-place")
def orthogonal_leaves_recording_off(patch):
    """orthogonal_ switches recording off and not on again."""

    def broken(original):
        def orthogonal_(tensor, gain=1):
            original(tensor, gain)
            torch.set_grad_enabled(False)
            return tensor

        return orthogonal_

    patch(init, "orthogonal_", broken)


@breaks("init-view")
def normal_fills_the_storage(patch):
    """normal_ takes a view for its whole storage."""

    def broken(original):
        def normal_(tensor, mean=0.0, std=1.0):
            original(tensor if tensor._base is None else tensor._base, mean, std)
            return tensor

        return normal_

    patch(init, "normal_", broken)


@breaks("init-gain")
def gain_of_tanh_is_upside_down(patch):
    """The gain of tanh is 3/5."""
    patch(
        init,
        "calculate_gain",
        lambda original: lambda name, param=None: 3 / 5 if name == "tanh" else original(name, param),
    )


@breaks("init-gain")
def slope_is_not_squared(patch):
    """The gain of leaky_relu is sqrt(2 / (1 + slope))."""

    def broken(original):
        return lambda name, param=None: original(name, param if param is None else math.sqrt(param))

    patch(init, "calculate_gain", broken)


@breaks("init-gain-errors", "init-refuses")
def unknown_nonlinearities_have_gain_one(patch):
    """A nonlinearity that is not known gets gain 1."""

    def broken(original):
        def calculate_gain(name, param=None):
            return original(name, param) if name in ("relu", "leaky_relu", "tanh", "selu") else 1

        return calculate_gain

    patch(init, "calculate_gain", broken)


@breaks("init-gain-errors")
def a_bool_is_a_slope(patch):
    """True is taken for a slope of one."""

    def broken(original):
        return lambda name, param=None: original(name, float(param) if param is True else param)

    patch(init, "calculate_gain", broken)


@breaks("init-refuses")
def vectors_have_fans(patch):
    """The fans of a vector are its length."""

    def broken(original):
        return lambda tensor: original(tensor) if tensor.dim() > 1 else (tensor.numel(), tensor.numel())

    patch(init, "_calculate_fan_in_and_fan_out", broken)


@breaks("init-refuses")
def dirac_clears_before_it_refuses(patch):
    """dirac_ sets the tensor to zero before it looks at the groups."""

    def broken(original):
        def dirac_(tensor, groups=1):
            tensor.zero_()
            return original(tensor, groups)

        return dirac_

    patch(init, "dirac_", broken)


@breaks("init-refuses")
def unknown_modes_are_fan_in(patch):
    """A mode that is not known is taken for fan_in."""

    def broken(original):
        return lambda tensor, mode: original(tensor, mode if mode.lower() == "fan_out" else "fan_in")

    patch(init, "_calculate_correct_fan", broken)


@breaks("init-zero-elements")
def no_elements_no_warning(patch):
    """A tensor without elements is passed over in silence."""

    def broken(original):
        return lambda tensor, *args, **kwargs: original(tensor, *args, **kwargs) if tensor.numel() else tensor

    patch(init, "kaiming_normal_", broken)


@breaks("init-gain")
def slope_of_zero_is_none(patch):
    """A slope of 0 for leaky_relu is taken for none given."""
    patch(init, "calculate_gain", lambda original: lambda name, param=None: original(name, param or None))


@breaks("init-gain")
def slopes_are_positive(patch):
    """A negative slope for leaky_relu is taken for 0."""

    def broken(original):
        return lambda name, param=None: original(
            name, param if param is None or isinstance(param, str) else max(param, 0)
        )

    patch(init, "calculate_gain", broken)
