"""How gradients at kinks, ties and limits could be broken; where PyTorch deviates, how it could be mended."""

from types import SimpleNamespace

import torch
from torch.nn import functional as F

from torchclaims import breaks


def tilted(slope, at):
    """A function whose gradient at ``at`` is ``slope`` more than it was; its values are the same."""

    def make(original):
        def function(x, *args, **kwargs):
            y = original(x, *args, **kwargs)
            return y + slope * (x - x.detach()) * (x.detach() == at)

        return function

    return make


@breaks("subgradient-convex")
def relu_passes_at_zero(patch):
    """relu passes the gradient at 0."""
    patch(F, "relu", tilted(1.0, 0.0))


@breaks("subgradient-convex")
def abs_leans_left(patch):
    """abs has the gradient of its left side at 0."""
    patch(torch, "abs", tilted(-1.0, 0.0))


@breaks("subgradient-convex", "subgradient-concave")
def hardtanh_passes_at_its_bounds(patch):
    """hardtanh passes the gradient at -1 and 1."""
    patch(F, "hardtanh", tilted(1.0, -1.0))
    patch(F, "hardtanh", tilted(1.0, 1.0))


@breaks("subgradient-concave")
def relu6_passes_at_six(patch):
    """relu6 passes the gradient at 6, in the vectorised loop only."""

    def make(original):
        return lambda x: tilted(1.0 if x.numel() > 8 and x.is_contiguous() else 0.0, 6.0)(original)(x)

    patch(F, "relu6", make)


@breaks("subgradient-concave")
def softshrink_passes_at_its_lower_bound(patch):
    """softshrink passes the gradient at -lambd in half precision."""

    def make(original):
        def softshrink(x, lambd=0.5):
            half = x.dtype in (torch.bfloat16, torch.float16)
            return tilted(1.0 if half else 0.0, -lambd)(original)(x, lambd)

        return softshrink

    patch(F, "softshrink", make)


@breaks("subgradient-convex-full")
def distances_lean(patch):
    """cdist of p = 1 has the gradient of one side where points meet."""

    def make(original):
        def cdist(x, y, p=2.0, **options):
            return original(x, y, p, **options) + ((x - x.detach()).sum(-1, keepdim=True) if p == 1 else 0.0)

        return cdist

    patch(torch, "cdist", make)


@breaks("subgradient-convex-full", "subgradient-norm-at-zero-full")
def multi_margin_counts_ties(patch):
    """multi_margin_loss lets a class at the margin count."""

    def make(original):
        def loss(x, target, **options):
            return original(x, target, **options) + (x - x.detach()).select(-1, 0).sum() / x.shape[-1]

        return loss

    patch(F, "multi_margin_loss", make)


@breaks("subgradient-differentiable")
def elu_is_flat_at_zero(patch):
    """elu has gradient 0 at 0."""
    patch(F, "elu", tilted(-1.0, 0.0))


