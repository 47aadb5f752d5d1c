"""How what test_distributions.py decides could be broken."""

import math
import warnings

import torch
from torch.nn import init

from test_init.breaking import KAIMING, XAVIER, then, with_options
from torchclaims import breaks

LAYERS = ("init-conv-weight", "init-conv-bias", "init-linear-default")


@breaks(*LAYERS, *KAIMING)
def fans_are_swapped(patch):
    """fan_in and fan_out are swapped."""
    patch(init, "_calculate_fan_in_and_fan_out", lambda original: lambda tensor: original(tensor)[::-1])


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


@breaks("init-normal")
def few_elements_are_narrower(patch):
    """Fewer than sixteen elements, which are not drawn in vectors, get half the standard deviation."""

    def make(original):
        def normal_(tensor, mean=0.0, std=1.0, generator=None):
            return original(tensor, mean, std / 2 if tensor.numel() < 16 else std)

        return normal_

    patch(init, "normal_", make)


@breaks("init-orthogonal")
def a_single_row_has_length_one(patch):
    """A single row is normalised and does not get its gain."""

    def make(original):
        def orthogonal_(tensor, gain=1, generator=None):
            return original(tensor, 1 if len(tensor) == 1 else gain)

        return orthogonal_

    patch(init, "orthogonal_", make)
