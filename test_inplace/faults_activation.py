"""How what test_activation.py decides could be broken."""

import torch
from torch import nn
from torch.nn import functional as F

from test_inplace.breaking import saving_function, through
from torchclaims import breaks


@breaks("inplace-relu-object", "inplace-relu-memory", "inplace-without-underscore")
def relu_module_forgets_inplace(patch):
    """nn.ReLU ignores inplace=True."""
    patch(nn.ReLU, "forward", lambda original: lambda self, x: F.relu(x))


@breaks("inplace-relu-object")
def batch_norm_works_in_place(patch):
    """Batch norm leaves its result in its input, the convolution's output."""

    def broken(original, x, *args):
        y = original(x, *args)
        x.data.copy_(y.detach())
        return y

    patch(F, "batch_norm", through(broken))


@breaks("inplace-relu-legal")
def relu_in_place_passes_all_gradients(patch):
    """The in-place ReLU is not recorded, so that gradients pass where it gave zero."""

    def broken(original, x):
        with torch.no_grad():
            return original(x)

    patch(torch, "relu_", through(broken))


@breaks("inplace-relu-legal")
def relu_in_place_passes_at_zero(patch):
    """The in-place ReLU passes the gradient at zero."""

    def broken(original, x):
        kept = (x >= 0).detach()
        return x.mul_(kept)

    patch(torch, "relu_", through(broken))


@breaks("inplace-relu-after-saved-result", "inplace-saved-by-layer")
def tanh_layer_saves_a_copy(patch):
    """tanh saves a copy of its result."""
    saving = lambda original: saving_function(original, lambda y, g: g * (1 - y * y), lambda x, y: y.clone())  # noqa: E731
    patch(torch, "tanh", saving)


@breaks("inplace-relu-memory")
def relu_saves_its_input(patch):
    """The ReLU out of place saves its input instead of its result."""

    def broken(original):
        saving = saving_function(original, lambda x, g: g * (x > 0), lambda x, y: x)
        return lambda x, inplace=False: original(x, inplace=True) if inplace else saving(x)

    patch(F, "relu", broken)


@breaks("inplace-relu-memory")
def relu_keeps_its_last_input(patch):
    """nn.ReLU remembers the input that it had last."""

    def broken(original):
        def forward(self, x):
            self.last_input = x
            return original(self, x)

        return forward

    patch(nn.ReLU, "forward", broken)


@breaks("inplace-activation-twins")
def elu_in_place_forgets_alpha(patch):
    """elu in place ignores alpha."""

    def broken(original, x, alpha=1.0, inplace=False):
        return original(x, 1.0 if inplace else alpha, inplace)

    patch(F, "elu", through(broken))


@breaks("inplace-activation-twins")
def hardtanh_returns_a_copy(patch):
    """hardtanh in place returns a copy of its input."""
    patch(F, "hardtanh", through(lambda original, x, *args, **kwargs: original(x.clone(), *args, **kwargs)))


@breaks("inplace-negative-slope")
def negative_slope_is_taken_for_positive(patch):
    """leaky_relu in place with a negative slope is differentiated as if it were out of place."""
    patch(F, "leaky_relu", through(lambda original, x, slope, inplace=False: original(x, slope)))


@breaks("inplace-rebinding-frees")
def sum_saves_its_input(patch):
    """sum saves an input that it does not need."""

    def broken(original, self):
        return saving_function(original, lambda x, g: g.expand_as(x), lambda x, y: x)(self)

    patch(torch.Tensor, "sum", through(broken))


@breaks("inplace-rebinding-frees")
def backward_frees_nothing(patch):
    """backward always retains the graph."""
    kept = []

    def broken(original, self, *args, **kwargs):
        kept.append(self)
        return original(self, *args, retain_graph=True)

    patch(torch.Tensor, "backward", through(broken))


@breaks("inplace-activation-twins")
def celu_layer_forgets_inplace(patch):
    """nn.CELU ignores inplace=True, F.celu does not."""

    def broken(original, self, x):
        return F.celu(x, self.alpha)

    patch(nn.CELU, "forward", through(broken))
