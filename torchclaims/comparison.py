"""A layer's results and gradients beside a formula that differentiates itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from torchclaims.reference.differentiation import Rounded, Term, bends, gradients
from torchclaims.targets import Cell, to_numpy
from torchclaims.tolerance import assert_within, running_bound

BECAUSE = "running error analysis of the formula"
DRAWS = 1000  # of inputs, before it is said that none is off every bend

# How the elements of an input may lie in memory.
LAYOUTS = ("plain", "reversed axes", "offset", "every other", "expanded")


def laid_out(cell: Cell, values: np.ndarray, layout: str, *, requires_grad: bool = False) -> torch.Tensor:
    """``values`` as a tensor whose elements lie in memory as ``layout`` says.

    "expanded" repeats the first slice of the first axis, without copies.
    """
    if layout == "reversed axes":
        tensor = cell.tensor(values.T).permute(*reversed(range(values.ndim)))
    elif layout == "offset":
        tensor = cell.tensor(np.concatenate([[9.0], values.ravel()]))[1:].view(values.shape)
    elif layout == "every other" and values.ndim:
        tensor = cell.tensor(np.repeat(values, 2, -1))[..., ::2]
    elif layout == "expanded" and values.ndim:
        tensor = cell.tensor(values[:1]).expand(values.shape)
    else:
        tensor = cell.tensor(values)
    return tensor.detach().requires_grad_(requires_grad)


def off_bends(
    cell: Cell,
    formula: Callable[..., object],
    draw: Callable[[], list[torch.Tensor]],
    parameters: Mapping[str, torch.Tensor] | None = None,
    *,
    margin: float | None = None,
) -> list[torch.Tensor]:
    """The first inputs of ``draw()`` for which rounding nowhere decides on which side of a bend ``formula`` is.

    ``margin`` is how far off a bend that is; by default as far as rounding may reach at worst.

    Raises:
        ValueError: not one of very many draws is so.
    """
    named = {name: Term(to_numpy(tensor)) for name, tensor in (parameters or {}).items()}

    def is_clear(inputs: Sequence[torch.Tensor]) -> bool:
        with bends() as compared:
            formula(*[Term(to_numpy(one)) for one in inputs], **named)
        return all((abs(one.value) > (margin or reach(one))).all() for one in compared)

    def reach(one: Rounded) -> np.ndarray:
        return running_bound(cell, one.value, one.error, orders=1)

    for _ in range(DRAWS):
        if is_clear(inputs := draw()):
            return inputs
    raise ValueError(f"none of {DRAWS} draws is off every bend of the formula: draw otherwise, or give a margin")


def assert_formula(
    cell: Cell,
    rng: np.random.Generator,
    function: Callable[..., object],
    formula: Callable[..., Term | Sequence[Term]],
    inputs: Sequence[torch.Tensor],
    parameters: Mapping[str, torch.Tensor] | None = None,
    *,
    orders: int = 4,
) -> None:
    """Asserts that ``function(*inputs)`` and its gradients are those of ``formula``.

    ``formula`` takes a term for each input, and one for each of ``parameters`` by name. Gradients are taken of a random
    weighting of all results, with respect to whatever requires them.

    Raises:
        AssertionError: a result's value, shape or dtype, or a gradient, is not the formula's.
    """
    __tracebackhide__ = True
    terms = [Term(to_numpy(tensor)) for tensor in inputs]
    named = {name: Term(to_numpy(tensor)) for name, tensor in (parameters or {}).items()}
    with np.errstate(all="ignore"):
        wanted = _listed(formula(*terms, **named))
    seen = _listed(cell.run(function)(*inputs))
    assert len(seen) == len(wanted), f"{len(seen)} results, expected {len(wanted)}"
    for number, (result, term) in enumerate(zip(seen, wanted, strict=True)):
        what = "result" if len(seen) == 1 else f"result {number}"
        assert result.dtype == cell.dtype, f"{what} is of {result.dtype}, expected {cell.dtype}"
        bound = running_bound(cell, term.value, term.rounded.error, orders)
        assert_within(result, term.value, bound, what=what, because=BECAUSE)
    names = [f"input {number}" for number in range(len(inputs))] + list(named)
    tensors = [*inputs, *(parameters or {}).values()]
    asked = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    if not asked:
        return
    weights = [cell.tensor(rng.normal(size=term.shape)) for term in wanted]
    graded = torch.autograd.grad(seen, [tensors[i] for i in asked], weights, allow_unused=True)
    everything = [*terms, *named.values()]
    with np.errstate(all="ignore"):
        expected = gradients(wanted, [to_numpy(weight) for weight in weights], [everything[i] for i in asked])
    for i, gradient, rounded in zip(asked, graded, expected, strict=True):
        gradient = torch.zeros_like(tensors[i]) if gradient is None else gradient
        bound = running_bound(cell, rounded.value, rounded.error, orders)
        assert_within(gradient, rounded.value, bound, what=f"gradient of {names[i]}", because=BECAUSE)


def _listed(results: Any) -> list[Any]:
    if isinstance(results, (tuple, list)):
        return [one for result in results for one in _listed(result)]
    return [results]
