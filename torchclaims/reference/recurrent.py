"""Recurrent layers: the documented recursions, as terms that differentiate themselves.

``weights`` maps the names that PyTorch's layers use, such as ``weight_ih_l0_reverse``, to terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from torchclaims.reference.differentiation import Term, joined, positive_part, sigmoid, stacked, tanh, term

Weights = Mapping[str, Term]
State = tuple[Term, ...]


def affine(x: Term, weights: Weights, kind: str, suffix: str = "") -> Term:
    """x W^T + b with the weights ``weight_<kind><suffix>`` and, where there is one, ``bias_<kind><suffix>``."""
    product = x @ weights[f"weight_{kind}{suffix}"].T
    bias = weights.get(f"bias_{kind}{suffix}")
    return product if bias is None else product + bias


def parts(gates: Term, count: int) -> list[Term]:
    """The gates' ``count`` blocks of the last axis."""
    size = gates.shape[-1] // count
    return [gates[..., slice(k * size, (k + 1) * size)] for k in range(count)]


def elman_cell(x: Term, state: State, weights: Weights, suffix: str = "", relu: bool = False) -> State:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or the positive part of it."""
    total = affine(x, weights, "ih", suffix) + affine(state[0], weights, "hh", suffix)
    return (positive_part(total) if relu else tanh(total),)


def lstm_cell(x: Term, state: State, weights: Weights, suffix: str = "") -> State:
    """Gates i, f, g, o; c' = f c + i g; h' = o tanh(c'), times W_hr where there is a projection."""
    gates = affine(x, weights, "ih", suffix) + affine(state[0], weights, "hh", suffix)
    i, f, g, o = parts(gates, 4)
    cell = sigmoid(f) * state[1] + sigmoid(i) * tanh(g)
    hidden = sigmoid(o) * tanh(cell)
    if f"weight_hr{suffix}" in weights:
        hidden = hidden @ weights[f"weight_hr{suffix}"].T
    return hidden, cell


def gru_cell(x: Term, state: State, weights: Weights, suffix: str = "") -> State:
    """Gates r, z, n; n takes r times (W_hn h + b_hn); h' = (1 - z) n + z h."""
    of_x, of_h = parts(affine(x, weights, "ih", suffix), 3), parts(affine(state[0], weights, "hh", suffix), 3)
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    n = tanh(of_x[2] + r * of_h[2])
    return ((1 - z) * n + z * state[0],)


def relu_cell(x: Term, state: State, weights: Weights, suffix: str = "") -> State:
    """The Elman cell with the positive part for the hyperbolic tangent."""
    return elman_cell(x, state, weights, suffix, relu=True)


CELLS = {"tanh": elman_cell, "relu": relu_cell, "LSTM": lstm_cell, "GRU": gru_cell}


def layers(
    kind: str,
    x: Term,
    states: Sequence[Term],
    weights: Weights,
    lengths: Sequence[int] | None = None,
) -> tuple[list[Term], list[Term]]:
    """All layers and directions over ``x`` (L, N, H): the top layer's outputs, a term a step, and the final states.

    ``states`` holds h, and c for an LSTM, each (layers * directions, N, H). The sample n ends at ``lengths[n]``:
    its state stays from then on, and its outputs there are 0; the reverse direction starts at its own end.
    """
    steps, samples = x.shape[:2]
    ends = np.array([steps] * samples if lengths is None else lengths)
    inputs = [x[t] for t in range(steps)]
    finals: list[State] = []
    layer = 0
    while f"weight_ih_l{layer}" in weights:
        directions = ["", "_reverse"] if f"weight_ih_l{layer}_reverse" in weights else [""]
        outputs = []
        for number, direction in enumerate(directions):
            state = tuple(one[layer * len(directions) + number] for one in states)
            order = range(steps) if not direction else range(steps - 1, -1, -1)
            row: dict[int, Term] = {}
            for t in order:
                within = (t < ends)[:, None].astype(np.float64)
                new = CELLS[kind](inputs[t], state, weights, f"_l{layer}{direction}")
                if within.all():
                    state = new
                else:
                    state = tuple(a * within + b * (1 - within) for a, b in zip(new, state, strict=True))
                row[t] = new[0] if within.all() else new[0] * within
            outputs.append([row[t] for t in range(steps)])
            finals.append(state)
        inputs = [joined(step, 1) if len(step) > 1 else step[0] for step in map(list, zip(*outputs, strict=True))]
        layer += 1
    return inputs, [stacked([final[k] for final in finals]) for k in range(len(states))]


def zeros(*shape: int) -> Term:
    """A state of zeros."""
    return term(np.zeros(shape))
