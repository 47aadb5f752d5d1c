"""Counter-examples to the recursions of recurrent layers and cells."""

from test_recurrent.test_recurrent import STATES, state_shapes
from torchclaims import claim
from torchclaims.reference import recurrent
from torchclaims.reference.differentiation import stacked
from torchclaims.search import search

# Rounding decides where a positive part bends: no "relu".
NAMES = {"tanh": "RNN", "LSTM": "LSTM", "GRU": "GRU"}


def weights_of(module):
    return [name for name, _ in module.named_parameters()]


@claim("rnn-cell", "rnn-lstm-cell", "rnn-gru-cell")
@search
def test_cell(cell, script):
    kind, bias = script.pick(*NAMES), script.pick(True, False)
    (batch,), features, hidden = script.integers(1, 4), script.size(1, 4), script.size(1, 4)
    module = script.module("cell", f"{NAMES[kind]}Cell({features}, {hidden}, bias={bias})", low=-1.0, high=1.0)
    script.tensor("x", (batch, features), low=-2.0, high=2.0, grad=True)
    states = ["h", "c"][: STATES[kind]]
    for name in states:
        script.tensor(name, (batch, hidden), low=-1.0, high=1.0, grad=True)
    names = weights_of(module)

    def formula(x, *rest):
        weights = dict(zip(names, rest[len(states) :], strict=True))
        return list(recurrent.CELLS[kind](x, rest[: len(states)], weights))

    call = "cell(x, (h, c))" if kind == "LSTM" else "cell(x, h)"
    script.agree(call, formula, ["x", *states, *(f"cell.{name}" for name in names)])


@claim("rnn-elman", "rnn-lstm", "rnn-gru")
@search
def test_layer(cell, script):
    kind = script.pick(*NAMES)
    options = {
        "num_layers": script.pick(1, 2),
        "bidirectional": script.pick(False, True),
        "bias": script.pick(True, False),
    }
    (steps, batch), features, hidden = script.integers(1, 3, 2), script.size(1, 4), script.integers(1, 5)[0]
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    module = script.module("layer", f"{NAMES[kind]}({features}, {hidden}, {given})", low=-1.0, high=1.0)
    script.tensor("x", (steps, batch, features), low=-2.0, high=2.0, grad=True)
    states = ["h", "c"][: STATES[kind]]
    for name, shape in zip(states, state_shapes(kind, batch, hidden, options), strict=True):
        script.tensor(name, shape, low=-1.0, high=1.0, grad=True)
    names = weights_of(module)

    def formula(x, *rest):
        weights = dict(zip(names, rest[len(states) :], strict=True))
        outputs, finals = recurrent.layers(kind, x, rest[: len(states)], weights)
        return [stacked(outputs), *finals]

    call = "layer(x, (h, c))" if kind == "LSTM" else "layer(x, h)"
    script.run("results", call)
    flat = "[results[0], *results[1]]" if kind == "LSTM" else "results"
    script.agree(flat, formula, ["x", *states, *(f"layer.{name}" for name in names)])
