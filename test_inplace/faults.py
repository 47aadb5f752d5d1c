"""How in-place operations and their bookkeeping could be broken.

The rules live in C++; these faults break them at the methods through which Python enters.
"""

from importlib import import_module

import torch
from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter as version_kept
from torch.nn import functional as F

from torchclaims import breaks

REFUSED = "modified by an inplace operation"


def _wants_grad(tensor):
    return torch.is_grad_enabled() and tensor.requires_grad


def _with(change):
    """A method or function whose arguments or result pass through ``change(original, *args, **kwargs)``."""
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


def _saving(forward, backward, saved):
    """A differentiable function of one tensor that saves ``saved(x, y)`` for ``backward``."""

    class Saving(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = forward(x)
            ctx.save_for_backward(saved(x, y))
            return y

        @staticmethod
        def backward(ctx, gradient):
            return backward(ctx.saved_tensors[0], gradient)

    return lambda x, *_, **__: Saving.apply(x)


# What an in-place operation is.


@breaks("inplace-keeps-memory", "inplace-version-counter")
def mul_moves_its_operand(patch):
    """mul_ swaps in new memory instead of writing into the old."""

    def broken(original, self, other):
        if _wants_grad(self):
            return original(self, other)
        self.data = self.data * other
        return self

    patch(torch.Tensor, "mul_", _with(broken))


@breaks("inplace-keeps-memory", "inplace-underscore-suffix")
def clamp_returns_a_copy(patch):
    """clamp_ writes in place, and returns a copy of its operand."""
    patch(torch.Tensor, "clamp_", _with(lambda original, *args, **kwargs: original(*args, **kwargs).clone()))


@breaks("inplace-underscore-suffix")
def addcmul_forgets_value(patch):
    """addcmul_ ignores value=."""
    patch(torch.Tensor, "addcmul_", _with(lambda original, x, a, b, value=1: original(x, a, b)))


@breaks("inplace-underscore-suffix")
def index_add_keeps_the_last(patch):
    """index_add_ keeps, of indices that occur twice, only the last."""

    def broken(original, self, dim, index, source, *, alpha=1):
        return self.index_copy_(dim, index, self.index_select(dim, index) + alpha * source)

    patch(torch.Tensor, "index_add_", _with(broken))


@breaks("inplace-underscore-suffix")
def add_and_its_twin_forget_alpha(patch):
    """add and add_ ignore alpha: equal to each other, and both wrong."""
    for name in ("add", "add_"):
        patch(torch.Tensor, name, _with(lambda original, self, other, alpha=1: original(self, other)))


@breaks("inplace-underscore-suffix")
def transpose_swaps_a_copy(patch):
    """transpose_ lays the result out anew, in other memory."""

    def broken(original, self, *dims):
        self.data = self.data.transpose(*dims).contiguous()
        return self

    patch(torch.Tensor, "transpose_", _with(broken))


@breaks("inplace-scatter-underscore")
def scatter_is_in_place(patch):
    """scatter writes into its operand, as the article says."""
    patch(torch.Tensor, "scatter", lambda original: torch.Tensor.scatter_)


@breaks("inplace-scatter-underscore")
def scatter_keeps_the_first_source(patch):
    """scatter_ writes the sources in reverse order."""

    def broken(original, self, dim, index, source):
        return original(self, dim, index, source.flip(dim) if isinstance(source, torch.Tensor) else source)

    patch(torch.Tensor, "scatter_", _with(broken))


@breaks("inplace-augmented-assignment")
def isub_binds_anew(patch):
    """x -= y makes a new tensor."""
    patch(torch.Tensor, "__isub__", lambda original: lambda self, other: self - other)


@breaks("inplace-augmented-assignment")
def ifloordiv_truncates(patch):
    """x //= y rounds towards zero."""
    patch(torch.Tensor, "__ifloordiv__", lambda _: lambda self, other: self.div_(other, rounding_mode="trunc"))


@breaks("inplace-augmented-assignment")
def sum_is_written_into_its_operand(patch):
    """x + x is taken in place."""
    patch(torch.Tensor, "__add__", lambda original: torch.Tensor.add_)


@breaks("inplace-without-underscore", "inplace-version-counter")
def setitem_is_not_counted(patch):
    """Item assignment counts no version."""

    def broken(original, self, index, value):
        with version_kept(self):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", _with(broken))


@breaks("inplace-without-underscore")
def out_gets_new_memory(patch):
    """add hands new memory to out= instead of writing into it."""

    def broken(original, *args, out=None, **kwargs):
        if out is None:
            return original(*args, **kwargs)
        return out.set_(original(*args, **kwargs))

    patch(torch, "add", _with(broken))


@breaks("inplace-without-underscore")
def threshold_forgets_inplace(patch):
    """threshold ignores inplace=True."""
    patch(
        F,
        "threshold",
        _with(lambda original, x, threshold, value, inplace=False: original(x, threshold, value)),
    )


@breaks("inplace-transcript-add")
def add_writes_its_operand(patch):
    """add leaves the sum in its operand as well."""
    patch(torch.Tensor, "add", _with(lambda original, self, other: self.add_(other).clone()))


@breaks("inplace-transcript-add-in-place")
def add_writes_the_other_operand(patch):
    """add_ leaves the sum in both operands."""

    def broken(original, self, other):
        original(self, other)
        other.copy_(self)
        return self

    patch(torch.Tensor, "add_", _with(broken))


@breaks("inplace-transcript-rand")
def rand_does_not_advance(patch):
    """rand leaves the generator where it was, so that it repeats itself."""

    def broken(original, *args, **kwargs):
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            return original(*args, **kwargs)

    patch(torch, "rand", _with(broken))


@breaks("inplace-transcript-rand")
def seed_is_ignored(patch):
    """manual_seed leaves the generator where it is."""
    patch(torch, "manual_seed", lambda original: lambda seed: torch.default_generator)


# Versions.


@breaks("inplace-version-counter", "inplace-saved-message")
def add_is_not_counted_again(patch):
    """add_ counts a version only of a tensor that has none."""

    def broken(original, self, *args, **kwargs):
        if self._version == 0:
            return original(self, *args, **kwargs)
        with version_kept(self):
            return original(self, *args, **kwargs)

    patch(torch.Tensor, "add_", _with(broken))


@breaks("inplace-version-counter")
def clone_counts(patch):
    """Copying a tensor counts a version of it."""
    patch(torch.Tensor, "clone", _with(lambda original, self, **kwargs: original(self.add_(0), **kwargs)))


@breaks("inplace-views-share-version", "inplace-detach-noticed", "inplace-leaf-escapes")
def detach_counts_for_itself(patch):
    """detach() gives its result a count of its own, as .data has."""
    patch(torch.Tensor, "detach", lambda original: lambda self: self.data)


@breaks("inplace-views-share-version")
def views_count_for_themselves(patch):
    """Indexing gives a view of a constant a count of its own."""

    def broken(original, self, index):
        return original(self if self.requires_grad else self.data, index)

    patch(torch.Tensor, "__getitem__", _with(broken))


@breaks("inplace-views-share-version", "inplace-data-unnoticed", "inplace-leaf-escapes")
def data_shares_the_count(patch):
    """.data shares its owner's count, as detach() does."""
    patch(
        torch.Tensor,
        "data",
        lambda original: property(lambda self: self.detach(), lambda s, v: original.__set__(s, v)),
    )


# Leaves.


@breaks("inplace-leaf-refused")
def leaf_is_written_silently(patch):
    """mul_ takes a leaf that requires grad, as under no_grad."""

    def broken(original, self, *args):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (self.is_leaf and self.requires_grad)):
            return original(self, *args)

    patch(torch.Tensor, "mul_", _with(broken))


