"""How initialisation could be broken."""

import math
import warnings

import torch
from torch import nn
from torch.nn import init

from torchclaims import breaks

CONVOLUTION = nn.modules.conv._ConvNd
NORMALISATION = nn.modules.batchnorm._NormBase

KAIMING = ("init-kaiming-uniform", "init-kaiming-normal")
XAVIER = ("init-xavier-uniform", "init-xavier-normal")
LAYERS = ("init-conv-weight", "init-conv-bias", "init-linear-default")


def then(change):
    """Makes a replacement that calls the original and then ``change(tensor)`` without a record."""

    def make(original):
        def broken(tensor, *args, **kwargs):
            result = original(tensor, *args, **kwargs)
            with torch.no_grad():
                change(tensor)
            return result

        return broken

    return make


def with_options(**changed):
    """Makes a replacement with other keyword arguments, each a function of the given one or None."""

    def make(original):
        def broken(tensor, *args, **kwargs):
            replaced = {name: change(kwargs.get(name)) for name, change in changed.items()}
            return original(tensor, *args, **{**kwargs, **replaced})

        return broken

    return make


# Default initialisation of layers


@breaks(*LAYERS, *KAIMING)
def fans_are_swapped(patch):
    """fan_in and fan_out are swapped."""
    patch(init, "_calculate_fan_in_and_fan_out", lambda original: lambda tensor: original(tensor)[::-1])


@breaks("init-conv-weight", "init-conv-bias", *XAVIER, *KAIMING)
def fans_count_one_side_of_the_kernel(patch):
    """Of a kernel's sizes only the last one counts in the fans."""

    def broken(original):
        def fans(tensor):
            original(tensor)
            size = tensor.size(-1) if tensor.dim() > 2 else 1
            return tensor.size(1) * size, tensor.size(0) * size

        return fans

    patch(init, "_calculate_fan_in_and_fan_out", broken)


@breaks("init-conv-weight", "init-linear-default", "init-gain", "init-kaiming-uniform", "init-kaiming-normal")
def the_slope_of_leaky_relu_is_ignored(patch):
    """calculate_gain takes the default slope whatever is given."""
    patch(init, "calculate_gain", lambda original: lambda name, param=None: original(name))


@breaks("init-conv-bias")
def bias_of_convolutions_is_zero(patch):
    """A convolution's bias starts at zero."""
    patch(CONVOLUTION, "reset_parameters", then(lambda conv: conv.bias is not None and conv.bias.zero_()))


@breaks("init-conv-bias")
def bias_of_convolutions_is_drawn_by_fan_out(patch):
    """A convolution's bias is drawn by the weight's fan_out."""

    def redraw(conv):
        if conv.bias is not None:
            bound = 1 / math.sqrt(init._calculate_fan_in_and_fan_out(conv.weight)[1])
            conv.bias.uniform_(-bound, bound)

    patch(CONVOLUTION, "reset_parameters", then(redraw))


@breaks("init-conv-bias", "init-conv-weight")
def groups_are_forgotten_in_convolutions(patch):
    """k has no factor groups: the bound is that of a convolution over all input channels."""

    def rescale(conv):
        for parameter in conv.parameters():
            parameter.div_(math.sqrt(conv.groups))

    patch(CONVOLUTION, "reset_parameters", then(rescale))


@breaks("init-linear-default")
def linear_is_drawn_by_kaiming_with_slope_zero(patch):
    """Linear's weight is too wide by sqrt(3)."""
    patch(nn.Linear, "reset_parameters", then(lambda linear: linear.weight.mul_(math.sqrt(3))))


@breaks("init-linear-default")
def bias_of_linear_is_positive(patch):
    """Linear's bias is drawn from U(0, bound)."""
    patch(nn.Linear, "reset_parameters", then(lambda linear: linear.bias.abs_()))


@breaks("init-linear-default")
def linear_is_drawn_normally(patch):
    """Linear's weight is normal, with the right variance."""
    patch(
        nn.Linear,
        "reset_parameters",
        then(lambda linear: linear.weight.normal_(0, (3 * linear.in_features) ** -0.5)),
    )


@breaks("init-batchnorm-default")
def weight_of_normalisation_is_drawn(patch):
    """The weight of batch normalisation is drawn from U(0, 1), as before PyTorch 1.2."""
    patch(NORMALISATION, "reset_parameters", then(lambda norm: norm.weight.uniform_()))


@breaks("init-batchnorm-default")
def reset_leaves_the_running_statistics(patch):
    """reset_parameters resets weight and bias, but not the running statistics."""
    patch(NORMALISATION, "reset_running_stats", lambda original: lambda norm: None)


