"""Recurrent layers and cells beside their recursions."""

import copy
import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torchclaims import claim
from torchclaims.chance import assert_follows, assert_rate, uniform
from torchclaims.comparison import assert_formula, off_bends
from torchclaims.covering import board, covering
from torchclaims.reference import recurrent
from torchclaims.reference.differentiation import stacked
from torchclaims.targets import RELEASE, to_numpy
from torchclaims.tolerance import assert_same, assert_within

KINDS = {
    "tanh": nn.RNN,
    "relu": lambda *args, **more: nn.RNN(*args, nonlinearity="relu", **more),
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
}
CELLS = {
    "tanh": nn.RNNCell,
    "relu": lambda *args, **more: nn.RNNCell(*args, nonlinearity="relu", **more),
    "LSTM": nn.LSTMCell,
    "GRU": nn.GRUCell,
}
STATES = {"tanh": 1, "relu": 1, "LSTM": 2, "GRU": 1}
every_kind = pytest.mark.parametrize("kind", KINDS)


def tensors(cell, rng, *shapes):
    return [cell.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def clear_of_bends(cell, rng, formula, parameters, *shapes):
    """Tensors for which no rounding of full precision decides on which side of its bend a ReLU is."""
    return off_bends(cell, formula, lambda: tensors(cell, rng, *shapes), parameters, margin=1e-5)


def renamed(parameters, suffix):
    return {name.replace("_ih", f"_ih{suffix}").replace("_hh", f"_hh{suffix}"): p for name, p in parameters}


def check_cell(cell, rng, kind, shape, bias, given):
    layer = cell.place(CELLS[kind](shape[-1], 4, bias=bias))
    parameters = dict(layer.named_parameters())
    count = STATES[kind]

    def run(x, *states):
        if not states:
            return layer(x)
        return layer(x, states if count == 2 else states[0])

    def formula(x, *states, **weights):
        states = states or [recurrent.zeros(*shape[:-1], 4)] * count
        flat = x.reshape(-1, shape[-1])
        rows = [state.reshape(-1, 4) for state in states]
        return [new.reshape(*shape[:-1], 4) for new in recurrent.CELLS[kind](flat, tuple(rows), weights)]

    inputs = clear_of_bends(cell, rng, formula, parameters, shape, *([(*shape[:-1], 4)] * count if given else ()))
    assert_formula(cell, rng, run, formula, inputs, parameters)


BIAS = {"bias": True, "no bias": False}
GIVEN = {"state": True, "from zeros": False}
CELL_SHAPES = [(3,), (5, 3), (1, 1), (9, 7)]


@claim("rnn-cell")
@covering(["tanh", "relu"], kind=["tanh", "relu"], shape=CELL_SHAPES, bias=BIAS, given=GIVEN)
def test_rnn_cell(cell, rng, kind, shape, bias, given):
    if kind == "relu" and torch.finfo(cell.dtype).bits == 16:
        pytest.skip("does not apply: rounding decides at the bend")
    check_cell(cell, rng, kind, shape, bias, given)


@claim("rnn-lstm-cell")
@covering(["(3,)"], shape=CELL_SHAPES, bias=BIAS, given=GIVEN)
def test_lstm_cell(cell, rng, shape, bias, given):
    check_cell(cell, rng, "LSTM", shape, bias, given)


@claim("rnn-gru-cell")
@covering(["(3,)"], shape=CELL_SHAPES, bias=BIAS, given=GIVEN)
def test_gru_cell(cell, rng, shape, bias, given):
    check_cell(cell, rng, "GRU", shape, bias, given)


LAYERS = {
    # steps, batch, features, hidden, options
    "plain": (4, 3, 2, 5, {}),
    "one step": (1, 2, 3, 2, {}),
    "one feature": (3, 1, 1, 1, {}),
    "no bias": (3, 2, 4, 3, {"bias": False}),
    "two layers": (3, 2, 4, 3, {"num_layers": 2}),
    "bidirectional": (4, 2, 3, 2, {"bidirectional": True}),
    "three layers both ways": (3, 2, 3, 2, {"num_layers": 3, "bidirectional": True}),
    "both ways without bias": (3, 2, 3, 2, {"num_layers": 2, "bidirectional": True, "bias": False}),
    "wide": (2, 9, 17, 16, {}),
    "empty batch": (3, 0, 2, 3, {}),
}
every_layer = pytest.mark.parametrize(("steps", "batch", "features", "hidden", "options"), LAYERS.values(), ids=LAYERS)
PROJECTIONS = {
    "plain": (4, 3, 2, 5, {"proj_size": 2}),
    "no bias": (3, 2, 4, 3, {"proj_size": 1, "bias": False}),
    "two layers": (3, 2, 4, 5, {"proj_size": 3, "num_layers": 2}),
    "both ways": (3, 2, 3, 4, {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
}


def state_shapes(kind, batch, hidden, options):
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    projected = options.get("proj_size") or hidden
    return [(rows, batch, projected), (rows, batch, hidden)][: STATES[kind]]


def check_layer(cell, rng, kind, steps, batch, features, hidden, options, given=True):
    if kind == "LSTM" and cell.dtype == torch.bfloat16 and RELEASE.release < (2, 1) and "proj_size" not in options:
        pytest.skip("does not apply: in bfloat16 an LSTM of PyTorch 2.0 needs a oneDNN kernel that not each CPU has")
    layer = cell.place(KINDS[kind](features, hidden, **options))
    shapes = state_shapes(kind, batch, hidden, options)

    def run(x, *states):
        if not states:
            return layer(x)
        return layer(x, states if len(states) == 2 else states[0])

    def formula(x, *states, **weights):
        states = states or [recurrent.zeros(*shape) for shape in shapes]
        outputs, finals = recurrent.layers(kind, x, states, weights)
        return [stacked(outputs), *finals]

    parameters = dict(layer.named_parameters())
    inputs = clear_of_bends(cell, rng, formula, parameters, (steps, batch, features), *(shapes if given else ()))
    if not torch.is_grad_enabled():
        inputs = [one.detach() for one in inputs]
    assert_formula(cell, rng, run, formula, inputs, parameters if torch.is_grad_enabled() else detached(parameters))


def detached(parameters):
    return {name: parameter.detach() for name, parameter in parameters.items()}


@claim("rnn-elman")
@every_layer
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_rnn(cell, rng, kind, steps, batch, features, hidden, options):
    if kind == "relu" and torch.finfo(cell.dtype).bits == 16:
        pytest.skip("does not apply: rounding decides at the bend")
    check_layer(cell, rng, kind, steps, batch, features, hidden, options)


@claim("rnn-lstm")
@every_layer
def test_lstm(cell, rng, steps, batch, features, hidden, options):
    check_layer(cell, rng, "LSTM", steps, batch, features, hidden, options)


@claim("rnn-gru")
@every_layer
def test_gru(cell, rng, steps, batch, features, hidden, options):
    check_layer(cell, rng, "GRU", steps, batch, features, hidden, options)


@claim("rnn-elman", "rnn-lstm", "rnn-gru")
@every_kind
def test_states_default_to_zeros(cell, rng, kind):
    if kind == "relu" and torch.finfo(cell.dtype).bits == 16:
        pytest.skip("does not apply: rounding decides at the bend")
    check_layer(cell, rng, kind, 3, 2, 3, 4, {"num_layers": 2, "bidirectional": True}, given=False)


@claim("rnn-projection")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("steps", "batch", "features", "hidden", "options"), PROJECTIONS.values(), ids=PROJECTIONS)
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_projection(cell, rng, steps, batch, features, hidden, options, given):
    check_layer(cell, rng, "LSTM", steps, batch, features, hidden, options, given)


@claim("rnn-inference")
@board(steps__batch__features__hidden__options=LAYERS, kind=KINDS.keys())
def test_inference(cell, rng, kind, steps, batch, features, hidden, options):
    if kind == "relu" and torch.finfo(cell.dtype).bits == 16:
        pytest.skip("does not apply: rounding decides at the bend")
    with torch.no_grad():
        check_layer(cell, rng, kind, steps, batch, features, hidden, options)


def flat(results):
    """Output and final states as one list."""
    output, states = results
    return [output, *(states if isinstance(states, tuple) else [states])]


def call(cell, layer, x, states):
    return flat(cell.run(layer)(x, tuple(states) if len(states) == 2 else states[0]))


@claim("rnn-batch-first")
@every_kind
def test_batch_first(cell, rng, kind):
    options = {"num_layers": 2, "bidirectional": True}
    layer = cell.place(KINDS[kind](3, 4, batch_first=True, **options))
    plain = cell.place(KINDS[kind](3, 4, **options))
    plain.load_state_dict(layer.state_dict())
    x, *states = tensors(cell, rng, (2, 5, 3), *state_shapes(kind, 2, 4, options))
    first, second = call(cell, layer, x, states), call(cell, plain, x.transpose(0, 1), states)
    assert first[0].shape == (2, 5, 8)
    assert_same(first[0], second[0].transpose(0, 1), what="output")
    for one, other in zip(first[1:], second[1:], strict=True):
        assert one.shape == (4, 2, 4)
        assert_same(one, other, what="state")
    for got, wanted in zip(flat(cell.run(layer)(x)), flat(cell.run(plain)(x.transpose(0, 1))), strict=True):
        assert_same(got, wanted.transpose(0, 1) if got.shape != wanted.shape else wanted, what="from zeros")


@claim("rnn-unbatched", "rnn-batch-first")
@every_kind
@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched(cell, rng, kind, batch_first):
    layer = cell.place(KINDS[kind](3, 4, num_layers=2, batch_first=batch_first))
    x, *states = tensors(cell, rng, (5, 3), *[(2, 4)] * STATES[kind])
    axis = 0 if batch_first else 1
    alone = call(cell, layer, x, states)
    batched = call(cell, layer, x.unsqueeze(axis), [state.unsqueeze(1) for state in states])
    assert alone[0].shape == (5, 4)
    assert_same(alone[0], batched[0].squeeze(axis), what="output")
    for one, other in zip(alone[1:], batched[1:], strict=True):
        assert one.shape == (2, 4)
        assert_same(one, other.squeeze(1), what="state")
    assert_same(cell.run(layer)(x)[0], cell.run(layer)(x.unsqueeze(axis))[0].squeeze(axis), what="output from zeros")


@claim("rnn-bidirectional-layout")
@every_kind
def test_directions(cell, rng, kind):
    layer = cell.place(KINDS[kind](3, 4, num_layers=2, bidirectional=True))
    output, *states = flat(cell.run(layer)(*tensors(cell, rng, (5, 2, 3))))
    split = output.view(5, 2, 2, 4)
    final = states[0].view(2, 2, 2, 4)[-1]
    assert_same(split[-1, :, 0], final[0], what="forward direction at the last step")
    assert_same(split[0, :, 1], final[1], what="reverse direction at the first step")


LENGTHS = {"sorted": [5, 3, 1], "unsorted": [2, 5, 4], "equal": [4, 4, 4], "reversed": [1, 2, 5]}


@claim("rnn-packed")
@covering(
    ["sorted", "unsorted"],
    lengths=LENGTHS,
    kind=KINDS.keys(),
    given=GIVEN,
    options={"one way": {}, "both ways": {"num_layers": 2, "bidirectional": True}},
)
def test_packed(cell, rng, kind, options, given, lengths):
    layer = cell.place(KINDS[kind](3, 4, **options))
    shapes = state_shapes(kind, 3, 4, options)

    def run(x, *states):
        ordered = lengths == sorted(lengths, reverse=True)
        packed = pack_padded_sequence(x, lengths, enforce_sorted=ordered)
        more = [] if not states else [tuple(states) if len(states) == 2 else states[0]]
        output, *final = flat(layer(packed, *more))
        assert isinstance(output, PackedSequence)
        return [pad_packed_sequence(output)[0], *final]

    def formula(x, *states, **weights):
        states = states or [recurrent.zeros(*shape) for shape in shapes]
        outputs, finals = recurrent.layers(kind, x, states, weights, lengths)
        return [stacked(outputs), *finals]

    parameters = dict(layer.named_parameters())
    inputs = clear_of_bends(cell, rng, formula, parameters, (max(lengths), 3, 3), *(shapes if given else ()))
    assert_formula(cell, rng, run, formula, inputs, parameters)


@claim("rnn-packed")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_packed_projection(cell, rng):
    layer = cell.place(nn.LSTM(3, 4, proj_size=2, bidirectional=True))
    x = tensors(cell, rng, (4, 2, 3))[0]
    output, (hidden, final) = cell.run(layer)(pack_padded_sequence(x, [4, 2]))
    assert pad_packed_sequence(output)[0].shape == (4, 2, 4)
    assert (tuple(hidden.shape), tuple(final.shape)) == ((2, 2, 2), (2, 2, 4))
    alone = cell.run(layer)(x[:2, 1:])[0]
    bound = 64 * torch.finfo(cell.dtype).eps
    seen = pad_packed_sequence(output)[0][:2, 1:]
    assert_within(
        seen, to_numpy(alone), bound, what="the shorter sample", because="some 60 roundings of values below 1"
    )


@claim("rnn-dropout-between-layers")
@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU], ids=lambda layer: layer.__name__)
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout(layer, p):
    # The second layer sees what the first puts out: with its own recurrence off its gradient shows which are dropped.
    recurrent_layer = layer(2, 200, num_layers=2, dropout=p).double()
    x = torch.ones(30, 1, 2, dtype=torch.float64)

    def dropped():
        seen = []
        weight = recurrent_layer.weight_ih_l1
        weight.grad = None
        for t in range(1, 30, 10):
            (slope,) = torch.autograd.grad(recurrent_layer(x[:1] * t)[0].sum(), weight)
            seen.append((slope == 0).all(0))
        return torch.cat(seen)

    assert_rate(lambda: torch.cat([dropped() for _ in range(8)]), p, what="elements dropped between the layers")


