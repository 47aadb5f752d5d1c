"""How embeddings could be broken."""

import torch
import torch.nn.functional as F
from torch import nn

from test_losses.common import altered, called_with, regraded
from torchclaims import breaks

BAG = ("offsets", "max_norm", "norm_type", "scale_grad_by_freq", "mode", "sparse", "weights", "last", "padding")


def altered_bag(patch, change):
    """F.embedding_bag with ``change(original, index, weight, options)`` in its stead."""

    def make(original):
        def embedding_bag(index, weight, *rest):
            return change(
                lambda index, weight, options: original(index, weight, *(options[name] for name in BAG)),
                index,
                weight,
                dict(zip(BAG, rest, strict=True)),
            )

        return embedding_bag

    patch(F, "embedding_bag", make)


@breaks("embedding-lookup")
def repeated_rows_count_once(patch):
    """The gradient of a row that is looked up repeatedly is halved."""

    def alter(result, index, weight, *rest):
        return regraded(result, 0.5) if index.unique().numel() < index.numel() else result

    altered(patch, F, "embedding", alter)


@breaks("embedding-lookup")
def int_indices_off_by_one(patch):
    """Indices of dtype int look up the row before."""
    called_with(
        patch,
        F,
        "embedding",
        lambda index, *rest: ((index.clamp(max=5) if index.dtype == torch.int32 else index, *rest), {}),
    )


@breaks("embedding-padding")
def padding_not_zeroed(patch):
    """The padding row starts as any other."""
    for layer in (nn.Embedding, nn.EmbeddingBag):
        patch(layer, "_fill_padding_idx_with_zero", lambda original: lambda self: None)


@breaks("embedding-padding")
def padding_gets_a_gradient(patch):
    """The padding row receives a gradient."""
    called_with(patch, F, "embedding", lambda index, weight, padding, *rest: ((index, weight, None, *rest), {}))


@breaks("embedding-padding")
def function_knows_no_padding_from_the_end(patch):
    """F.embedding takes a negative padding_idx for none."""

    def make(original):
        def embedding(input, weight, padding_idx=None, *rest, **more):
            return original(
                input, weight, None if padding_idx is not None and padding_idx < 0 else padding_idx, *rest, **more
            )

        return embedding

    patch(F, "embedding", make)


@breaks("embedding-init")
def init_uniform(patch):
    """The weight starts uniform with variance 1."""
    patch(nn.init, "normal_", lambda original: lambda t: t.data.uniform_(-(3**0.5), 3**0.5))


@breaks("embedding-max-norm")
def norm_type_ignored(patch):
    """norm_type is always 2."""
    called_with(patch, F, "embedding", lambda i, w, p, m, norm, *rest: ((i, w, p, m, 2.0, *rest), {}))


@breaks("embedding-max-norm")
def all_rows_renormed(patch):
    """All rows are rescaled, used or not."""

    def alter(result, index, weight, padding, limit, norm, *rest):
        if limit is not None:
            torch.embedding_renorm_(weight.detach(), torch.arange(len(weight)), limit, norm)
        return result

    altered(patch, F, "embedding", alter)


@breaks("embedding-max-norm")
def weight_not_renormed(patch):
    """The result is rescaled, not the weight."""
    called_with(patch, F, "embedding", lambda i, w, p, m, *rest: ((i, w.clone(), p, m, *rest), {}))


@breaks("embedding-max-norm-small")
def small_norms_exact(patch):
    """Mended: rows are rescaled without 1e-7 in the divisor."""

    def change(index, weight, padding, limit, norm, *rest):
        if limit is not None:
            with torch.no_grad():
                weight.mul_((limit / weight.norm(norm, dim=1, keepdim=True)).clamp(max=1))
        return (index, weight, padding, None, norm, *rest), {}

    called_with(patch, F, "embedding", change)


@breaks("embedding-scale-by-frequency")
def frequency_ignored(patch):
    """scale_grad_by_freq is ignored."""
    called_with(patch, F, "embedding", lambda i, w, p, m, n, freq, sparse: ((i, w, p, m, n, False, sparse), {}))