@breaks("init-batchnorm-default")
def running_variance_starts_at_zero(patch):
    """running_var starts at zero, as running_mean does."""
    patch(NORMALISATION, "reset_running_stats", then(lambda norm: norm.running_var.zero_()))


@breaks("init-fresh-draws", "init-seed")
def layers_seed_themselves(patch):
    """Each layer is drawn from a fixed seed."""

    def broken(original):
        def kaiming_uniform_(*args, **kwargs):
            torch.manual_seed(0)
            return original(*args, **kwargs)

        return kaiming_uniform_

    patch(init, "kaiming_uniform_", broken)


@breaks("init-fresh-draws")
def draws_are_used_twice(patch):
    """The second half of a weight repeats the first with the other sign."""

    def repeat(tensor):
        half = tensor.size(0) // 2
        tensor[half : 2 * half] = -tensor[:half]

    patch(init, "kaiming_uniform_", then(repeat))


@breaks("init-fresh-draws")
def biases_come_in_pairs(patch):
    """Every second bias of a convolution is that of the channel before."""
    patch(
        CONVOLUTION,
        "reset_parameters",
        then(lambda conv: conv.bias is not None and conv.bias[1::2].copy_(conv.bias[:-1:2])),
    )


@breaks("init-fresh-draws")
def neighbours_are_correlated(patch):
    """Tensor.normal_ gives neighbours a correlation of 0.14, and every element the right distribution."""

    def broken(original):
        def normal_(tensor, mean=0.0, std=1.0, **kwargs):
            original(tensor, 0.0, std, **kwargs)
            with torch.no_grad():
                return tensor.copy_(0.98**0.5 * tensor + 0.02**0.5 * tensor.roll(1, -1)).add_(mean)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-seed")
def the_seed_does_not_reach_biases(patch):
    """Values come from a generator that manual_seed does not seed."""
    generators = {}

    def broken(original):
        def uniform_(tensor, a=0.0, b=1.0):
            generator = generators.setdefault(tensor.device, torch.Generator(tensor.device))
            with torch.no_grad():
                return tensor.uniform_(a, b, generator=generator)

        return uniform_

    patch(init, "uniform_", broken)


@breaks("init-skip")
def skip_init_draws_and_forgets(patch):
    """skip_init draws numbers before it forgets them."""

    def broken(original):
        def skip_init(module_class, *args, **kwargs):
            module_class(*args, **kwargs)
            return original(module_class, *args, **kwargs)

        return skip_init

    patch(nn.utils, "skip_init", broken)


# Distributions


@breaks("init-uniform")
def uniform_ignores_its_lower_bound(patch):
    """uniform_ draws from U(0, b) whatever a is."""
    patch(init, "uniform_", with_options(a=lambda a: 0.0))


@breaks("init-uniform")
def uniform_by_default_is_symmetric(patch):
    """uniform_ draws from U(-1, 1) by default."""
    patch(init, "uniform_", with_options(a=lambda a: -1.0 if a is None else a))


@breaks("init-normal")
def normal_takes_a_variance(patch):
    """normal_ takes its std for a variance."""
    patch(init, "normal_", with_options(std=lambda std: math.sqrt(1.0 if std is None else std)))


@breaks("init-normal")
def normal_cuts_its_tails(patch):
    """normal_ never leaves two standard deviations."""

    def broken(original):
        def normal_(tensor, mean=0.0, std=1.0):
            original(tensor, mean, std)
            with torch.no_grad():
                return tensor.clamp_(mean - 2 * std, mean + 2 * std)

        return normal_

    patch(init, "normal_", broken)


@breaks("init-xavier-uniform")
def xavier_uniform_takes_the_deviation_for_the_bound(patch):
    """xavier_uniform_ draws between plus and minus one standard deviation."""
    patch(init, "xavier_uniform_", then(lambda tensor: tensor.div_(math.sqrt(3))))


@breaks("init-xavier-normal")
def xavier_normal_averages_no_fans(patch):
    """xavier_normal_ has 1 over the sum of the fans, not over their mean."""
    patch(init, "xavier_normal_", then(lambda tensor: tensor.div_(math.sqrt(2))))


@breaks(*XAVIER)
def xavier_squares_its_gain(patch):
    """Xavier's gain counts twice."""
    for name in ("xavier_uniform_", "xavier_normal_"):
        patch(init, name, with_options(gain=lambda gain: gain**2))