@claim("rnn-dropout-between-layers")
@every_kind
def test_dropout_of_everything_and_in_evaluation(cell, rng, kind):
    layer = cell.place(KINDS[kind](3, 16, num_layers=2, dropout=1.0))  # of 16 units ReLU leaves some alive
    x, y = (one.detach() for one in tensors(cell, rng, (5, 2, 3), (5, 2, 3)))
    assert_same(layer(x)[0], layer(y)[0], what="output of which nothing of the input is left")
    layer.eval()
    plain = cell.place(KINDS[kind](3, 16, num_layers=2))
    plain.load_state_dict(layer.state_dict())
    assert_same(layer(x)[0], plain(x)[0], what="output in evaluation")
    assert not torch.equal(layer(x)[0], layer(y)[0])


@claim("rnn-dropout-between-layers")
def test_dropout_scales(cell):
    layer = cell.place(nn.RNN(1, 1, num_layers=2, nonlinearity="relu", dropout=0.5, bias=False))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1.0)
        layer.weight_hh_l0.zero_()
        layer.weight_hh_l1.zero_()
    output = layer(cell.tensor(np.ones((64, 1, 1))))[0]
    assert set(to_numpy(output).ravel()) == {0.0, 2.0}


@claim("rnn-dropout-one-layer")
@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU], ids=lambda layer: layer.__name__)
def test_dropout_of_one_layer(cell, rng, layer):
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        made = cell.place(layer(3, 4, dropout=0.9))
    x = tensors(cell, rng, (5, 2, 3))[0]
    first = cell.run(made)(x)[0]
    assert_same(cell.run(made)(x)[0], first, what="a second output")
    assert_same(cell.run(made.eval())(x)[0], first, what="output in evaluation")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(3, 4)
        layer(3, 4, num_layers=2, dropout=0.9)


