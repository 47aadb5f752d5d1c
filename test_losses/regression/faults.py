"""How regression losses could be broken."""

import functools
import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import _reduction as reductions

from test_losses.common import altered, called_with, regraded, tail_not_done, with_option
from torchclaims import breaks


@breaks("loss-l1", "loss-reduction-default")
def l1_of_one_column_is_halved(patch):
    """L1Loss is half of itself where the last axis has few elements."""
    altered(patch, F, "l1_loss", lambda r, x, *a, **k: r / 2 if x.dim() and x.shape[-1] in (1, 5) else r)


@breaks("loss-l1")
def l1_gradient_of_the_mean_forgets_the_count(patch):
    """The gradient of L1Loss' mean is that of its sum."""
    altered(patch, F, "l1_loss", lambda r, x, y, **k: regraded(r, x.numel()) if k.get("reduction") == "mean" else r)


@breaks("loss-l1-complex")
def l1_drops_the_imaginary_part(patch):
    """L1Loss of complex numbers is that of their real parts."""
    called_with(
        patch,
        F,
        "l1_loss",
        lambda x, y, **k: ((x.real, y.real) if x.is_complex() else (x, y), k),
    )


@breaks("loss-mse", "loss-reduction-default")
def mse_tail_not_done(patch):
    """MSELoss leaves out what is left over after whole vectors of eight."""

    def alter(result, x, y, reduction="mean", **_):
        squares = tail_not_done((x - y) ** 2, 8)
        return {"none": squares, "mean": squares.mean(), "sum": squares.sum()}[reduction]

    altered(patch, F, "mse_loss", alter)


@breaks("loss-mse")
def mse_gradient_halved(patch):
    """MSELoss' gradient is that of half the squared error."""
    altered(patch, F, "mse_loss", lambda r, *a, **k: regraded(r, 0.5))


@breaks("loss-smooth-l1", "loss-smooth-l1-limits")
def beta_ignored(patch):
    """SmoothL1Loss' beta is 1 whatever was asked for."""
    with_option(patch, nn.SmoothL1Loss, beta=1.0)


@breaks("loss-smooth-l1", "loss-reduction-default", "loss-huber-is-scaled-smooth-l1")
def smooth_l1_is_huber(patch):
    """SmoothL1Loss does not divide by beta, and halves what has beta 1."""

    def alter(result, x, y, *, reduction, beta):
        return result * beta if beta != 1 else result / 2

    altered(patch, F, "smooth_l1_loss", alter)


@breaks("loss-smooth-l1")
def smooth_l1_linear_piece_not_shifted(patch):
    """Beyond beta the loss is |x - y|, without beta / 2."""

    def alter(result, x, y, *, reduction, beta):
        losses = torch.where((x - y).abs() < beta, (x - y) ** 2 / (2 * max(beta, 1e-9)), (x - y).abs())
        return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]

    altered(patch, F, "smooth_l1_loss", alter)


@breaks("loss-smooth-l1-limits")
def negative_beta_taken(patch):
    """A negative beta counts as its absolute value."""
    with_option(patch, nn.SmoothL1Loss, beta=abs)


@breaks("loss-smooth-l1-limits")
def beta_zero_divides_the_gradient(patch):
    """With beta 0 the gradient is halved."""
    altered(patch, F, "smooth_l1_loss", lambda r, x, y, *, reduction, beta: regraded(r, 0.5) if beta == 0 else r)


@breaks("loss-huber", "loss-huber-is-scaled-smooth-l1")
def delta_ignored(patch):
    """HuberLoss' delta is 1 whatever was asked for."""
    with_option(patch, nn.HuberLoss, delta=1.0)


@breaks("loss-huber", "loss-reduction-default")
def huber_squares_not_halved(patch):
    """HuberLoss' quadratic piece is not halved."""

    def alter(result, x, y, *, reduction, delta):
        losses = torch.where((x - y).abs() < delta, (x - y) ** 2, delta * ((x - y).abs() - 0.5 * delta))
        return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]

    altered(patch, F, "huber_loss", alter)


@breaks("loss-huber")
def huber_gradient_unclipped(patch):
    """HuberLoss' gradient is x - y, also beyond delta."""

    def alter(result, x, y, *, reduction, delta):
        half = 0.5 * (x - y) ** 2
        straight = {"none": half, "mean": half.mean(), "sum": half.sum()}[reduction]
        return result.detach() + straight - straight.detach()

    altered(patch, F, "huber_loss", alter)


@breaks("loss-huber-positive-delta")
def huber_takes_any_delta(patch):
    """A delta that is not positive is replaced by a small one."""
    with_option(patch, nn.HuberLoss, delta=lambda delta: max(delta, 1e-6))


@breaks("loss-poisson", "loss-reduction-default")
def poisson_log_input_by_default_off(patch):
    """exp is left out of the loss of log-rates."""
    altered(patch, F, "poisson_nll_loss", lambda r, x, y, *, log_input, **k: r - x.mean() if log_input else r)


@breaks("loss-poisson")
def stirling_at_one(patch):
    """Stirling's approximation is added where the target is exactly 1, too."""

    def alter(result, x, y, *, full, reduction, **_):
        return result + torch.where(y == 1, 0.08, 0.0) if full and reduction == "none" else result

    altered(patch, F, "poisson_nll_loss", alter)


@breaks("loss-poisson")
def stirling_without_pi(patch):
    """Stirling's approximation lacks log(2 pi) / 2 where targets are large."""

    def alter(result, x, y, *, full, reduction, **_):
        return result - torch.where(y > 10, 0.92, 0.0) if full and reduction == "none" else result

    altered(patch, F, "poisson_nll_loss", alter)