@breaks(*XAVIER)
def xavier_uses_fan_in_alone(patch):
    """Xavier takes twice fan_in for the sum of the fans."""
    patch(init, "_calculate_fan_in_and_fan_out", lambda original: lambda tensor: (original(tensor)[0],) * 2)


@breaks(*KAIMING, "init-vgg-conv-kaiming")
def kaiming_ignores_its_mode(patch):
    """Kaiming takes fan_in in either mode."""
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        patch(init, name, with_options(mode=lambda mode: "fan_in"))


@breaks(*KAIMING)
def kaiming_uses_its_slope_with_relu(patch):
    """The slope `a` counts with relu as it does with leaky_relu."""
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        patch(
            init,
            name,
            with_options(nonlinearity=lambda name: "leaky_relu" if name == "relu" else name or "leaky_relu"),
        )


@breaks("init-kaiming-uniform")
def kaiming_uniform_forgets_the_three(patch):
    """kaiming_uniform_ has bound gain / sqrt(fan)."""
    patch(init, "kaiming_uniform_", then(lambda tensor: tensor.div_(math.sqrt(3))))


@breaks("init-kaiming-normal")
def kaiming_normal_is_truncated(patch):
    """kaiming_normal_ cuts at two standard deviations, as some other frameworks do."""
    patch(init, "kaiming_normal_", then(lambda tensor: tensor.clamp_(-2 * tensor.std(), 2 * tensor.std())))


@breaks("init-mode-case")
def capital_modes_are_fan_in(patch):
    """A mode in capitals is taken for fan_in."""
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        patch(init, name, with_options(mode=lambda mode: mode if mode == "fan_out" else "fan_in"))


def _trunc_normal(sample):
    return lambda original: lambda tensor, mean=0.0, std=1.0, a=-2.0, b=2.0: sample(original, tensor, mean, std, a, b)


@breaks("init-trunc-normal", "init-trunc-normal-default")
def truncation_is_ignored(patch):
    """trunc_normal_ is normal_."""
    patch(
        init,
        "trunc_normal_",
        _trunc_normal(lambda original, tensor, mean, std, a, b: tensor.normal_(mean, std)),
    )


@breaks("init-trunc-normal", "init-trunc-normal-default")
def truncation_clamps(patch):
    """trunc_normal_ moves what is outside to the bounds."""
    patch(
        init,
        "trunc_normal_",
        _trunc_normal(lambda original, tensor, mean, std, a, b: tensor.normal_(mean, std).clamp_(a, b)),
    )


@breaks("init-trunc-normal")
def truncation_counts_in_deviations(patch):
    """The bounds of trunc_normal_ are multiples of std around the mean."""
    patch(
        init,
        "trunc_normal_",
        _trunc_normal(
            lambda original, tensor, mean, std, a, b: original(tensor, mean, std, mean + a * std, mean + b * std)
        ),
    )


@breaks("init-trunc-normal-default")
def truncation_is_wider_by_default(patch):
    """trunc_normal_ truncates at three by default."""
    patch(init, "trunc_normal_", with_options(a=lambda a: a or -3.0, b=lambda b: b or 3.0))


@breaks("init-trunc-normal-warns")
def truncation_warns_on_one_side(patch):
    """A mean far above the upper bound goes without a warning."""

    def broken(original):
        def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
            with warnings.catch_warnings():
                if mean > b:
                    warnings.simplefilter("ignore")
                return original(tensor, mean, std, a, b)

        return trunc_normal_

    patch(init, "trunc_normal_", broken)


@breaks("init-orthogonal")
def gain_counts_twice_where_orthogonal_is_transposed(patch):
    """The gain of a wide matrix is applied before and after it is transposed."""

    def broken(original):
        def orthogonal_(tensor, gain=1):
            return original(tensor, gain**2 if tensor.size(0) < tensor[0].numel() else gain)

        return orthogonal_

    patch(init, "orthogonal_", broken)


@breaks("init-orthogonal")
def rows_are_of_length_one_only(patch):
    """orthogonal_ gives rows of the right length that are not orthogonal."""

    def broken(original):
        def orthogonal_(tensor, gain=1):
            rows = torch.randn_like(tensor.flatten(1))
            with torch.no_grad():
                return tensor.copy_((gain * rows / rows.norm(dim=1, keepdim=True)).view_as(tensor))

        return orthogonal_

    patch(init, "orthogonal_", broken)


@breaks("init-orthogonal-fair")
def signs_are_as_the_factorisation_leaves_them(patch):
    """orthogonal_ does not correct the signs of the QR factorisation."""
    patch(
        torch.Tensor,
        "sign",
        lambda original: lambda tensor: torch.ones_like(tensor) if tensor.dim() else original(tensor),
    )