@claim("rnn-init")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_init(kind):
    bound = 0.25
    options = {} if kind.endswith("Cell") else {"num_layers": 2, "bidirectional": True}
    first, second = ([getattr(nn, kind)(40, 16, **options) for _ in range(20)] for _ in range(2))
    for name in dict(first[0].named_parameters()):
        draws = iter([first, second])

        def draw(name=name, draws=draws):
            return torch.cat([getattr(layer, name).detach().flatten() for layer in next(draws)])

        assert_follows(draw, uniform(-bound, bound), what=name)


def documented(kind, features, hidden, layers=1, bias=True, bidirectional=False, projection=0):
    """Names and shapes as the documentation gives them."""
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind] * hidden
    out = projection or hidden
    directions = ["", "_reverse"] if bidirectional else [""]
    shapes = {}
    for layer in range(layers):
        for direction in directions:
            end = f"_l{layer}{direction}"
            shapes["weight_ih" + end] = (gates, features if layer == 0 else out * len(directions))
            shapes["weight_hh" + end] = (gates, out)
            if bias:
                shapes["bias_ih" + end] = shapes["bias_hh" + end] = (gates,)
            if projection:
                shapes["weight_hr" + end] = (projection, hidden)
    return shapes


@claim("rnn-parameters")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("projection", [0, 2])
def test_parameters(kind, bias, bidirectional, projection):
    if projection and kind != "LSTM":
        pytest.skip("does not apply: projections are for LSTM")
    more = {"proj_size": projection} if projection else {}
    layer = getattr(nn, kind)(3, 5, num_layers=2, bias=bias, bidirectional=bidirectional, **more)
    wanted = documented(kind, 3, 5, 2, bias, bidirectional, projection)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == wanted
    assert list(layer.state_dict()) == list(wanted)
    assert [[tuple(p.shape) for p in row] for row in layer.all_weights] == [
        [shape for name, shape in wanted.items() if name.endswith(f"_l{n}{d}")]
        for n in (0, 1)
        for d in (["", "_reverse"] if bidirectional else [""])
    ]


