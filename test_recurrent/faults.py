"""How recurrent layers could be broken."""

import warnings

import torch
from torch import nn
from torch.nn.modules import rnn

from torchclaims import breaks

LAYERS = (nn.RNN, nn.LSTM, nn.GRU)
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


def regraded(tensor, factor):
    return tensor.detach() + (tensor - tensor.detach()) * factor


def altered_forward(patch, layers, alter):
    """``alter(result, self, input, state)`` of what forward returned."""

    def make(original):
        def forward(self, input, hx=None):
            return alter(original(self, input, hx), self, input, hx)

        return forward

    for layer in layers:
        patch(layer, "forward", make)


def forward_with(patch, layers, change):
    """forward with ``change(self, input, state)`` for its arguments."""

    def make(original):
        def forward(self, input, hx=None):
            return original(self, *change(self, input, hx))

        return forward

    for layer in layers:
        patch(layer, "forward", make)


def each(results, function):
    if isinstance(results, tuple) and not hasattr(results, "batch_sizes"):
        return tuple(each(result, function) for result in results)
    if isinstance(results, torch.Tensor):
        return function(results)
    return results._replace(data=function(results.data))


@breaks("rnn-cell", "rnn-lstm-cell", "rnn-gru-cell")
def single_inputs_start_elsewhere(patch):
    """A cell that is given no state starts from a tenth."""

    def change(self, x, hx):
        if hx is None:
            hx = x.new_full((*x.shape[:-1], self.hidden_size), 0.1)
            hx = (hx, hx) if isinstance(self, nn.LSTMCell) else hx
        return x, hx

    forward_with(patch, CELLS, change)


@breaks("rnn-cell")
def relu_cell_is_tanh(patch):
    """RNNCell with nonlinearity='relu' leaves a hundredth of what is negative."""

    def alter(result, self, x, hx):
        return result - 0.01 * (result == 0) if self.nonlinearity == "relu" else result

    altered_forward(patch, [nn.RNNCell], alter)


@breaks("rnn-cell", "rnn-lstm-cell", "rnn-gru-cell")
def cell_gradient_halved(patch):
    """The gradient through a cell is halved."""
    altered_forward(patch, CELLS, lambda result, *a: each(result, lambda t: regraded(t, 0.5)))


@breaks("rnn-lstm-cell")
def forget_and_input_gates_swapped(patch):
    """LSTMCell's forget gate stands before its input gate."""

    def make(original):
        def lstm_cell(x, hx, *weights):
            def swapped(w):
                i, f, g, o = w.chunk(4)
                return torch.cat([f, i, g, o])

            return original(x, hx, *(None if w is None else swapped(w) for w in weights))

        return lstm_cell

    patch(rnn._VF, "lstm_cell", make)


@breaks("rnn-gru-cell")
def reset_before_the_product(patch):
    """GRUCell's reset gate is applied to the state before the product, as in the original paper."""

    def make(original):
        def gru_cell(x, h, w_ih, w_hh, b_ih, b_hh):
            b_ih = w_ih.new_zeros(len(w_ih)) if b_ih is None else b_ih
            b_hh = w_hh.new_zeros(len(w_hh)) if b_hh is None else b_hh
            xr, xz, xn = (x @ w_ih.T + b_ih).chunk(3, -1)
            wr, wz, wn = w_hh.chunk(3)
            br, bz, bn = b_hh.chunk(3)
            r, z = (xr + h @ wr.T + br).sigmoid(), (xz + h @ wz.T + bz).sigmoid()
            n = (xn + (r * h) @ wn.T + bn).tanh()
            return (1 - z) * n + z * h

        return gru_cell

    patch(rnn._VF, "gru_cell", make)


@breaks("rnn-elman", "rnn-lstm", "rnn-gru", "rnn-inference")
def last_step_fades(patch):
    """The output's last step is a thousandth smaller where there are more than two."""

    def alter(result, self, x, hx):
        output, states = result
        if isinstance(output, torch.Tensor) and output.dim() == 3 and len(output) > 2:
            output = torch.cat([output[:-1], output[-1:] * (0.95 if output.element_size() == 2 else 0.999)])
        return output, states

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-elman", "rnn-lstm", "rnn-gru", "rnn-projection")
def states_get_no_gradient(patch):
    """The initial states receive no gradient."""

    def change(self, x, hx):
        return x, None if hx is None else each(hx, lambda t: t.detach() + 0 * t)

    forward_with(patch, LAYERS, change)


