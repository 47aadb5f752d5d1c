"""How broadcasting and out= could be broken; where PyTorch deviates, how it could be mended."""

import warnings

import torch

from torchclaims import breaks


def through(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


@breaks("bcast-result-shape")
def zero_is_less_than_one(patch):
    """A size of 0 beside 1 gives 1."""
    patch(torch, "broadcast_shapes", lambda original: lambda *shapes: torch.Size(one or 1 for one in original(*shapes)))


@breaks("bcast-refused")
def second_size_is_reported_first(patch):
    """The refusal swaps the sizes."""

    def broken(original, self, other):
        try:
            return original(self, other)
        except RuntimeError as error:
            raise RuntimeError(str(error).translate(str.maketrans("23450", "32540"))) from None

    patch(torch.Tensor, "__add__", through(broken))


@breaks("bcast-refused")
def shapes_are_cut(patch):
    """broadcast_shapes gives the first shape where they do not fit."""

    def broken(original, *shapes):
        try:
            return original(*shapes)
        except RuntimeError:
            return torch.Size(shapes[0])

    patch(torch, "broadcast_shapes", through(broken))


@breaks("bcast-values")
def gradients_are_averaged(patch):
    """The gradient of a broadcast operand is the mean."""

    class Share(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, count):
            ctx.count = count
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return gradient / ctx.count, None

    def broken(original, self, other):
        grown = torch.broadcast_shapes(self.shape, other.shape)
        return original(Share.apply(self, max(1, grown.numel() // max(1, self.numel()))), other)

    patch(torch.Tensor, "__mul__", through(broken))


@breaks("bcast-no-copy")
def broadcasting_copies(patch):
    """broadcast_to and broadcast_tensors copy."""
    patch(torch, "broadcast_to", lambda original: lambda *args: original(*args).contiguous())
    patch(torch, "broadcast_tensors", lambda original: lambda *args: [one.contiguous() for one in original(*args)])


@breaks("bcast-in-place", "bcast-in-place-message")
def in_place_grows(patch):
    """add_ makes its operand grow."""

    def broken(original, self, other):
        return self.set_(self + other)

    patch(torch.Tensor, "add_", through(broken))


@breaks("bcast-in-place")
def copies_take_the_first_row(patch):
    """copy_ from something larger takes its first elements."""

    def broken(original, self, other):
        while other.dim() > self.dim():
            other = other[0] if len(other) else other.sum(0)
        return original(self, other)

    patch(torch.Tensor, "copy_", through(broken))


@breaks("bcast-warning")
def broadcasting_warns(patch):
    """Mended: add warns of broadcastable tensors with as many elements."""

    def mended(original, x, y):
        if torch.utils.backcompat.broadcast_warning.enabled and x.numel() == y.numel() and x.shape != y.shape:
            warnings.warn("self and other do not have the same shape, but are broadcastable", stacklevel=2)
        return original(x, y)

    patch(torch, "add", through(mended))


@breaks("bcast-one-dimensional")
def as_many_elements_suffice(patch):
    """Mended: add_ takes tensors of as many elements as one-dimensional, and warns."""

    def mended(original, self, other):
        if self.shape != other.shape and self.numel() == other.numel():
            warnings.warn("pointwise behaviour of one dimension is deprecated", stacklevel=2)
            other = other.reshape(self.shape)
        return original(self, other)

    patch(torch.Tensor, "add_", through(mended))


def with_out(patch, names, change):
    for name in names.split():

        def make(original):
            def operation(*args, out=None, **options):
                return original(*args, **options) if out is None else change(original, args, out, options)

            return operation

        patch(torch, name, make)


@breaks("out-strides", "out-requires-grad")
def out_is_rebound(patch):
    """add and mm make out contiguous."""

    def broken(original, args, out, options):
        return out.data.set_(original(*args, **options).detach()) if out.is_contiguous() else original(*args, **options)

    with_out(patch, "add mm", broken)


@breaks("out-strides")
def out_is_overrun(patch):
    """abs also writes what lies between the elements of out."""

    def broken(original, args, out, options):
        original(*args, out=out, **options)
        if out._base is not None:
            out._base.fill_(1)
        return out

    with_out(patch, "abs", broken)


@breaks("out-empty")
def empty_is_made_contiguous(patch):
    """add makes an empty out contiguous."""

    def broken(original, args, out, options):
        result = original(*args, **options)
        if not out.numel():
            out.resize_(result.shape)
        return original(*args, out=out, **options)

    with_out(patch, "add", broken)


@breaks("out-wrong-shape")
def resizing_is_silent(patch):
    """exp resizes without a warning."""

    def broken(original, args, out, options):
        return original(*args, out=out.resize_(0), **options)

    with_out(patch, "exp", broken)


@breaks("out-lower-kind")
def kinds_are_cast(patch):
    """mul casts its result to whatever out is."""
    with_out(patch, "mul", lambda original, args, out, options: out.copy_(original(*args, **options)))


@breaks("out-lower-kind-reductions")
def reductions_refuse(patch):
    """Mended: reductions refuse an out tensor of a lower kind."""

    def mended(original, args, out, options):
        if args[0].is_floating_point() and not out.is_floating_point():
            raise RuntimeError("result type Float can't be cast to the desired output type Long")
        return original(*args, out=out, **options)

    with_out(patch, "sum prod cumsum cumprod", mended)


@breaks("out-same-dtype")
def products_are_cast(patch):
    """mm casts its result to what out is."""
    with_out(patch, "mm", lambda original, args, out, options: out.copy_(original(*args, **options).real))


@breaks("inplace-promotion")
def in_place_casts_first(patch):
    """mul_ casts its factor to its own dtype."""
    patch(torch.Tensor, "mul_", lambda original: lambda self, other: original(self, other.to(self.dtype)))