@claim("rnn-parameters")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bias", [True, False])
def test_cell_parameters(kind, bias):
    layer = getattr(nn, kind + "Cell")(3, 5, bias=bias)
    wanted = {name.removesuffix("_l0"): shape for name, shape in documented(kind, 3, 5, bias=bias).items()}
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == wanted
    if not bias:
        assert layer.bias_ih is None
        assert layer.bias_hh is None


@claim("rnn-flatten")
@every_kind
def test_flatten_and_replace(cell, rng, kind):
    layer = cell.place(KINDS[kind](3, 16, num_layers=2))  # of 16 units ReLU leaves some alive
    x = tensors(cell, rng, (5, 2, 3))[0]
    before, saved = cell.run(layer)(x)[0], {name: value.clone() for name, value in layer.state_dict().items()}
    layer.flatten_parameters()
    assert_same(cell.run(layer)(x)[0], before, what="output")
    for name, value in layer.state_dict().items():
        assert_same(value, saved[name], what=name)
    layer.weight_ih_l1 = nn.Parameter(torch.zeros_like(layer.weight_ih_l1))
    replaced = cell.run(layer)(x)[0]
    assert not torch.equal(replaced, before)
    other = cell.place(KINDS[kind](3, 16, num_layers=2))
    other.load_state_dict(layer.state_dict())
    assert_same(cell.run(other)(x)[0], replaced, what="output of a copy")
    called = torch.func.functional_call(layer, {"weight_ih_l1": saved["weight_ih_l1"]}, (x,))[0]
    assert_same(called, before, what="output with the old weight for one call")
    assert_same(cell.run(layer)(x)[0], replaced, what="output afterwards")