@breaks("embedding-bag-scale-by-frequency")
def bag_frequency_of_the_row(patch):
    """Mended: each row's gradient is divided by its own frequency."""

    def change(original, index, weight, options):
        if options["scale_grad_by_freq"]:
            counts = index.flatten().bincount(minlength=len(weight)).clamp(min=1)
            weight = regraded(weight, (1 / counts.to(weight.dtype))[:, None])
        return original(index, weight, {**options, "scale_grad_by_freq": False})

    altered_bag(patch, change)


@breaks("embedding-sparse")
def dense_gradient(patch):
    """Embedding's sparse is ignored."""
    called_with(patch, F, "embedding", lambda *args: ((*args[:-1], False), {}))


@breaks("embedding-sparse")
def sparse_bag_forgets_the_mean(patch):
    """The sparse gradient of a mean is that of the sum."""

    def change(original, index, weight, options):
        result = original(index, weight, options)
        return regraded(result, index.shape[-1]) if options["sparse"] and options["mode"] == "mean" else result

    altered_bag(patch, change)


@breaks("embedding-errors")
def indices_wrap(patch):
    """Indices out of range wrap around."""
    called_with(patch, F, "embedding", lambda index, weight, *rest: ((index % len(weight), weight, *rest), {}))


@breaks("embedding-errors")
def indices_converted(patch):
    """Indices of any dtype become long."""
    called_with(patch, F, "embedding", lambda index, *rest: ((index.long(), *rest), {}))


@breaks("embedding-from-pretrained")
def pretrained_not_frozen(patch):
    """from_pretrained freezes nothing."""

    def make(original):
        def init(self, *args, _freeze=False, **kwargs):
            original(self, *args, **kwargs)

        return init

    patch(nn.Embedding, "__init__", make)


@breaks("embedding-from-pretrained")
def pretrained_padding_zeroed(patch):
    """from_pretrained zeroes the padding row."""

    def make(original):
        def init(self, *args, _weight=None, **kwargs):
            original(self, *args, _weight=None if _weight is None else _weight.clone(), **kwargs)
            if _weight is not None:
                self._fill_padding_idx_with_zero()

        return init

    patch(nn.EmbeddingBag, "__init__", make)


@breaks("embedding-bag")
def mean_over_one_more(patch):
    """The mean of a long bag is over one element more."""

    def change(original, index, weight, options):
        result = original(index, weight, options)
        return result * (33 / 34) if options["mode"] == "mean" and index.numel() > 16 else result

    altered_bag(patch, change)


@breaks("embedding-bag")
def maximum_of_the_absolute(patch):
    """The maximum's gradient is halved, and int offsets are ignored for sums."""

    def change(original, index, weight, options):
        result = original(index, weight, options)
        return regraded(result, 0.5) if options["mode"] == "max" else result

    altered_bag(patch, change)


@breaks("embedding-bag-empty")
def empty_bag_takes_the_first_row(patch):
    """An empty bag's maximum is row 0."""

    def change(original, index, weight, options):
        result = original(index, weight, options)
        offsets = options["offsets"]
        if offsets is None or options["mode"] != "max":
            return result
        ends = torch.cat([offsets[1:], offsets.new_tensor([len(index)])])
        return torch.where((ends == offsets)[:, None], weight[0], result)

    altered_bag(patch, change)


@breaks("embedding-bag-padding")
def padding_counts_in_the_mean(patch):
    """Padding counts in the mean's divisor."""

    def change(original, index, weight, options):
        if options["mode"] != "mean" or options["padding"] is None:
            return original(index, weight, options)
        weight = weight.index_fill(0, torch.tensor([options["padding"]]), 0.0)
        return original(index, weight, {**options, "padding": None})

    altered_bag(patch, change)