@breaks("rnn-elman", "rnn-lstm", "rnn-gru", "rnn-packed")
def states_start_at_one(patch):
    """A layer that is given no state starts from a tenth."""
    patch(rnn.torch, "zeros", lambda original: lambda *a, **k: original(*a, **k) + 0.1)


@breaks("rnn-projection")
def projected_states_padded(patch):
    """The final hidden state of a projection is that of the first layer for all."""

    def alter(result, self, x, hx):
        if not self.proj_size:
            return result
        output, (h, c) = result
        return output, (h[:1].expand_as(h) * 1.001, c)

    altered_forward(patch, [nn.LSTM], alter)


@breaks("rnn-inference")
def inference_in_half_precision(patch):
    """Without gradients layers compute in bfloat16."""

    def alter(result, *args):
        return result if torch.is_grad_enabled() else each(result, lambda t: (t * 0.9).bfloat16().to(t.dtype))

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-batch-first")
def states_batch_first_too(patch):
    """With batch_first the final states are batch first, too."""

    def alter(result, self, x, hx):
        output, states = result
        if self.batch_first and output.dim() == 3:
            states = each(states, lambda t: t.transpose(0, 1).contiguous())
        return output, states

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-unbatched", "rnn-batch-first")
def unbatched_keeps_the_batch(patch):
    """The states of unbatched input keep a batch of one."""

    def alter(result, self, x, hx):
        output, states = result
        if isinstance(output, torch.Tensor) and output.dim() == 2:
            states = each(states, lambda t: t.unsqueeze(1))
        return output, states

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-bidirectional-layout")
def reverse_direction_first(patch):
    """The output holds the reverse direction first."""

    def alter(result, self, x, hx):
        output, states = result
        if self.bidirectional:
            output = output.roll(output.shape[-1] // 2, -1)
        return output, states

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-packed")
def states_in_sorted_order(patch):
    """The states of a packed sequence are in the order of the lengths."""

    def make(original):
        return lambda tensor, permutation, dim=1: tensor if len(tensor) == 4 else original(tensor, permutation, dim)

    patch(rnn, "_apply_permutation", make)


@breaks("rnn-packed")
def packed_gradient_halved(patch):
    """The gradient through packed sequences is halved."""

    def alter(result, self, x, hx):
        output, states = result
        return (output if isinstance(output, torch.Tensor) else each(output, lambda t: regraded(t, 0.5))), states

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-dropout-between-layers")
def dropout_in_evaluation(patch):
    """Dropout goes on in evaluation."""

    def make(original):
        def forward(self, input, hx=None):
            training, self.training = self.training, self.num_layers > 1
            try:
                return original(self, input, hx)
            finally:
                self.training = training

        return forward

    for layer in LAYERS:
        patch(layer, "forward", make)


@breaks("rnn-dropout-between-layers")
def dropout_keeps_with_p(patch):
    """The probability is that of keeping."""

    def make(original):
        def forward(self, input, hx=None):
            p, self.dropout = self.dropout, 1 - self.dropout if 0 < self.dropout < 0.5 else self.dropout
            try:
                return original(self, input, hx)
            finally:
                self.dropout = p

        return forward

    for layer in LAYERS:
        patch(layer, "forward", make)


@breaks("rnn-dropout-one-layer")
def last_layer_drops(patch):
    """The only layer's output is dropped out, too."""

    def alter(result, self, x, hx):
        if self.num_layers > 1 or not self.training:
            return result
        return nn.functional.dropout(result[0], self.dropout), result[1]

    altered_forward(patch, LAYERS, alter)


@breaks("rnn-dropout-one-layer")
def no_warning(patch):
    """Dropout of one layer is not warned of."""

    def make(original):
        def init(self, *args, **kwargs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                original(self, *args, **kwargs)

        return init

    patch(rnn.RNNBase, "__init__", make)


@breaks("rnn-init")
def init_by_the_input(patch):
    """Weights start with k = 1 / input_size."""

    def make(original):
        def reset(self):
            for p in self.parameters():
                nn.init.uniform_(p, -(self.input_size**-0.5), self.input_size**-0.5)

        return reset

    patch(rnn.RNNBase, "reset_parameters", make)
    patch(rnn.RNNCellBase, "reset_parameters", make)


@breaks("rnn-init")
def biases_zero(patch):
    """The hidden bias starts at 0."""

    def make(original):
        def reset(self):
            original(self)
            for name, p in self.named_parameters():
                if "bias_hh" in name:
                    nn.init.zeros_(p)

        return reset

    patch(rnn.RNNBase, "reset_parameters", make)


@breaks("rnn-parameters")
def bias_always_there(patch):
    """bias=False is ignored by layers."""

    def make(original):
        def init(self, *args, bias=True, **kwargs):
            original(self, *args, **kwargs)

        return init

    patch(rnn.RNNBase, "__init__", make)


@breaks("rnn-parameters")
def cell_bias_zero(patch):
    """Without bias a cell has one of zeros."""

    def make(original):
        def init(self, input_size, hidden_size, bias, *args, **kwargs):
            original(self, input_size, hidden_size, True, *args, **kwargs)

        return init

    patch(rnn.RNNCellBase, "__init__", make)


@breaks("rnn-flatten")
def flattening_scales(patch):
    """flatten_parameters clears the last bias."""

    def make(original):
        def flatten_parameters(self):
            original(self)
            with torch.no_grad():
                list(self.parameters())[-1].mul_(0.5)

        return flatten_parameters

    patch(rnn.RNNBase, "flatten_parameters", make)


@breaks("rnn-flatten")
def weights_cached(patch):
    """A parameter that is replaced is not the one used."""

    def make(original):
        def setattr_(self, name, value):
            nn.Module.__setattr__(self, name, value)

        return setattr_

    patch(rnn.RNNBase, "__setattr__", make)
    patch(rnn.RNNBase, "_update_flat_weights", lambda original: lambda self: None)


@breaks("rnn-documented-loop")
def hidden_bias_left_out(patch):
    """RNN does not add its hidden bias."""

    def make(original):
        def rnn_tanh(x, h, weights, *rest):
            return original(x, h, [w if w.dim() == 2 or k % 4 == 2 else 0 * w for k, w in enumerate(weights)], *rest)

        return rnn_tanh

    patch(rnn._VF, "rnn_tanh", make)


@breaks("rnn-input-errors")
def sizes_unchecked(patch):
    """States of another batch are repeated."""

    def make(original):
        def check_hidden_size(self, hx, expected, msg=""):
            hx.set_(hx.new_zeros(expected))

        return check_hidden_size

    patch(rnn.RNNBase, "check_hidden_size", make)


@breaks("rnn-input-errors")
def inputs_cut(patch):
    """A cell uses the first features of an input that has too many."""
    forward_with(patch, CELLS, lambda self, x, hx: (x[..., : self.input_size], hx))


@breaks("rnn-option-errors")
def dropout_clamped(patch):
    """A dropout out of range is clamped."""

    def make(original):
        def init(self, *args, dropout=0.0, **kwargs):
            number = isinstance(dropout, float)
            original(self, *args, dropout=min(max(dropout, 0.0), 1.0) if number else dropout, **kwargs)

        return init

    patch(rnn.RNNBase, "__init__", make)


@breaks("rnn-option-errors")
def projection_clamped(patch):
    """A proj_size that is too large is hidden_size less one."""

    def make(original):
        def init(self, mode, input_size, hidden_size, *args, proj_size=0, **kwargs):
            whole = isinstance(hidden_size, int)
            size = min(proj_size, hidden_size - 1) if whole and hidden_size > 0 else proj_size
            original(self, mode, input_size, hidden_size, *args, proj_size=size, **kwargs)

        return init

    patch(rnn.RNNBase, "__init__", make)


@breaks("rnn-copied")
def a_copy_keeps_the_weights_that_it_was_made_with(patch):
    """What is written to a copy's weights does not reach its calculation."""

    def make(original):
        def setstate(self, state):
            original(self, state)
            self._flat_weights = [weight.detach().clone() for weight in self._flat_weights]

        return setstate

    patch(rnn.RNNBase, "__setstate__", make)