@breaks("init-sparse")
def sparsity_rounds_down(patch):
    """sparse_ has floor(sparsity * rows) zeros in a column."""

    def broken(original):
        def sparse_(tensor, sparsity, std=0.01):
            return original(tensor, math.floor(sparsity * tensor.size(0)) / tensor.size(0), std)

        return sparse_

    patch(init, "sparse_", broken)


@breaks("init-sparse")
def sparsity_is_counted_along_rows(patch):
    """sparse_ counts its zeros in each row, not in each column."""
    patch(
        init,
        "sparse_",
        lambda original: lambda tensor, sparsity, std=0.01: original(tensor.t(), sparsity, std).t(),
    )


@breaks("init-sparse")
def every_column_loses_the_same_rows(patch):
    """sparse_ draws the rows once, for all columns."""

    def broken(original):
        def sparse_(tensor, sparsity, std=0.01):
            with torch.no_grad():
                tensor.normal_(0, std)
                tensor[torch.randperm(tensor.size(0))[: math.ceil(sparsity * tensor.size(0))]] = 0
            return tensor

        return sparse_

    patch(init, "sparse_", broken)


@breaks("init-sparse")
def zeros_are_neighbours(patch):
    """sparse_ draws where the zeros of a column begin; they follow each other."""

    def broken(original):
        def sparse_(tensor, sparsity, std=0.01):
            rows, columns = tensor.shape
            with torch.no_grad():
                tensor.normal_(0, std)
                for column in range(columns):
                    first = torch.randint(rows, ()).item()
                    places = torch.arange(first, first + math.ceil(sparsity * rows)) % rows
                    tensor[places.to(tensor.device), column] = 0
            return tensor

        return sparse_

    patch(init, "sparse_", broken)


@breaks("init-sparse-std")
def sparse_takes_a_variance(patch):
    """sparse_ takes its std for a variance, as the page's N(0, 0.01) reads."""
    patch(init, "sparse_", with_options(std=lambda std: math.sqrt(0.01 if std is None else std)))


# Patterns


@breaks("init-constant")
def constant_is_rounded(patch):
    """constant_ rounds its value to half precision on the way."""

    def broken(original):
        return lambda tensor, val: original(tensor, torch.tensor(val).half().to(torch.bfloat16).item())

    patch(init, "constant_", broken)


@breaks("init-constant")
def ones_leaves_the_last_element(patch):
    """ones_ leaves out the last element of tensors with dimensions."""

    def broken(original):
        def ones_(tensor):
            last = tensor.flatten()[-1:].clone()
            original(tensor)
            with torch.no_grad():
                tensor[(-1,) * tensor.dim()] = last[0]
            return tensor

        return ones_

    patch(init, "ones_", broken)


@breaks("init-eye")
def eye_keeps_what_was_there(patch):
    """eye_ sets the diagonal and leaves the rest."""
    patch(init, "eye_", lambda original: lambda tensor: tensor.fill_diagonal_(1))


@breaks("init-eye")
def eye_wraps_around(patch):
    """The diagonal of a tall matrix begins again below the square."""
    patch(init, "eye_", lambda original: lambda tensor: original(tensor).fill_diagonal_(1, wrap=True))


@breaks("init-dirac", "init-dirac-identity")
def dirac_ignores_groups(patch):
    """dirac_ takes all output channels for one group."""
    patch(init, "dirac_", lambda original: lambda tensor, groups=1: original(tensor))


@breaks("init-dirac")
def dirac_centres_even_kernels_left(patch):
    """The centre of an even kernel is (size - 1) // 2."""

    def broken(original):
        def dirac_(tensor, groups=1):
            with torch.no_grad():
                even = [dim for dim in range(2, tensor.dim()) if tensor.size(dim) % 2 == 0]
                return tensor.copy_(
                    original(tensor, groups).roll([-1] * len(even), even) if even else original(tensor, groups)
                )

        return dirac_

    patch(init, "dirac_", broken)


@breaks("init-dirac-identity")
def same_padding_pads_the_left_more(patch):
    """padding='same' shifts the input by one column."""

    def broken(original):
        return lambda input, *args, **kwargs: original(input.roll(1, -1), *args, **kwargs)

    patch(torch.nn.functional, "conv2d", broken)


# What all functions promise


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


# What the tutorial's loop rests on