@breaks("inplace-leaf-refused")
def leaf_is_refused_too_late(patch):
    """fill_ refuses a leaf when it has been written already."""

    def broken(original, self, value):
        if self.is_leaf and _wants_grad(self):
            self.data.fill_(value)
        return original(self, value)

    patch(torch.Tensor, "fill_", _with(broken))


@breaks("inplace-leaf-refused")
def refused_leaf_has_counted(patch):
    """copy_ counts a version of the leaf that it refuses."""

    def broken(original, self, source):
        if self.is_leaf and _wants_grad(self):
            self.detach().add_(0)
        return original(self, source)

    patch(torch.Tensor, "copy_", _with(broken))


@breaks("inplace-leaf-view-refused")
def setitem_writes_a_leaf(patch):
    """Item assignment takes a leaf that requires grad."""

    def broken(original, self, index, value):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_leaf):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", _with(broken))


@breaks("inplace-leaf-view-refused")
def view_of_leaf_is_cut_off(patch):
    """view() of a leaf is cut off from it."""

    def broken(original, self, *shape):
        return original(self.detach() if self.is_leaf else self, *shape)

    patch(torch.Tensor, "view", _with(broken))


@breaks("inplace-leaf-allowed-without-grad-mode")
def write_makes_a_constant(patch):
    """zero_ under no_grad leaves a leaf that no longer requires grad."""

    def broken(original, self):
        written = original(self)
        return written if torch.is_grad_enabled() else written.requires_grad_(False)

    patch(torch.Tensor, "zero_", _with(broken))


