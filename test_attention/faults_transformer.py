"""How the layers of the transformer could be broken."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import transformer

from test_losses.common import altered, regraded
from torchclaims import breaks


def altered_forward(patch, owner, alter):
    def make(original):
        def forward(self, *args, **kwargs):
            return alter(original(self, *args, **kwargs), self, *args, **kwargs)

        return forward

    patch(owner, "forward", make)


@breaks("transformer-encoder-layer", "transformer-fast-path", "transformer-decoder-layer", "transformer-whole")
def norm_place_ignored(patch):
    """norm_first is ignored."""
    for owner in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):

        def make(original):
            def forward(self, *args, **kwargs):
                before, self.norm_first = self.norm_first, False
                try:
                    return original(self, *args, **kwargs)
                finally:
                    self.norm_first = before

            return forward

        patch(owner, "forward", make)


@breaks("transformer-encoder-layer", "transformer-stacks")
def encoder_gradient_halved(patch):
    """The gradient through an encoder layer is halved."""
    altered_forward(patch, nn.TransformerEncoderLayer, lambda result, *a, **k: regraded(result, 0.5))


@breaks("transformer-fast-path")
def gelu_is_relu_in_evaluation(patch):
    """In evaluation the activation is always ReLU."""

    def make(original):
        def forward(self, *args, **kwargs):
            before = self.activation_relu_or_gelu, self.activation
            if not self.training:
                self.activation_relu_or_gelu, self.activation = 1, F.relu
            try:
                return original(self, *args, **kwargs)
            finally:
                self.activation_relu_or_gelu, self.activation = before

        return forward

    patch(nn.TransformerEncoderLayer, "forward", make)


@breaks("transformer-fast-path-float-mask")
def slow_path_for_float_masks(patch):
    """Mended: a float mask keeps the layer from the fast path."""

    def make(original):
        def forward(self, *args, **kwargs):
            before = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                return original(self, *args, **kwargs)
            finally:
                torch.backends.mha.set_fastpath_enabled(before)

        return forward

    patch(nn.TransformerEncoderLayer, "forward", make)


@breaks("transformer-decoder-layer", "transformer-stacks", "transformer-whole")
def memory_mask_ignored(patch):
    """The decoder's layers ignore memory_mask, and their memory gets half its gradient."""

    def make(original):
        def forward(self, tgt, memory, *args, memory_mask=None, **kwargs):
            return original(self, tgt, regraded(memory, 0.5), *args, memory_mask=None, **kwargs)

        return forward

    patch(nn.TransformerDecoderLayer, "forward", make)


@breaks("transformer-stacks", "transformer-whole")
def final_norm_left_out(patch):
    """The stacks leave out their norm."""
    for owner in (nn.TransformerEncoder, nn.TransformerDecoder):

        def make(original):
            def forward(self, *args, **kwargs):
                norm, self.norm = self.norm, None
                try:
                    return original(self, *args, **kwargs)
                finally:
                    self.norm = norm

            return forward

        patch(owner, "forward", make)


@breaks("transformer-stacks")
def layers_shared(patch):
    """The stack runs one layer repeatedly."""
    patch(transformer, "_get_clones", lambda original: lambda module, count: nn.ModuleList([module] * count))


@breaks("transformer-stacks")
def every_mask_is_causal(patch):
    """Any mask counts as causal."""
    patch(transformer, "_detect_is_causal_mask", lambda original: lambda mask, *a: mask is not None)


@breaks("transformer-nested")
def padding_attended_to(patch):
    """Padding is attended to in evaluation."""

    def make(original):
        def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
            keys = src_key_padding_mask if self.training else None
            return original(self, src, mask, keys, is_causal)

        return forward

    patch(nn.TransformerEncoder, "forward", make)


@breaks("transformer-whole")
def source_not_encoded(patch):
    """The source's padding is forgotten."""

    def make(original):
        def forward(self, *args, src_key_padding_mask=None, **kwargs):
            return original(self, *args, **kwargs)

        return forward

    patch(nn.Transformer, "forward", make)


@breaks("transformer-defaults")
def norms_by_default_finer(patch):
    """The final norms have another eps."""

    def make(original):
        @functools.wraps(original)
        def init(self, *args, **kwargs):
            original(self, *args, **kwargs)
            if hasattr(self.encoder, "norm"):
                self.encoder.norm.eps = 1e-6

        return init

    patch(nn.Transformer, "__init__", make)


@breaks("transformer-causal-mask")
def diagonal_masked(patch):
    """The causal mask forbids the diagonal, too, but for the first row."""

    def alter(mask, size, *args, **kwargs):
        diagonal = torch.eye(size, dtype=torch.bool)
        diagonal[:1] = False
        return mask.masked_fill(diagonal, float("-inf"))

    altered(patch, transformer, "_generate_square_subsequent_mask", alter)


@breaks("transformer-bias-off")
def norms_keep_their_bias(patch):
    """bias=False spares the norms."""

    def make(original):
        class Norm(original):
            def __init__(self, *args, bias=True, **kwargs):
                super().__init__(*args, **kwargs)

        return Norm

    patch(transformer, "LayerNorm", make)


@breaks("transformer-errors")
def batches_repeated(patch):
    """A target of another batch is cut, and features are filled up."""

    def make(original):
        def forward(self, src, tgt, *args, **kwargs):
            axis = 0 if self.batch_first else 1
            size = min(src.shape[axis], tgt.shape[axis])
            return original(self, src.narrow(axis, 0, size), tgt.narrow(axis, 0, size), *args, **kwargs)

        return forward

    patch(nn.Transformer, "forward", make)


@breaks("transformer-errors")
def any_activation(patch):
    """An activation by an unknown name is ReLU."""
    patch(transformer, "_get_activation_fn", lambda original: lambda name: F.gelu if name == "gelu" else F.relu)


@breaks("transformer-documented-activations")
def activations_exist(patch):
    """Mended: torch.functional has the activations."""

    class Functional:
        relu, gelu = F.relu, F.gelu

    patch(torch, "functional", lambda original: Functional)