def loaded_from_a_file(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@claim("rnn-copied")
@every_kind
@pytest.mark.parametrize("copied", [copy.deepcopy, loaded_from_a_file], ids=["deep", "file"])
def test_a_copy_has_weights_of_its_own(cell, rng, kind, copied):
    layer = cell.place(KINDS[kind](3, 16, num_layers=2, bidirectional=True))
    x = tensors(cell, rng, (5, 2, 3))[0]
    before = layer(x)[0]
    other = copied(layer)
    assert_same(other(x)[0], before, what="output of the copy")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert_same(other(x)[0], torch.zeros_like(before), what="output of a copy whose weights are 0")
    assert_same(layer(x)[0], before, what="output of what was copied")


@claim("rnn-documented-loop")
@pytest.mark.parametrize("batch_first", [False, True])
def test_documented_loop(cell, rng, batch_first):
    layer = cell.place(nn.RNN(3, 4, num_layers=2, batch_first=batch_first))
    parameters = dict(layer.named_parameters())
    x, state = (one.detach() for one in tensors(cell, rng, (2, 5, 3) if batch_first else (5, 2, 3), (2, 2, 4)))
    with torch.no_grad():
        steps = x.transpose(0, 1) if batch_first else x
        before, now, outputs = state.clone(), state.clone(), []
        for step in steps:
            for number in range(2):
                put_in = step if number == 0 else now[number - 1]
                now[number] = torch.tanh(
                    put_in @ parameters[f"weight_ih_l{number}"].T
                    + before[number] @ parameters[f"weight_hh_l{number}"].T
                    + parameters[f"bias_hh_l{number}"]
                    + parameters[f"bias_ih_l{number}"]
                )
            outputs.append(now[-1].clone())
            before = now.clone()
        output, final = cell.run(layer)(x, state)
    wanted = torch.stack(outputs, 1 if batch_first else 0)
    bound = 256 * torch.finfo(cell.dtype).eps
    assert_within(output, to_numpy(wanted), bound, what="output", because="values below 1, some 200 roundings")
    assert_within(final, to_numpy(now), bound, what="state", because="values below 1, some 200 roundings")


@claim("rnn-input-errors")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_input_errors(cell, kind):
    layer = cell.place(getattr(nn, kind)(2, 3))

    def state(*shape):
        one = cell.tensor(np.ones(shape))
        return (one, one) if kind == "LSTM" else one

    x = cell.tensor(np.ones((4, 5, 2)))
    with pytest.raises((ValueError, RuntimeError, AssertionError), match=r"Expected input to be 2-?D or 3-?D"):
        layer(cell.tensor(np.ones((1, 4, 5, 2))))
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 2, got 3"):
        layer(cell.tensor(np.ones((4, 5, 3))))
    for shape in ((1, 4, 3), (1, 5, 2), (2, 5, 3)):
        with pytest.raises(RuntimeError, match=r"Expected hidden(\[0\])? size \(1, 5, 3\), got"):
            layer(x, state(*shape))
    with pytest.raises(RuntimeError, match=r"For batched 3-D input, hx .*should also be 3-D but got"):
        layer(x, state(1, 3))
    with pytest.raises(RuntimeError, match=r"For unbatched 2-D input, hx .*should also be 2-D but got"):
        layer(x[:, 0], state(1, 1, 3))
    with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0"):
        layer(x[:0])
    if kind == "LSTM":
        one, other = cell.tensor(np.ones((1, 5, 3))), cell.tensor(np.ones((1, 5, 2)))
        with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 5, 3\)"):
            layer(x, (one, other))