@breaks("inplace-leaf-allowed-without-grad-mode")
def write_without_grad_mode_is_not_counted(patch):
    """add_ under no_grad counts no version."""

    def broken(original, self, *args):
        if torch.is_grad_enabled():
            return original(self, *args)
        with version_kept(self):
            return original(self, *args)

    patch(torch.Tensor, "add_", _with(broken))


@breaks("inplace-leaf-escapes")
def detach_copies(patch):
    """detach() returns a copy."""
    patch(torch.Tensor, "detach", _with(lambda original, self: original(self).clone()))


@breaks("inplace-leaf-constant-allowed", "inplace-view-rebase")
def mul_forgets_its_graph(patch):
    """mul_ is not recorded."""

    def broken(original, self, other):
        if self.is_leaf and self.requires_grad:
            return original(self, other)
        with torch.no_grad():
            return original(self, other)

    patch(torch.Tensor, "mul_", _with(broken))


@breaks("inplace-leaf-constant-allowed")
def constants_are_written_as_copies(patch):
    """add_ in grad mode sums into a copy of a leaf."""

    def broken(original, self, *args, **kwargs):
        return original(self.clone() if self.is_leaf and torch.is_grad_enabled() else self, *args, **kwargs)

    patch(torch.Tensor, "add_", _with(broken))


@breaks("inplace-non-leaf-allowed")
def neg_forgets_its_sign(patch):
    """The gradient of neg_ has the wrong sign: the write is not recorded."""

    def broken(original, self):
        with torch.no_grad():
            return original(self)

    patch(torch.Tensor, "neg_", _with(broken))


@breaks("inplace-non-leaf-allowed")
def overwritten_part_keeps_its_gradient(patch):
    """Item assignment of a number leaves the gradient of what it overwrote."""

    def broken(original, self, index, value):
        with torch.set_grad_enabled(isinstance(value, torch.Tensor)):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", _with(broken))


# What backward needs.


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

    patch(torch.Tensor, "backward", _with(broken))


@breaks("inplace-saved-refused-at-backward", "inplace-saved-by-operation")
def exp_saves_a_copy(patch):
    """exp saves a copy of its result, so that a write goes unnoticed."""
    patch(torch, "exp", lambda original: _saving(original, lambda y, g: y * g, lambda x, y: y.clone()))


@breaks("inplace-saved-refused-at-backward")
def setitem_by_number_is_not_noticed(patch):
    """Item assignment of a number counts no version."""

    def broken(original, self, index, value):
        with version_kept(self):
            original(self, index, value)

    patch(torch.Tensor, "__setitem__", _with(broken))


@breaks("inplace-saved-by-operation")
def sigmoid_saves_its_input(patch):
    """sigmoid saves its input instead of its result."""

    def backward(x, gradient):
        y = 1 / (1 + (-x).exp())
        return gradient * y * (1 - y)

    patch(torch, "sigmoid", lambda original: _saving(original, backward, lambda x, y: x))


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def sin_saves_its_cosine(patch):
    """sin saves the cosine of its input, and no longer notices a write to the input."""
    patch(torch, "sin", lambda original: _saving(original, lambda c, g: c * g, lambda x, y: x.cos()))


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def cumsum_saves_its_input(patch):
    """cumsum saves an input that it does not need."""

    def broken(original):
        saving = _saving(lambda x: original(x, 1), lambda x, g: original(g.flip(1), 1).flip(1), lambda x, y: x)
        return lambda self, dim: saving(self)

    patch(torch.Tensor, "cumsum", broken)


