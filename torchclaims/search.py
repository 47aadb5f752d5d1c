"""``--search N``: Hypothesis looks for counter-examples to claims on formulas.

A search is a function in a room's ``search*.py`` that draws one case through a :class:`Script` and compares what
PyTorch computes with the room's oracle. The script is the case: what it draws becomes lines of Python that need torch
alone, and those very lines are run. A counter-example is shrunk and printed as that script.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from torchclaims.targets import Cell, from_numpy, to_numpy

Drawn = TypeVar("Drawn")

# How a tensor may lie in memory, as an expression of the contiguous tensor; and the least rank that it takes.
LAYOUTS: dict[str, tuple[str, int]] = {
    "contiguous": ("{0}", 0),
    "transposed": ("{0}.transpose(-1, -2).contiguous().transpose(-1, -2)", 2),
    "batch last": ("{0}.movedim(0, -1).contiguous().movedim(-1, 0)", 2),
    "every other": ("torch.stack([{0}, {0} + 1], -1)[..., 0]", 0),
    "offset": ("torch.cat([torch.ones_like({0}[:1]), {0}])[1:]", 1),
    "channels last": ("{0}.contiguous(memory_format=torch.channels_last)", 4),
}
# Few significant bits, so that every dtype holds them, among numbers that need rounding.
ROUND_NUMBERS = st.integers(-32, 32).map(lambda eighths: eighths / 8)
ROUGH_NUMBERS = st.floats(-4, 4, width=32)
SPECIAL_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e-42, -1e-42, 1e30, -1e30])


class Script:
    """A counter-example to be: draws, runs, and remembers, in lines of Python that need torch alone."""

    def __init__(self, cell: Cell, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.cell = cell
        self._draw = draw
        self._names: dict[str, Any] = {"torch": torch, "nan": math.nan, "inf": math.inf}
        self.lines = ["import torch", "from math import inf, nan", ""]

    def draw(self, strategy: st.SearchStrategy[Drawn]) -> Drawn:
        """A value of ``strategy``, to be put into a line."""
        value: Drawn = self._draw(strategy)
        return value

    def integers(self, low: int, high: int, count: int = 1) -> tuple[int, ...]:
        """``count`` integers from ``low`` to ``high``, both included."""
        return self.draw(st.tuples(*[st.integers(low, high)] * count))

    def tensor(
        self, name: str, shape: Sequence[int], *, special: bool = False, positive: bool = False, grad: bool = False
    ) -> np.ndarray:
        """Draws ``name``, a tensor of ``shape`` in any memory layout; returns the values that the cell's dtype holds.

        With ``special``, NaN, infinities, negative zero, subnormal and huge numbers are among them; with ``grad`` it is
        a leaf tensor that requires grad.
        """
        elements = ROUND_NUMBERS | ROUGH_NUMBERS | SPECIAL_NUMBERS if special else ROUND_NUMBERS | ROUGH_NUMBERS
        if positive:
            elements = elements.map(lambda value: abs(value) + 0.125)
        values = self.draw(arrays(np.float64, tuple(shape), elements=elements, fill=ROUND_NUMBERS))
        layouts = [layout for layout, (_, rank) in LAYOUTS.items() if len(shape) >= rank]
        layouts.remove("channels last") if len(shape) > 4 else None
        layout, _ = LAYOUTS[self.draw(st.sampled_from(layouts))] if values.size else LAYOUTS["contiguous"]
        stored = from_numpy(values).to(self.cell.dtype)
        literal = stored.tolist()
        self.run(name, f"torch.tensor({literal}, dtype={self.cell.dtype}){self._shaped(shape)}{self._placed()}")
        if layout != "{0}":
            self.run(name, layout.format(name))
        if grad:
            self.run(name, f"{name}.requires_grad_()")
        return to_numpy(stored)

    def _shaped(self, shape: Sequence[int]) -> str:
        return "" if math.prod(shape) else f".reshape({tuple(shape)})"

    def _placed(self) -> str:
        return "" if self.cell.device.is_cpu else f".to({self.cell.device.name!r})"

    def run(self, name: str, expression: str) -> Any:
        """Runs ``name = expression`` and returns the value.

        Raises:
            AssertionError: PyTorch refuses what a search only draws where it is documented.
        """
        self.lines.append(f"{name} = {expression}")
        try:
            self._names[name] = eval(expression, self._names)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        return self._names[name]

    def text(self, finding: str, result: str) -> str:
        """The whole script, with what was found as a comment."""
        comment = [f"# {line}" for line in finding.splitlines()]
        return "\n".join([*self.lines, f"print({result})", *comment])


def search(body: Callable[[Cell, Script], None]) -> Callable[..., None]:
    """Turns ``body(cell, script)`` into a test that Hypothesis runs with as many cases as ``--search`` says."""

    @given(data=st.data())
    def test(cell: Cell, data: st.DataObject) -> None:
        __tracebackhide__ = True
        script = Script(cell, data.draw)
        try:
            body(cell, script)
        except AssertionError as error:
            last = script.lines[-1].partition(" = ")[0]
            raise AssertionError(f"a counter-example, shrunk:\n\n{script.text(str(error), last)}\n") from None

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    test.__module__ = body.__module__
    return test