@claim("rnn-input-errors")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cell_input_errors(cell, kind):
    layer = cell.place(getattr(nn, kind + "Cell")(2, 3))

    def state(*shape):
        one = cell.tensor(np.ones(shape))
        return (one, one) if kind == "LSTM" else one

    kinds = (ValueError, AssertionError, RuntimeError)
    with pytest.raises(kinds, match=r"Expected input to be 1-?D or 2-?D"):
        layer(cell.tensor(np.ones((1, 4, 2))))
    with pytest.raises(kinds, match="input has inconsistent input_size: got 3 expected 2"):
        layer(cell.tensor(np.ones((4, 3))))
    with pytest.raises(kinds, match=r"Input batch size 4 doesn't match hidden0? ?batch size 5"):
        layer(cell.tensor(np.ones((4, 2))), state(5, 3))
    with pytest.raises(kinds, match=r"hidden0? has inconsistent hidden_size: got 2, expected 3"):
        layer(cell.tensor(np.ones((4, 2))), state(4, 2))
    if RELEASE.release >= (2, 5):
        with pytest.raises(kinds, match=r"Expected (hidden|hx).* to be 1D or 2D"):
            layer(cell.tensor(np.ones((4, 2))), state(1, 4, 3))


@claim("rnn-option-errors")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_option_errors(kind):
    layer = getattr(nn, kind)
    for dropout in (-0.1, 1.5, True, "half"):
        with pytest.raises((ValueError, TypeError), match=r"dropout should be a number in range|could not convert"):
            layer(2, 3, num_layers=2, dropout=dropout)
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        layer(2, 0)
    with pytest.raises(ValueError, match="num_layers must be greater than zero"):
        layer(2, 3, num_layers=0)
    with pytest.raises(TypeError, match="hidden_size should be of type int"):
        layer(2, 3.0)
    if kind == "LSTM":
        for size in (3, 4):
            with pytest.raises(ValueError, match="proj_size has to be smaller than hidden_size"):
                layer(2, 3, proj_size=size)
        with pytest.raises(ValueError, match="proj_size should be a positive integer or zero"):
            layer(2, 3, proj_size=-1)
    else:
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
            layer(2, 3, proj_size=1)


@claim("rnn-option-errors")
def test_unknown_nonlinearity(cell):
    with pytest.raises(ValueError, match="Unknown nonlinearity 'sin'"):
        nn.RNN(2, 3, nonlinearity="sin")
    with pytest.raises(RuntimeError, match="Unknown nonlinearity: sin"):
        cell.place(nn.RNNCell(2, 3, nonlinearity="sin"))(cell.tensor(np.ones((4, 2))))
    assert nn.RNN(2, 3, 1, "relu").nonlinearity == "relu"