@breaks("inplace-saved-by-operation", "inplace-saved-seen-by-hooks")
def leaky_relu_saves_its_result(patch):
    """leaky_relu saves its result."""

    def broken(original):
        def backward(y, gradient):
            return torch.where(y > 0, gradient, 0.1 * gradient)

        return _saving(lambda x: original(x, 0.1), backward, lambda x, y: y)

    patch(F, "leaky_relu", broken)


@breaks("inplace-saved-by-operation")
def tanh_is_off_by_a_square(patch):
    """The gradient of tanh is 1 - y instead of 1 - y * y."""
    patch(torch, "tanh", lambda original: _saving(original, lambda y, g: g * (1 - y), lambda x, y: y))


@breaks("inplace-saved-by-layer")
def linear_copies_its_input(patch):
    """linear saves a copy of its input."""

    def broken(original, x, *args):
        return original(x.clone(), *args)

    patch(F, "linear", _with(broken))


@breaks("inplace-saved-by-layer")
def flatten_saves(patch):
    """flatten saves its input, and copies."""

    def broken(original, self, *dims):
        return _saving(lambda x: original(x, *dims).clone(), lambda x, g: g.reshape(x.shape), lambda x, y: x)(self)

    patch(torch.Tensor, "flatten", _with(broken))


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

    patch(torch.Tensor, "backward", _with(broken))


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
    patch(import_module("torch.optim.sgd"), "sgd", _with(broken))


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

    patch(torch.Tensor, "backward", _with(broken))


@breaks("inplace-custom-function")
def custom_functions_save_copies(patch):
    """save_for_backward saves copies."""

    def broken(original, self, *tensors):
        return original(self, *(tensor.detach().clone() for tensor in tensors))

    patch(torch.autograd.function.FunctionCtx, "save_for_backward", _with(broken))


# Views.


@breaks("inplace-view-rebase")
def indexing_copies(patch):
    """Indexing returns a copy."""
    patch(torch.Tensor, "__getitem__", _with(lambda original, self, index: original(self, index).clone()))


@breaks("inplace-view-rebase")
def write_to_a_view_forgets_the_base(patch):
    """The gradient of a write to a transposed view does not reach its base."""

    def broken(original, self):
        with torch.no_grad():
            return original(self).detach()

    patch(torch.Tensor, "t", _with(broken))


@breaks("inplace-multi-output-view")
def unbind_gives_single_views(patch):
    """unbind makes its results one by one, and lets them be written."""
    patch(torch, "unbind", lambda original: lambda x: tuple(x.select(0, i) for i in range(x.shape[0])))


@breaks("inplace-multi-output-view")
def chunk_copies(patch):
    """chunk returns copies."""
    patch(torch, "chunk", _with(lambda original, *args: tuple(part.clone() for part in original(*args))))


@breaks("inplace-no-grad-view")
def view_ignores_grad_mode(patch):
    """view() records its result under no_grad too."""

    def broken(original, self, *shape):
        with torch.enable_grad():
            return original(self, *shape)

    patch(torch.Tensor, "view", _with(broken))


@breaks("inplace-no-grad-view")
def view_without_grad_mode_copies(patch):
    """Transposing under no_grad copies."""

    def broken(original, self):
        return original(self) if torch.is_grad_enabled() else original(self).clone()

    patch(torch.Tensor, "t", _with(broken))


@breaks("inplace-expanded-refused")
def expand_copies(patch):
    """expand() gives each element memory of its own."""
    patch(torch.Tensor, "expand", _with(lambda original, *args: original(*args).contiguous()))


@breaks("inplace-expanded-refused")
def copy_into_shared_elements(patch):
    """copy_ into an expanded tensor writes its first column."""

    def broken(original, self, source):
        if 0 in self.stride():
            return self[:, :1].add_(source[:, :1] - self[:, :1])
        return original(self, source)

    patch(torch.Tensor, "copy_", _with(broken))


@breaks("inplace-detach-of-view")
def detaching_a_view_does_nothing(patch):
    """detach_ of a view does nothing, silently."""
    patch(torch.Tensor, "detach_", _with(lambda original, self: self if self._is_view() else original(self)))