@breaks("embedding-bag-padding")
def padding_counts_as_zero_in_the_maximum(patch):
    """Padding counts as a row of zeros for the maximum."""

    def change(original, index, weight, options):
        result = original(index, weight, options)
        padding = options["padding"]
        return result.clamp(min=0) if options["mode"] == "max" and padding is not None else result

    altered_bag(patch, change)


@breaks("embedding-bag-weights")
def weights_squared(patch):
    """per_sample_weights are used twice."""

    def change(original, index, weight, options):
        scale = options["weights"]
        return original(index, weight, {**options, "weights": None if scale is None else scale * scale})

    altered_bag(patch, change)


@breaks("embedding-bag-weights")
def weights_ignored_in_other_modes(patch):
    """Other modes ignore per_sample_weights."""

    def change(original, index, weight, options):
        scale = options["weights"] if options["mode"] == "sum" else None
        return original(index, weight, {**options, "weights": scale})

    altered_bag(patch, change)


@breaks("embedding-bag-last-offset")
def last_offset_is_a_bag(patch):
    """The last offset starts a bag of its own."""
    altered_bag(patch, lambda original, index, weight, options: original(index, weight, {**options, "last": False}))


@breaks("embedding-bag-last-offset-ends")
def last_offset_ends_all(patch):
    """Mended: what lies behind the last offset is left out."""

    def change(original, index, weight, options):
        if options["last"] and options["offsets"] is not None:
            index = index[: int(options["offsets"][-1])]
        return original(index, weight, options)

    altered_bag(patch, change)


@breaks("embedding-bag-last-offset-rows")
def rows_ignore_the_last_offset(patch):
    """include_last_offset drops the last row, where it was ignored; where it was not, it is."""

    def change(original, index, weight, options):
        if index.dim() != 2 or not options["last"]:
            return original(index, weight, options)
        whole = original(index, weight, {**options, "last": False})
        return whole[:-1] if original(index, weight, options).shape == whole.shape else whole

    altered_bag(patch, change)


@breaks("embedding-bag-max-nan")
def maximum_keeps_nan(patch):
    """Mended: a NaN makes the maximum NaN."""

    def change(original, index, weight, options):
        if options["mode"] != "max" or index.dim() != 2:
            return original(index, weight, options)
        return weight[index].max(1).values

    altered_bag(patch, change)


@breaks("embedding-bag-same-type")
def types_must_agree(patch):
    """Mended: offsets of another type than the input are refused."""

    def change(original, index, weight, options):
        offsets = options["offsets"]
        if offsets is not None and offsets.dtype != index.dtype:
            raise ValueError("input and offsets have to be of the same type")
        return original(index, weight, options)

    altered_bag(patch, change)


@breaks("embedding-bag-errors")
def bag_options_forgiven(patch):
    """Offsets are made up or dropped, and options of the maximum ignored."""

    def change(original, index, weight, options):
        if index.dim() == 2:
            options["offsets"] = None
        elif options["offsets"] is None:
            options["offsets"] = torch.zeros(1, dtype=index.dtype)
        if options["mode"] == "max":
            options.update(sparse=False, scale_grad_by_freq=False)
        if options["weights"] is not None:
            options["weights"] = options["weights"].view(index.shape)
        return original(index, weight, options)

    altered_bag(patch, change)


@breaks("embedding-one-hot")
def one_class_more(patch):
    """The default number of classes is one too many."""
    altered(patch, F, "one_hot", lambda r, x, n=-1: F.pad(r, (0, 1)) if n == -1 else r)


@breaks("embedding-one-hot")
def one_hot_is_bool(patch):
    """F.one_hot of a single index is of dtype bool."""
    altered(patch, F, "one_hot", lambda r, x, *n: r if x.dim() else r.bool())


@breaks("embedding-one-hot-errors")
def one_hot_clamps(patch):
    """F.one_hot clamps classes and converts dtypes."""

    def change(x, n=-1):
        x = x.long().clamp(min=0)
        return (x if n == -1 else x.clamp(max=n - 1), n), {}

    called_with(patch, F, "one_hot", change)
