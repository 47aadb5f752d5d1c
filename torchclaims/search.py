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

from torchclaims.comparison import BECAUSE
from torchclaims.reference.differentiation import Term, gradients
from torchclaims.targets import Cell, from_numpy, to_numpy
from torchclaims.tolerance import assert_within, running_bound

Drawn = TypeVar("Drawn")

# How a tensor may lie in memory, as an expression of the contiguous tensor; the least and the largest rank it takes.
# Tensors of any layout but the last two have the values that were drawn.
LAYOUTS: dict[str, tuple[str, int, int]] = {
    "contiguous": ("{0}", 0, 64),
    "transposed": ("{0}.transpose(-1, -2).contiguous().transpose(-1, -2)", 2, 64),
    "batch last": ("{0}.movedim(0, -1).contiguous().movedim(-1, 0)", 2, 64),
    "reversed axes": ("{0}.permute({1}).contiguous().permute({1})", 3, 64),
    "every other": ("torch.stack([{0}, {0}], -1)[..., 0]", 0, 64),
    "offset": ("torch.cat([{0}[:1], {0}])[1:]", 1, 64),
    "channels last": ("{0}.contiguous(memory_format=torch.channels_last)", 4, 4),
    "channels last in 3-D": ("{0}.contiguous(memory_format=torch.channels_last_3d)", 5, 5),
    "expanded": ("{0}[:1].expand({0}.shape)", 1, 64),
    "one for all": ("{0}.flatten()[0].expand({0}.shape)", 1, 64),
}
DENSE = ("contiguous", "offset")
SPECIAL_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e-42, -1e-42, 1e30, -1e30])
# Around the widths of vector registers kernels change from whole vectors to what is left over.
WIDTHS = st.sampled_from([7, 8, 9, 15, 16, 17, 31, 33])
# So many elements are drawn one by one; of more the values follow a pattern, which is drawn as fast for many.
FEW = 16


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

    def pick(self, *options: Drawn) -> Drawn:
        """One of ``options``; a counter-example is shrunk towards the first."""
        return self.draw(st.sampled_from(options))

    def size(self, low: int = 1, high: int = 5) -> int:
        """A size from ``low`` to ``high``, or one around the widths of vectors."""
        return self.draw(st.integers(low, high) | WIDTHS)

    def sizes(self, rank: int, low: int = 1, high: int = 4, wide: bool = True) -> tuple[int, ...]:
        """``rank`` sizes, one of which may be around the widths of vectors."""
        sizes = list(self.integers(low, high, rank))
        if rank and wide:
            sizes[self.draw(st.integers(0, rank - 1))] = self.size(low, high)
        return tuple(sizes)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        *,
        low: float = -4.0,
        high: float = 4.0,
        step: float | None = None,
        special: bool = False,
        grad: bool = False,
        layouts: Sequence[str] = tuple(LAYOUTS),
    ) -> np.ndarray:
        """Draws ``name``, a tensor of ``shape`` in any of ``layouts``; returns the values that the cell's dtype holds.

        Values are from ``low`` to ``high``, in steps of ``step`` where it is given. With ``special``, NaN, infinities,
        negative zero, subnormal and huge numbers are among them; with ``grad`` it is a leaf tensor that requires grad.
        """
        dtype, count = self.cell.dtype, math.prod(shape)
        if count and (count <= FEW or special):
            # Few significant bits, so that every dtype holds them, among numbers that need rounding.
            grid = step or 1 / 8
            elements = st.integers(0, int((high - low) / grid)).map(lambda steps: low + steps * grid)
            if step is None:
                # Products of lesser numbers are subnormal, where no relative bound holds: special values go there.
                least = torch.finfo(dtype).tiny ** 0.5
                numbers = st.floats(float(np.float32(low)), float(np.float32(high)), width=32)
                elements = elements | numbers.map(lambda number: number if abs(number) >= least else 0.0)
            elements = elements | SPECIAL_NUMBERS if special else elements
            values = self.draw(
                arrays(np.float64, tuple(shape), elements=elements, fill=elements if count > FEW else st.nothing())
            )
            expression = f"torch.tensor({from_numpy(values).to(dtype).tolist()}, dtype={dtype})"
        else:
            expression = self._pattern(shape, low, high, step)
        self.run(name, expression + self._placed())
        self._lay_out(name, shape, layouts)
        if grad:
            self.run(name, f"{name}.requires_grad_()")
        return self.values(name)

    def whole(
        self,
        name: str,
        shape: Sequence[int],
        low: int,
        high: int,
        *,
        dtype: torch.dtype = torch.int64,
        layouts: Sequence[str] = tuple(LAYOUTS),
    ) -> np.ndarray:
        """Draws ``name``, a tensor of whole numbers from ``low`` to ``high``, or of booleans; returns the values."""
        elements = st.integers(low, high)
        values = self.draw(arrays(np.int64, tuple(shape), elements=elements, fill=elements))
        reshaped = "" if values.size else f".reshape({tuple(shape)})"
        self.run(name, f"torch.tensor({values.tolist()}, dtype={dtype}){reshaped}{self._placed()}")
        self._lay_out(name, shape, layouts)
        return self.values(name)

    def values(self, name: str) -> np.ndarray:
        """The values of the tensor ``name``, which may be an expression such as ``module.weight``."""
        return to_numpy(self.get(name))

    def get(self, name: str) -> torch.Tensor:
        """The tensor ``name``, which may be an expression such as ``module.weight``."""
        tensor: torch.Tensor = eval(name, self._names)
        return tensor

    def module(
        self, name: str, expression: str, *, low: float = -2.0, high: float = 2.0, dtype: torch.dtype | None = None
    ) -> torch.nn.Module:
        """Runs ``name = expression``, a module, in the cell's dtype or ``dtype``, with parameters from ``low`` up."""
        place = f".to({self.cell.device.name!r}, {dtype or self.cell.dtype})"
        module: torch.nn.Module = self.run(name, f"torch.nn.{expression}{place}")
        drawn = {key: key.replace(".", "_") for key, _ in module.named_parameters()}
        for key, parameter in module.named_parameters():
            self.tensor(drawn[key], parameter.shape, low=low, high=high, layouts=DENSE)
        state = ", ".join(f"{key!r}: {value}" for key, value in drawn.items())
        self.run("loaded", f"{name}.load_state_dict({{{state}}}, strict=False)")
        return module

    def _pattern(self, shape: Sequence[int], low: float, high: float, step: float | None) -> str:
        steps = self.draw(st.sampled_from([16, 64])) if step is None else int((high - low) / step)
        factor = self.draw(st.sampled_from([3, 1, 2, 5, 7, 11, 0]))
        numbers = f"(torch.arange({math.prod(shape)}) * {factor} % {steps + 1}).reshape({tuple(shape)})"
        return f"({numbers} * {step or (high - low) / steps} + {low}).to({self.cell.dtype})"

    def _lay_out(self, name: str, shape: Sequence[int], layouts: Sequence[str]) -> None:
        rank = len(shape)
        fitting = [one for one in layouts if LAYOUTS[one][1] <= rank <= LAYOUTS[one][2]]
        layout = LAYOUTS[self.draw(st.sampled_from(fitting))][0] if math.prod(shape) else "{0}"
        if layout != "{0}":
            self.run(name, layout.format(name, tuple(reversed(range(rank)))))

    def agree(
        self, expression: str, formula: Callable[..., Term | Sequence[Term]], names: Sequence[str], *, orders: int = 4
    ) -> None:
        """Asserts that ``expression``, a tensor or several, and its gradients are those of ``formula``.

        ``formula`` takes a term for each of the tensors ``names``, which may be expressions; ``orders`` is that of
        running_bound.

        Raises:
            AssertionError: a result's value, shape or dtype, or a gradient, is not the formula's.
        """
        __tracebackhide__ = True
        terms = [Term(self.values(name)) for name in names]
        with np.errstate(all="ignore"):
            results = formula(*terms)
        wanted = [results] if isinstance(results, Term) else list(results)
        out = self.run("out", expression)
        seen = [out] if isinstance(out, torch.Tensor) else list(out)
        assert len(seen) == len(wanted), f"{len(seen)} results, expected {len(wanted)}"
        for result, one in zip(seen, wanted, strict=True):
            assert result.dtype == self.cell.dtype, f"{result.dtype}, expected {self.cell.dtype}"
            bound = running_bound(self.cell, one.value, one.rounded.error, orders)
            assert_within(result, one.value, bound, what="out", because=BECAUSE)
        asked = [name for name in names if self.get(name).requires_grad]
        if not asked:
            return
        weights = [self.tensor(f"grad{k}", one.shape) for k, one in enumerate(wanted)]
        given = ", ".join(f"grad{k}" for k in range(len(wanted)))
        graded = self.run("gradients", f"torch.autograd.grad(out, [{', '.join(asked)}], [{given}])")
        with np.errstate(all="ignore"):
            expected = gradients(wanted, weights, [terms[list(names).index(name)] for name in asked])
        for name, gradient, rounded in zip(asked, graded, expected, strict=True):
            bound = running_bound(self.cell, rounded.value, rounded.error, orders)
            assert_within(gradient, rounded.value, bound, what=f"gradient of {name}", because=BECAUSE)

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