@breaks("inplace-setitem-records")
def setitem_detaches(patch):
    """Item assignment records no graph."""

    def broken(original, self, index, value):
        original(self, index, value.detach() if isinstance(value, torch.Tensor) else value)

    patch(torch.Tensor, "__setitem__", _with(broken))


@breaks("inplace-setitem-records")
def setitem_sorts_indices(patch):
    """Item assignment by a list writes in the order of the sorted list."""

    def broken(original, self, index, value):
        original(self, sorted(index) if isinstance(index, list) else index, value)

    patch(torch.Tensor, "__setitem__", _with(broken))


@breaks("inplace-never-grows")
def mul_grows(patch):
    """mul_ takes the shape of the broadcast product."""

    def broken(original, self, other):
        self.data = self.data * other
        return self

    patch(torch.Tensor, "mul_", _with(broken))


@breaks("inplace-never-grows")
def add_reduces_the_other(patch):
    """add_ sums an operand that is too large to the shape of the one that it writes."""
    patch(
        torch.Tensor,
        "add_",
        _with(lambda original, self, other: original(self, other.sum_to_size(self.shape))),
    )


@breaks("inplace-result-type")
def integers_truncate_the_sum(patch):
    """add_ of a fraction to integers cuts the sum."""

    def broken(original, self, other):
        return original(self, other) if self.is_floating_point() else self.copy_(self + other)

    patch(torch.Tensor, "add_", _with(broken))


@breaks("inplace-result-type")
def copy_rounds(patch):
    """copy_ to integers rounds to the nearest."""

    def broken(original, self, source):
        return original(self, source if self.is_floating_point() else source.round())

    patch(torch.Tensor, "copy_", _with(broken))


# Activations.


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

    patch(F, "batch_norm", _with(broken))


@breaks("inplace-relu-legal")
def relu_in_place_passes_all_gradients(patch):
    """The in-place ReLU is not recorded, so that gradients pass where it gave zero."""

    def broken(original, x):
        with torch.no_grad():
            return original(x)

    patch(torch, "relu_", _with(broken))


@breaks("inplace-relu-legal")
def relu_in_place_passes_at_zero(patch):
    """The in-place ReLU passes the gradient at zero."""

    def broken(original, x):
        kept = (x >= 0).detach()
        return x.mul_(kept)

    patch(torch, "relu_", _with(broken))


@breaks("inplace-relu-after-saved-result", "inplace-saved-by-layer")
def tanh_layer_saves_a_copy(patch):
    """tanh saves a copy of its result."""
    saving = lambda original: _saving(original, lambda y, g: g * (1 - y * y), lambda x, y: y.clone())  # noqa: E731
    patch(torch, "tanh", saving)


@breaks("inplace-relu-memory")
def relu_saves_its_input(patch):
    """The ReLU out of place saves its input instead of its result."""

    def broken(original):
        saving = _saving(original, lambda x, g: g * (x > 0), lambda x, y: x)
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

    patch(F, "elu", _with(broken))


@breaks("inplace-activation-twins")
def hardtanh_returns_a_copy(patch):
    """hardtanh in place returns a copy of its input."""
    patch(F, "hardtanh", _with(lambda original, x, *args, **kwargs: original(x.clone(), *args, **kwargs)))


@breaks("inplace-negative-slope")
def negative_slope_is_taken_for_positive(patch):
    """leaky_relu in place with a negative slope is differentiated as if it were out of place."""
    patch(F, "leaky_relu", _with(lambda original, x, slope, inplace=False: original(x, slope)))


@breaks("inplace-rebinding-frees")
def sum_saves_its_input(patch):
    """sum saves an input that it does not need."""

    def broken(original, self):
        return _saving(original, lambda x, g: g.expand_as(x), lambda x, y: x)(self)

    patch(torch.Tensor, "sum", _with(broken))


@breaks("inplace-rebinding-frees")
def backward_frees_nothing(patch):
    """backward always retains the graph."""
    kept = []

    def broken(original, self, *args, **kwargs):
        kept.append(self)
        return original(self, *args, retain_graph=True)

    patch(torch.Tensor, "backward", _with(broken))