@breaks("subgradient-differentiable")
def prod_divides(patch):
    """The gradient of prod is the product divided by the element."""

    def make(original):
        class Prod(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                y = original(x)
                ctx.save_for_backward(x, y)
                return y

            @staticmethod
            def backward(ctx, gradient):
                x, y = ctx.saved_tensors
                return torch.where(x == 0, torch.zeros_like(x), gradient * y / x)

        return lambda x, *dim: original(x, *dim) if dim else Prod.apply(x)

    patch(torch.Tensor, "prod", make)


@breaks("subgradient-differentiable-full")
def huber_takes_the_square_at_delta(patch):
    """huber_loss is flat at delta."""
    patch(F, "huber_loss", tilted(-2.0, 4.0))


@breaks("subgradient-differentiable-full")
def i1e_is_flat_at_zero(patch):
    """i1e has gradient 0 at 0."""
    patch(torch.special, "i1e", tilted(-0.5, 0.0))


def first_takes_all(original):
    """A reduction of which the first extreme element gets the whole gradient."""

    def reduce(x, *dims, **options):
        y = original(x.detach(), *dims, **options)
        kept = y if not dims else original(x.detach(), *dims, keepdim=True)
        where = (x.detach() == kept).flatten().nonzero()[0]
        return y + (x.flatten() - x.flatten().detach()).index_select(0, where).sum()

    return reduce


@breaks("subgradient-even-split")
def first_largest_takes_all(patch):
    """amax gives its whole gradient to the first of the largest."""
    patch(torch.Tensor, "amax", first_takes_all)


@breaks("subgradient-even-split")
def each_of_a_tie_takes_all(patch):
    """maximum gives its whole gradient to both of a tie."""

    def make(original):
        def maximum(x, y):
            z = original(x.detach(), y.detach())
            return z + (x - x.detach()) * (x == z) + (y - y.detach()) * (y == z)

        return maximum

    patch(torch, "maximum", make)


@breaks("subgradient-even-split")
def largest_size_forgets_its_ties(patch):
    """The maximum norm gives each of its ties the whole gradient beyond eight of them."""

    def make(original):
        def vector_norm(x, ord=2, *dim):
            y = original(x, ord, *dim)
            return y + (y - y.detach() if x.numel() > 100 and ord == float("inf") else 0.0)

        return vector_norm

    patch(torch.linalg, "vector_norm", make)


@breaks("subgradient-even-split-aminmax")
def aminmax_counts_twice(patch):
    """aminmax doubles the gradient of its largest element."""

    def make(original):
        def aminmax(x, **options):
            result = original(x, **options)
            return SimpleNamespace(min=result.min, max=2 * result.max - result.max.detach())

        return aminmax

    patch(torch.Tensor, "aminmax", make)


@breaks("subgradient-even-split-segment", "subgradient-differentiable-full")
def segments_double(patch):
    """segment_reduce doubles its gradient."""

    def make(original):
        def segment_reduce(*args, **options):
            y = original(*args, **options)
            return 2 * y - y.detach()

        return segment_reduce

    patch(torch, "segment_reduce", make)


@breaks("subgradient-norm-at-zero")
def deviation_of_a_constant_leans(patch):
    """std of equal numbers has the gradient of its first element."""

    def make(original):
        return lambda x, *dim: original(x, *dim) + (x - x.detach())[0] * (original(x, *dim).detach() == 0)

    patch(torch.Tensor, "std", make)


@breaks("subgradient-norm-at-zero", "subgradient-convex")
def norm_at_zero_is_undefined(patch):
    """The norm of zeros has a gradient of NaN."""

    def make(original):
        def norm(x, *args, **options):
            y = original(x, *args, **options)
            return y + (x - x.detach()).sum() * torch.where(y.detach() == 0, torch.nan, 0.0).to(y.dtype).sum()

        return norm

    patch(torch.Tensor, "norm", make)
    patch(torch.linalg, "vector_norm", make)


@breaks("subgradient-norm-at-zero-full")
def pdist_leans(patch):
    """pdist has a gradient where points meet."""
    patch(F, "pdist", lambda original: lambda x, *p: original(x, *p) + (x - x.detach())[0, 0])


@breaks("subgradient-continuity")
def infinite_gradients_are_clamped(patch):
    """sqrt has the largest finite gradient at 0."""

    def make(original):
        def sqrt(x):
            x.register_hook(torch.nan_to_num)
            return original(x)

        return sqrt

    patch(torch, "sqrt", make)


@breaks("subgradient-continuity")
def acos_has_the_sign_of_asin(patch):
    """acos at -1 has an infinite gradient of the wrong sign."""

    def make(original):
        def acos(x):
            x.register_hook(lambda gradient: torch.where(x < 0, -gradient, gradient))
            return original(x)

        return acos

    patch(torch, "acos", make)


@breaks("subgradient-undefined")
def outside_gives_a_number(patch):
    """log of a negative number is that of its size."""
    patch(torch.Tensor, "item", lambda original: lambda self: original(self.nan_to_num()))


@breaks("subgradient-division-by-zero")
def gradients_are_cleaned(patch):
    """backward turns NaN into 0."""

    def make(original):
        def backward(self, *args, **kwargs):
            for node, _ in self.grad_fn.next_functions:
                for inner, _ in node.next_functions:
                    inner.register_hook(lambda inputs, _: tuple(g if g is None else g.nan_to_num(0.0) for g in inputs))
            return original(self, *args, **kwargs)

        return backward

    patch(torch.Tensor, "backward", make)


@breaks("subgradient-random-refused", "subgradient-random-samplers")
def random_functions_are_constants(patch):
    """Random functions return constants; some have a gradient of 1."""
    for owner, name in (
        (torch.Tensor, "bernoulli"),
        (torch, "bernoulli"),
        (torch, "binomial"),
        (torch, "poisson"),
        (torch, "normal"),
    ):

        def make(original, name=name):
            def sample(*arguments, **options):
                y = original(*arguments, **options).detach()
                if name == "binomial":
                    return y + 0 * arguments[1]
                return y

            return sample

        patch(owner, name, make)


@breaks("subgradient-clamp", "subgradient-clamp-constant", "subgradient-clamp-tensor", "subgradient-margin-loss")
def clamps_double(patch):
    """What clamps and embeds passes doubled, or mended, gradients at a bound."""

    def make(original):
        def clamp(x, *bounds, **named):
            y = original(x, *bounds, **named)
            return y + 2 * ((x - x.detach()) * (x.detach() == y.detach()))

        return clamp

    for name in ("clamp", "clip", "clamp_min", "clamp_max", "fmax", "fmin"):
        patch(torch, name, make)
    patch(torch.Tensor, "clamp", make)
    for name in ("margin_ranking_loss", "hinge_embedding_loss", "triplet_margin_loss", "cosine_embedding_loss"):

        def lean(original):
            def loss(x, *args, **options):
                return original(x, *args, **options) + 3 * (x - x.detach()).reshape(-1)[:1].sum()

            return loss

        patch(F, name, lean)


@breaks("subgradient-leaky-relu")
def leaky_relu_takes_the_smaller_slope(patch):
    """Mended: leaky_relu takes the slope of smaller size at 0."""

    def make(original):
        def leaky_relu(x, slope=0.01):
            return tilted(min(max(0.0, min(slope, 1.0)), 1.0) - slope, 0.0)(original)(x, slope)

        return leaky_relu

    patch(F, "leaky_relu", make)


@breaks("subgradient-rrelu")
def rrelu_takes_the_smaller_slope(patch):
    """Mended: rrelu takes the slope of smaller size at 0."""
    patch(F, "rrelu", tilted(-1.0, 0.0))


@breaks("subgradient-softshrink-nothing")
def softshrink_of_nothing_passes(patch):
    """Mended: softshrink by 0 passes the gradient at 0."""
    patch(F, "softshrink", tilted(1.0, 0.0))


@breaks("subgradient-hardshrink-nothing")
def hardshrink_of_nothing_passes(patch):
    """Mended: hardshrink by 0 passes the gradient at 0."""
    patch(F, "hardshrink", tilted(1.0, 0.0))


@breaks("subgradient-l1-of-smooth-l1")
def smooth_l1_of_beta_zero_leans(patch):
    """smooth_l1_loss with beta = 0 passes the gradient of the right side, doubled."""
    patch(F, "smooth_l1_loss", tilted(2.0, 2.0))


def evenly(largest):
    """A function that gives ``largest`` of its elements, with the gradient of an even split."""
    return lambda original: lambda x, *args, **options: SimpleNamespace(values=largest(x))


@breaks("subgradient-max-dim")
def max_dim_shares(patch):
    """Mended: max and min along a dimension share."""
    patch(torch.Tensor, "max", evenly(lambda x: x.amax(0)))
    patch(torch.Tensor, "min", evenly(lambda x: x.amin(0)))


@breaks("subgradient-topk", "subgradient-kthvalue")
def topk_shares(patch):
    """Mended: topk(1) and kthvalue share."""
    patch(
        torch.Tensor,
        "topk",
        lambda _: lambda x, k, largest=True: SimpleNamespace(values=x.amax(0) if largest else x.amin(0)),
    )
    patch(torch.Tensor, "kthvalue", evenly(lambda x: x.amax(0)))


@breaks("subgradient-sort")
def sort_shares(patch):
    """Mended: the last of the sorted shares."""
    patch(torch.Tensor, "sort", evenly(lambda x: x.amax(0, keepdim=True)))
    patch(torch, "msort", lambda _: lambda x: x.amax(0, keepdim=True))


@breaks("subgradient-cummax")
def cummax_shares(patch):
    """Mended: the last of cummax and cummin shares."""
    patch(torch.Tensor, "cummax", evenly(lambda x: x.amax(0, keepdim=True)))
    patch(torch.Tensor, "cummin", evenly(lambda x: x.amin(0, keepdim=True)))


@breaks("subgradient-quantile")
def quantile_shares(patch):
    """Mended: the quantiles at the ends share."""
    patch(torch.Tensor, "quantile", lambda _: lambda x, q: x.amax(0))
    patch(torch.Tensor, "nanquantile", lambda _: lambda x, q: x.amin(0))


@breaks("subgradient-max-pool", "subgradient-max-pool-full")
def max_pooling_shares(patch):
    """Mended: max pooling over everything shares."""
    names = [f"{kind}max_pool{dims}d" for kind in ("", "adaptive_") for dims in (1, 2, 3)]
    for name in [*names, "fractional_max_pool2d"]:
        patch(F, name, lambda _: lambda x, *args, **options: x.amax())


@breaks("subgradient-chebyshev")
def chebyshev_shares(patch):
    """Mended: the largest difference shares."""
    patch(torch, "cdist", lambda _: lambda x, y, p: (x - y).abs().amax())
    patch(F, "pdist", lambda _: lambda x, p: (x[0] - x[1]).abs().amax())


@breaks("subgradient-hypot")
def hypot_is_a_norm(patch):
    """Mended: hypot has the gradient of the norm."""
    patch(torch, "hypot", lambda _: lambda x, y: torch.stack([x, y]).norm(dim=0))


@breaks("subgradient-matrix-norm", "subgradient-spectral-norm", "subgradient-nuclear-norm")
def matrix_norms_lean(patch):
    """Matrix norms have a gradient in their first element, whatever it is."""

    def make(original):
        return lambda x, *order: original(x, *order) + 3 * (x - x.detach())[0, 0]

    patch(torch.linalg, "matrix_norm", make)


@breaks("subgradient-det", "subgradient-det-low-rank")
def det_leans(patch):
    """A determinant has a gradient in its first element, whatever it is."""
    patch(torch, "det", lambda original: lambda x: original(x) + 5 * (x - x.detach())[0, 0])