@breaks("init-vgg-conv", "init-vgg-linear")
def a_tensor_takes_a_variance(patch):
    """Tensor.normal_ takes its std for a variance."""

    def broken(original):
        def normal_(tensor, mean=0, std=1, **kwargs):
            return original(tensor, mean, math.sqrt(std), **kwargs)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks(
    "init-vgg-conv",
    "init-vgg-linear",
    "init-vgg-conv-bias",
    "init-vgg-linear-bias",
    "init-vgg-batchnorm",
    "init-data-wrong-gradient",
)
def data_is_a_copy(patch):
    """.data is a copy, so that what is filled into it is lost."""
    patch(
        torch.Tensor,
        "data",
        lambda original: property(lambda tensor: original.__get__(tensor).clone(), original.__set__),
    )


@breaks("init-vgg-conv", "init-vgg-conv-kaiming")
def convolutions_misstate_their_channels(patch):
    """out_channels of a convolution is its in_channels."""

    def broken(original):
        def __init__(conv, *args, **kwargs):
            original(conv, *args, **kwargs)
            conv.out_channels = conv.in_channels

        return __init__

    patch(CONVOLUTION, "__init__", broken)


@breaks("init-vgg-batchnorm")
def fill_truncates(patch):
    """fill_ takes whole numbers only."""
    patch(torch.Tensor, "fill_", lambda original: lambda tensor, value: original(tensor, int(value)))


@breaks("init-vgg-batchnorm1d")
def one_normalisation_is_another(patch):
    """BatchNorm1d is derived from BatchNorm2d."""
    patch(
        nn,
        "BatchNorm1d",
        lambda original: type("BatchNorm1d", (nn.BatchNorm2d,), {"_check_input_dim": original._check_input_dim}),
    )


@breaks("init-leaf-error")
def leaves_are_filled_unrecorded(patch):
    """normal_ on a parameter is carried out without a record."""

    def broken(original):
        def normal_(tensor, *args, **kwargs):
            with torch.no_grad():
                return original(tensor, *args, **kwargs)

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-leaf-error")
def the_error_comes_too_late(patch):
    """zero_ on a parameter sets it to zero and then raises."""

    def broken(original):
        def zero_(tensor):
            original(tensor.data)
            return original(tensor)

        return zero_

    patch(torch.Tensor, "zero_", broken)


@breaks("init-no-grad-suffices")
def no_grad_draws_other_numbers(patch):
    """normal_ draws twice where the parameter requires a gradient."""

    def broken(original):
        def normal_(tensor, *args, **kwargs):
            result = original(tensor, *args, **kwargs)
            return original(tensor, *args, **kwargs) if tensor.requires_grad else result

        return normal_

    patch(torch.Tensor, "normal_", broken)


@breaks("init-data-version")
def data_shares_the_version_counter(patch):
    """.data counts changes of the tensor as detach() does."""
    patch(torch.Tensor, "data", lambda original: property(lambda tensor: tensor.detach(), original.__set__))


@breaks("init-data-wrong-gradient")
def a_fill_under_no_grad_is_not_seen(patch):
    """fill_ under no_grad does not count as a change."""

    def broken(original):
        def fill_(tensor, value):
            original(tensor.data, value)
            return tensor

        return fill_

    patch(torch.Tensor, "fill_", broken)


@breaks("init-normal")
def few_elements_are_narrower(patch):
    """Fewer than sixteen elements, which are not drawn in vectors, get half the standard deviation."""

    def make(original):
        def normal_(tensor, mean=0.0, std=1.0, generator=None):
            return original(tensor, mean, std / 2 if tensor.numel() < 16 else std)

        return normal_

    patch(init, "normal_", make)


@breaks("init-fresh-draws")
def remainder_repeats_a_vector(patch):
    """What is left over after whole vectors of sixteen repeats the last of them."""

    def make(original):
        def normal_(self, *args, **kwargs):
            original(self, *args, **kwargs)
            rest = self.numel() % 16
            if self.numel() > 16 and rest and self.is_contiguous():
                self.data.view(-1)[-rest:] = self.data.view(-1)[-rest - 16 : -16].clone()
            return self

        return normal_

    patch(torch.Tensor, "normal_", make)


@breaks("init-gain")
def slope_of_zero_is_none(patch):
    """A slope of 0 for leaky_relu is taken for none given."""
    patch(init, "calculate_gain", lambda original: lambda name, param=None: original(name, param or None))


@breaks("init-orthogonal")
def a_single_row_has_length_one(patch):
    """A single row is normalised and does not get its gain."""

    def make(original):
        def orthogonal_(tensor, gain=1, generator=None):
            return original(tensor, 1 if len(tensor) == 1 else gain)

        return orthogonal_

    patch(init, "orthogonal_", make)