@breaks("loss-poisson", "loss-poisson-eps")
def poisson_eps_large(patch):
    """eps is a hundred times as large."""
    with_option(patch, nn.PoissonNLLLoss, eps=lambda eps: 1e5 * eps)


@breaks("loss-gaussian", "loss-gaussian-clamp", "loss-reduction-default")
def variance_is_a_deviation(patch):
    """The logarithm is that of the standard deviation."""

    def alter(result, x, y, var, *, full, eps, reduction):
        extra = -0.25 * torch.as_tensor(var).clamp(min=eps).log()
        return result + (extra.mean() if reduction == "mean" else extra.sum() if reduction == "sum" else extra)

    altered(patch, F, "gaussian_nll_loss", alter)


@breaks("loss-gaussian")
def constant_always_there(patch):
    """The constant term is there when it is not asked for, and missing when it is."""
    with_option(patch, nn.GaussianNLLLoss, full=lambda full: not full)


@breaks("loss-gaussian")
def variance_gets_half_its_gradient(patch):
    """The gradient of var is halved."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, **k: ((x, y, regraded(var, 0.5) if isinstance(var, torch.Tensor) else var), k),
    )


@breaks("loss-gaussian-clamp")
def clamp_stops_the_gradient(patch):
    """A variance below eps gets no gradient."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, *, eps, **k: (
            (x, y, var.clamp(min=eps) if isinstance(var, torch.Tensor) else var),
            {"eps": eps, **k},
        ),
    )


@breaks("loss-gaussian-clamp")
def eps_is_added(patch):
    """eps is added to the variance."""
    called_with(patch, F, "gaussian_nll_loss", lambda x, y, var, *, eps, **k: ((x, y, var + eps), {"eps": eps, **k}))


@breaks("loss-gaussian-clamp")
def clamp_writes_to_var(patch):
    """var itself is raised to eps."""

    def alter(result, x, y, var, *, eps, **_):
        if isinstance(var, torch.Tensor):
            var.data.clamp_(min=eps)
        return result

    altered(patch, F, "gaussian_nll_loss", alter)


@breaks("loss-gaussian-var-shapes", "loss-gaussian-any-dimension-one")
def var_is_averaged(patch):
    """A var of another shape counts as its mean."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, **k: (
            (
                x,
                y,
                var if isinstance(var, torch.Tensor) and var.shape == x.shape else 0 * x + torch.as_tensor(var).mean(),
            ),
            k,
        ),
    )


@breaks("loss-gaussian-var-shapes")
def any_var_taken(patch):
    """A var that does not fit is replaced by ones."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, **k: ((x, y, torch.ones_like(x) if var.numel() in (2, 6, 60) else var), k),
    )


@breaks("loss-gaussian-any-dimension-one")
def var_number_squared(patch):
    """A number given as var counts as a standard deviation."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, **k: ((x, y, var**2 if not isinstance(var, torch.Tensor) else var), k),
    )


@breaks("loss-gaussian-negative-var")
def negative_variance_clamped(patch):
    """A negative variance is raised to eps without a word."""
    called_with(
        patch,
        F,
        "gaussian_nll_loss",
        lambda x, y, var, **k: ((x, y, var.clamp(min=0) if isinstance(var, torch.Tensor) else var), k),
    )


@breaks("loss-reduction-default")
def mean_is_a_sum(patch):
    """Where no reduction is asked for, losses are summed."""

    def make(original):
        def init(self, size_average=None, reduce=None, reduction="mean"):
            original(self, size_average, reduce, "sum" if reduction == "mean" else reduction)

        return init

    patch(nn.modules.loss._Loss, "__init__", make)


@breaks("loss-legacy-reduction")
def reduce_ignored(patch):
    """reduce=False is ignored."""
    called_with(patch, reductions, "legacy_get_string", lambda size_average, reduce, *a, **k: ((size_average, None), k))


@breaks("loss-legacy-reduction")
def reduction_wins(patch):
    """A reduction that is given overrides the deprecated arguments."""

    def make(original):
        def init(self, size_average=None, reduce=None, reduction="mean"):
            original(self, size_average, reduce, reduction)
            self.reduction = reduction

        return init

    patch(nn.modules.loss._Loss, "__init__", make)


@breaks("loss-legacy-reduction")
def no_deprecation_warning(patch):
    """The deprecated arguments are taken without a warning."""

    def make(original):
        @functools.wraps(original)
        def legacy(*args, **kwargs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return original(*args, **kwargs)

        return legacy

    patch(reductions, "legacy_get_string", make)


@breaks("loss-target-size-warns")
def broadcasts_without_a_word(patch):
    """Targets of another size are broadcast without a warning."""
    for name in ("l1_loss", "mse_loss", "huber_loss"):
        called_with(patch, F, name, lambda x, y, **k: (torch.broadcast_tensors(x, y), k))


@breaks("loss-special-values")
def nan_loss_is_zero(patch):
    """A loss that is NaN becomes 0."""
    for name in ("l1_loss", "mse_loss", "huber_loss"):
        altered(patch, F, name, lambda r, *a, **k: r.nan_to_num(0.0, posinf=float("inf")))


@breaks("loss-special-values")
def infinite_loss_is_capped(patch):
    """An infinite loss becomes the largest finite number."""
    altered(patch, F, "smooth_l1_loss", lambda r, *a, **k: r.clamp(max=torch.finfo(r.dtype).max))
