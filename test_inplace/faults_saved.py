"""How what test_saved.py decides could be broken."""

from importlib import import_module

import torch
from torch.autograd.grad_mode import _unsafe_preserve_version_counter as version_kept
from torch.nn import functional as F

from test_inplace.breaking import saving_function, through
from torchclaims import breaks

REFUSED = "modified by an inplace operation"


@breaks(
    "inplace-saved-refused-at-backward",
    "inplace-detach-noticed",
    "inplace-custom-function",
    "inplace-between-backwards",
    "inplace-saved-by-layer",
    "inplace-saved-by-need",
    "inplace-relu-after-saved-result",
)
def backward_swallows_the_refusal(patch):
    """backward gives up silently when a saved tensor was modified."""

    def broken(original, *args, **kwargs):
        try:
            return original(*args, **kwargs)
        except RuntimeError as error:
            if REFUSED not in str(error):
                raise

    patch(torch.Tensor, "backward", through(broken))


@breaks("inplace-saved-refused-at-backward", "inplace-saved-by-operation")
def exp_saves_a_copy(patch):
    """exp saves a copy of its result, so that a write goes unnoticed."""
    patch(torch, "exp", lambda original: saving_function(original, lambda y, g: y * g, lambda x, y: y.clone()))


@breaks("inplace-saved-refused-at-backward")
def setitem_by_number_is_not_noticed(patch):
    """Item assignment of a number counts no version."""

    def broken(original, self, index, value):
        with version_kept(self):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", through(broken))


@breaks("inplace-saved-by-operation")
def sigmoid_saves_its_input(patch):
    """sigmoid saves its input instead of its result."""

    def backward(x, gradient):
        y = 1 / (1 + (-x).exp())
        return gradient * y * (1 - y)

    patch(torch, "sigmoid", lambda original: saving_function(original, backward, lambda x, y: x))


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def sin_saves_its_cosine(patch):
    """sin saves the cosine of its input, and no longer notices a write to the input."""
    patch(torch, "sin", lambda original: saving_function(original, lambda c, g: c * g, lambda x, y: x.cos()))


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def cumsum_saves_its_input(patch):
    """cumsum saves an input that it does not need."""

    def broken(original):
        saving = saving_function(lambda x: original(x, 1), lambda x, g: original(g.flip(1), 1).flip(1), lambda x, y: x)
        return lambda self, dim: saving(self)

    patch(torch.Tensor, "cumsum", broken)


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def leaky_relu_saves_its_result(patch):
    """leaky_relu saves its result."""

    def broken(original):
        def backward(y, gradient):
            return torch.where(y > 0, gradient, 0.1 * gradient)

        return saving_function(lambda x: original(x, 0.1), backward, lambda x, y: y)

    patch(F, "leaky_relu", broken)


@breaks("inplace-saved-by-operation")
def tanh_is_off_by_a_square(patch):
    """The gradient of tanh is 1 - y instead of 1 - y * y."""
    patch(torch, "tanh", lambda original: saving_function(original, lambda y, g: g * (1 - y), lambda x, y: y))


@breaks("inplace-saved-by-layer")
def linear_copies_its_input(patch):
    """linear saves a copy of its input."""

    def broken(original, x, *args):
        return original(x.clone(), *args)

    patch(F, "linear", through(broken))


@breaks("inplace-saved-by-layer")
def flatten_saves(patch):
    """flatten saves its input, and copies."""

    def broken(original, self, *dims):
        return saving_function(lambda x: original(x, *dims).clone(), lambda x, g: g.reshape(x.shape), lambda x, y: x)(
            self
        )

    patch(torch.Tensor, "flatten", through(broken))


@breaks("inplace-saved-by-need")
def product_saves_both_factors(patch):
    """mul saves both factors whatever is needed."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return x * weight

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            return gradient * weight, gradient * x

    patch(torch, "mul", lambda original: lambda *factors: Product.apply(*factors))


@breaks("inplace-saved-message")
def message_swaps_the_versions(patch):
    """The error takes the version that was saved for the one that is there."""

    def broken(original, *args, **kwargs):
        try:
            return original(*args, **kwargs)
        except RuntimeError as error:
            words = str(error).replace("is at version", "was saved as").replace("expected version", "is at version")
            raise RuntimeError(words.replace("was saved as", "expected version")) from None

    patch(torch.Tensor, "backward", through(broken))


@breaks("inplace-data-unnoticed")
def writes_through_data_do_not_arrive(patch):
    """.data is a copy."""
    patch(torch.Tensor, "data", lambda original: property(lambda self: self.detach().clone(), original.__set__))


@breaks("inplace-between-backwards")
def step_is_not_counted(patch):
    """SGD writes parameters without counting versions."""

    def broken(original, parameters, *args, **kwargs):
        before = [parameter.data for parameter in parameters]
        return original(before, *args, **kwargs)

    # torch.optim removes its submodules from its own namespace.
    patch(import_module("torch.optim.sgd"), "sgd", through(broken))


@breaks("inplace-between-backwards")
def backward_retains_only_the_first_gradient(patch):
    """A second backward overwrites the gradient of the first where it should add."""

    def broken(original, self, *args, **kwargs):
        _clear(self.grad_fn)
        return original(self, *args, **kwargs)

    def _clear(node):
        if hasattr(node, "variable"):
            node.variable.grad = None
        for following, _ in getattr(node, "next_functions", ()):
            _clear(following)

    patch(torch.Tensor, "backward", through(broken))


@breaks("inplace-custom-function")
def custom_functions_save_copies(patch):
    """save_for_backward saves copies."""

    def broken(original, self, *tensors):
        return original(self, *(tensor.detach().clone() for tensor in tensors))

    patch(torch.autograd.function.FunctionCtx, "save_for_backward", through(broken))


@breaks("inplace-custom-function")
def only_the_first_saved_tensor_is_watched(patch):
    """save_for_backward saves copies of all tensors but the first."""

    def broken(original, self, first, *others):
        original(self, first, *(other.clone() for other in others))

    patch(torch.autograd.function.FunctionCtx, "save_for_backward", through(broken))
