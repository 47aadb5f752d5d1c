"""Counter-examples to losses of a number against a number."""

from test_losses.common import REDUCTIONS
from torchclaims import claim
from torchclaims.reference import losses
from torchclaims.search import search


@claim("loss-l1", "loss-mse", "loss-smooth-l1", "loss-huber")
@search
def test_distances(cell, script):
    shape = script.sizes(script.pick(1, 0, 2, 3), 0, 3)
    script.tensor("x", shape, grad=True)
    script.tensor("y", shape, grad=True)
    (width,) = script.pick((1.0,), (0.5,), (2.0,))
    name, formula, options = script.pick(
        ("l1_loss", losses.absolute, ""),
        ("mse_loss", losses.squared, ""),
        ("smooth_l1_loss", lambda x, y: losses.smooth_l1(x, y, width), f", beta={width}"),
        ("huber_loss", lambda x, y: losses.huber(x, y, width), f", delta={width}"),
    )
    reduction = script.pick(*REDUCTIONS)
    call = f"torch.nn.functional.{name}(x, y, reduction={reduction!r}{options})"
    script.agree(call, lambda x, y: losses.reduced(formula(x, y), reduction), ["x", "y"])


@claim("loss-poisson")
@search
def test_poisson(cell, script):
    shape = script.sizes(script.pick(1, 0, 2, 3), 0, 3)
    log_input, full, reduction = script.pick(True, False), script.pick(False, True), script.pick(*REDUCTIONS)
    script.tensor("x", shape, low=-2.0 if log_input else 0.25, high=2.25, grad=True)
    # Stirling's approximation is left out up to 1, where it jumps: no target is near.
    script.tensor("y", shape, low=1.5, high=9.5)
    options = f"log_input={log_input}, full={full}, reduction={reduction!r}"

    def formula(x, y):
        return losses.reduced(losses.poisson_nll(x, y, log_input, full, 1e-8), reduction)

    script.agree(f"torch.nn.functional.poisson_nll_loss(x, y, {options})", formula, ["x", "y"])


@claim("loss-gaussian", "loss-gaussian-var-shapes")
@search
def test_gaussian(cell, script):
    shape = script.sizes(script.pick(1, 2, 3), 1, 3)
    full, reduction = script.pick(False, True), script.pick(*REDUCTIONS)
    script.tensor("x", shape, grad=True)
    script.tensor("y", shape, grad=True)
    variances = (*shape[:-1], 1) if script.pick(False, True) else shape
    script.tensor("var", variances, low=0.25, high=4.25, grad=True)

    def formula(x, y, variance):
        return losses.reduced(losses.gaussian_nll(x, y, variance, full, 1e-6), reduction)

    call = f"torch.nn.functional.gaussian_nll_loss(x, y, var, {full}, reduction={reduction!r})"
    script.agree(call, formula, ["x", "y", "var"])
