"""Formulas in NumPy that differentiate themselves and bound their own rounding error.

A :class:`Term` is an array that remembers how it was computed. :func:`gradients` follows the chain rule backwards;
every operation, forward and backward, adds what its rounding and its operands' errors can be to a running error
bound (Higham, Accuracy and Stability, section 3.3), in units of roundoff and to first order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray

# Roundings granted to an elementary function such as exp, whose implementations are off by a few units.
_ELEMENTARY = 4


class Rounded(NamedTuple):
    """Values, and a bound on their error in units of roundoff; its arithmetic carries both along."""

    value: Array
    error: Array

    @classmethod
    def exact(cls, value: Any) -> Rounded:
        """Values without error."""
        array = np.asarray(value, dtype=np.float64)
        return cls(array, np.zeros_like(array))

    def plus(self, other: Rounded) -> Rounded:
        """The sum, rounded once."""
        total = self.value + other.value
        return Rounded(total, self.error + other.error + np.abs(total))

    def times(self, other: Rounded) -> Rounded:
        """The product, rounded once."""
        product = self.value * other.value
        carried = np.abs(self.value) * other.error + np.abs(other.value) * self.error
        return Rounded(product, carried + np.abs(product))

    def over(self, other: Rounded) -> Rounded:
        """The quotient, rounded once."""
        quotient = self.value / other.value
        carried = (self.error + np.abs(quotient) * other.error) / np.abs(other.value)
        return Rounded(quotient, carried + np.abs(quotient))

    def scaled(self, factor: Any) -> Rounded:
        """The product with exact numbers, rounded once."""
        product = self.value * factor
        return Rounded(product, self.error * np.abs(factor) + np.abs(product))

    def picked(self, pick: Callable[[Array], Array]) -> Rounded:
        """What ``pick`` selects or rearranges; nothing is rounded."""
        return Rounded(pick(self.value), pick(self.error))

    def summed(self, axis: Any = None, keepdims: bool = False) -> Rounded:
        """The sum along axes, in any order."""
        total = np.sum(self.value, axis=axis, keepdims=keepdims)
        count = self.value.size // max(1, np.size(total))
        size = np.sum(np.abs(self.value), axis=axis, keepdims=keepdims)
        return Rounded(np.asarray(total), np.asarray(np.sum(self.error, axis=axis, keepdims=keepdims) + count * size))

    def matmul(self, other: Rounded) -> Rounded:
        """The product of matrices."""
        size = np.abs(self.value) @ np.abs(other.value)
        carried = np.abs(self.value) @ other.error + self.error @ np.abs(other.value)
        return Rounded(self.value @ other.value, carried + (self.value.shape[-1] + 1) * size)

    def to_shape(self, shape: tuple[int, ...]) -> Rounded:
        """Summed over what broadcasting from ``shape`` has repeated."""
        lead = tuple(range(self.value.ndim - len(shape)))
        rounded = self.summed(lead) if lead else self
        kept = tuple(i for i, size in enumerate(shape) if size == 1 and rounded.value.shape[i] != 1)
        return rounded.summed(kept, keepdims=True) if kept else rounded


Pull = Callable[[Rounded], Rounded]

# What positive_part and abs compared with 0 while :func:`bends` collects it.
_BENDS: list[list[Rounded]] = []


@contextmanager
def bends() -> Iterator[list[Rounded]]:
    """Collects what a formula compares with 0 meanwhile: where that is within its error, rounding chooses the side."""
    found: list[Rounded] = []
    _BENDS.append(found)
    try:
        yield found
    finally:
        _BENDS.remove(found)


def _bend_at(x: Rounded) -> None:
    for found in _BENDS:
        found.append(x)


class Term:
    """A step of a formula: its :class:`Rounded` result, and how a gradient is pulled back to each operand."""

    __array_priority__ = 1000.0

    def __init__(self, result: Any, operands: Sequence[tuple[Term, Pull]] = ()) -> None:
        self.rounded = result if isinstance(result, Rounded) else Rounded.exact(result)
        self.operands = operands

    @property
    def value(self) -> Array:
        """The values."""
        return self.rounded.value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return tuple(self.value.shape)

    def __add__(self, other: Any) -> Term:
        other = term(other)
        return _step(self.rounded.plus(other.rounded), (self, lambda g: g), (other, lambda g: g))

    def __neg__(self) -> Term:
        return _step(Rounded(-self.value, self.rounded.error), (self, lambda g: Rounded(-g.value, g.error)))

    def __sub__(self, other: Any) -> Term:
        return self + -term(other)

    def __mul__(self, other: Any) -> Term:
        other = term(other)
        product = self.rounded.times(other.rounded)
        return _step(product, (self, lambda g: g.times(other.rounded)), (other, lambda g: g.times(self.rounded)))

    def __truediv__(self, other: Any) -> Term:
        other = term(other)
        quotient = self.rounded.over(other.rounded)

        def to_divisor(g: Rounded) -> Rounded:
            return g.times(quotient).over(other.rounded).scaled(-1.0)

        return _step(quotient, (self, lambda g: g.over(other.rounded)), (other, to_divisor))

    def __rsub__(self, other: Any) -> Term:
        return term(other) - self

    def __rtruediv__(self, other: Any) -> Term:
        return term(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __matmul__(self, other: Term) -> Term:
        product = self.rounded.matmul(other.rounded)
        return _step(
            product,
            (self, lambda g: g.matmul(other.rounded.picked(_turned)).to_shape(self.shape)),
            (other, lambda g: self.rounded.picked(_turned).matmul(g).to_shape(other.shape)),
        )

    def __pow__(self, power: float) -> Term:
        slope = power * self.value ** (power - 1)
        return _elementary(self, self.value**power, slope, np.abs(power * (power - 1)) * self.value ** (power - 2))

    def __abs__(self) -> Term:
        sign = np.sign(self.value)
        _bend_at(self.rounded)
        return _step(Rounded(np.abs(self.value), self.rounded.error), (self, lambda g: g.times(Rounded.exact(sign))))

    def __getitem__(self, index: Any) -> Term:
        def back(g: Rounded) -> Rounded:
            value, error, count = np.zeros(self.shape), np.zeros(self.shape), np.zeros(self.shape)
            np.add.at(value, index, g.value)
            np.add.at(error, index, g.error)
            np.add.at(count, index, np.abs(g.value))
            times = np.zeros(self.shape)
            np.add.at(times, index, np.ones_like(g.value))
            return Rounded(value, error + np.maximum(times - 1, 0) * count)

        return _step(self.rounded.picked(lambda a: a[index]), (self, back))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Term:
        """The sum along ``axis``."""

        def back(g: Rounded) -> Rounded:
            if axis is not None and not keepdims:
                g = g.picked(lambda a: np.expand_dims(a, axis))
            return g.picked(lambda a: np.broadcast_to(a, self.shape))

        return _step(self.rounded.summed(axis, keepdims), (self, back))

    def mean(self) -> Term:
        """The mean of all elements; of none it is NaN."""
        count = self.value.size
        return self.sum() / float(count) if count else self.sum() * np.nan

    def reshape(self, *shape: int) -> Term:
        """The same elements in another shape."""
        return _step(
            self.rounded.picked(lambda a: a.reshape(shape)),
            (self, lambda g: g.picked(lambda a: a.reshape(self.shape))),
        )

    def transpose(self, *axes: int) -> Term:
        """The axes in another order."""
        back = tuple(np.argsort(axes))
        return _step(
            self.rounded.picked(lambda a: a.transpose(axes)), (self, lambda g: g.picked(lambda a: a.transpose(back)))
        )

    @property
    def T(self) -> Term:
        """The last two axes exchanged."""
        return _step(self.rounded.picked(_turned), (self, lambda g: g.picked(_turned)))


def term(value: Any) -> Term:
    """``value`` as a term without error, unless it is one."""
    return value if isinstance(value, Term) else Term(value)


def _turned(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


def _step(result: Rounded, *operands: tuple[Term, Pull]) -> Term:
    def fitting(operand: Term, pull: Pull) -> Pull:
        return lambda g: pull(g).to_shape(operand.shape)

    return Term(result, [(operand, fitting(operand, pull)) for operand, pull in operands])


def _elementary(x: Term, value: Array, slope: Array, curvature: Array) -> Term:
    """A function of one variable with its first two derivatives' sizes."""
    error = np.abs(slope) * x.rounded.error + _ELEMENTARY * np.abs(value)
    steep = Rounded(slope, np.abs(curvature) * x.rounded.error + 2 * _ELEMENTARY * np.abs(slope))
    return _step(Rounded(value, error), (x, lambda g: g.times(steep)))


def exp(x: Term) -> Term:
    """e to the x."""
    powers = np.exp(x.value)
    return _elementary(x, powers, powers, powers)


def log(x: Term) -> Term:
    """The natural logarithm."""
    return _elementary(x, np.log(x.value), 1 / x.value, 1 / x.value**2)


def sqrt(x: Term) -> Term:
    """The square root."""
    root = np.sqrt(x.value)
    return _elementary(x, root, 0.5 / root, 0.25 / root**3)


def tanh(x: Term) -> Term:
    """The hyperbolic tangent; its slope 1 - t^2 is computed from the rounded t."""
    t = np.tanh(x.value)
    slope = 1 - t**2
    error = slope * x.rounded.error + _ELEMENTARY * np.abs(t)
    steep = Rounded(slope, 2 * np.abs(t) * error + np.abs(t) ** 2 + slope)
    return _step(Rounded(t, error), (x, lambda g: g.times(steep)))


def sigmoid(x: Term) -> Term:
    """1 / (1 + exp(-x)); its slope s (1 - s) is computed from the rounded s."""
    small = np.exp(-np.abs(x.value))
    s = np.where(x.value >= 0, 1.0, small) / (1 + small)
    slope = small / (1 + small) ** 2
    error = slope * x.rounded.error + _ELEMENTARY * s
    steep = Rounded(slope, error + 2 * s)
    return _step(Rounded(s, error), (x, lambda g: g.times(steep)))


def softplus(x: Term) -> Term:
    """log(1 + exp(x)), without overflow."""
    small = np.exp(-np.abs(x.value))
    s = np.where(x.value >= 0, 1.0, small) / (1 + small)
    return _elementary(x, np.maximum(x.value, 0) + np.log1p(small), s, s * (1 - s))


def log_sigmoid(x: Term) -> Term:
    """log(1 / (1 + exp(-x))); its slope 1 - s is computed from the rounded sigmoid s."""
    small = np.exp(-np.abs(x.value))
    s, rest = np.where(x.value >= 0, 1.0, small) / (1 + small), np.where(x.value >= 0, small, 1.0) / (1 + small)
    value = np.minimum(x.value, 0) - np.log1p(small)
    steep = Rounded(rest, s * rest * x.rounded.error + _ELEMENTARY * s + rest)
    return _step(Rounded(value, rest * x.rounded.error + _ELEMENTARY * np.abs(value)), (x, lambda g: g.times(steep)))


def gelu(x: Term) -> Term:
    """x times the normal distribution function."""
    below = 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x.value / math.sqrt(2)))
    density = np.exp(-(x.value**2) / 2) / math.sqrt(2 * math.pi)
    value, slope = x.value * below, below + x.value * density
    # 1 + erf cancels for negative x: the error is relative to 1, not to what is left.
    error = np.abs(slope) * x.rounded.error + _ELEMENTARY * np.abs(x.value)
    steep = Rounded(slope, 2 * x.rounded.error + _ELEMENTARY * (1 + np.abs(x.value) * density))
    return _step(Rounded(value, error), (x, lambda g: g.times(steep)))


def choose(condition: Any, first: Any, second: Any) -> Term:
    """``first`` where the condition holds, else ``second``; each receives the gradient of what was chosen."""
    first, second = term(first), term(second)
    mask = np.asarray(condition)
    shape = np.broadcast_shapes(mask.shape, first.shape, second.shape)
    mask = np.broadcast_to(mask, shape)

    def among(left: Array, right: Array) -> Array:
        return np.where(mask, left, right)

    result = Rounded(among(first.value, second.value), among(first.rounded.error, second.rounded.error))
    return _step(
        result,
        (first, lambda g: g.picked(lambda a: np.where(mask, a, 0.0))),
        (second, lambda g: g.picked(lambda a: np.where(mask, 0.0, a))),
    )


def positive_part(x: Term) -> Term:
    """max(0, x)."""
    _bend_at(x.rounded)
    return choose(x.value > 0, x, 0.0)


def smaller(first: Term, second: Term) -> Term:
    """min(first, second)."""
    _bend_at((first - second).rounded)
    return choose(first.value < second.value, first, second)


def stacked(terms: Sequence[Term], axis: int = 0) -> Term:
    """The terms along a new axis."""

    def part(number: int) -> Pull:
        return lambda g: g.picked(lambda a: np.take(a, number, axis))

    result = Rounded(np.stack([one.value for one in terms], axis), np.stack([one.rounded.error for one in terms], axis))
    return _step(result, *((one, part(number)) for number, one in enumerate(terms)))


def joined(terms: Sequence[Term], axis: int) -> Term:
    """The terms one after another along ``axis``."""
    ends = np.cumsum([0, *(one.shape[axis] for one in terms)])

    def part(number: int) -> Pull:
        return lambda g: g.picked(lambda a: np.take(a, range(ends[number], ends[number + 1]), axis))

    result = Rounded(
        np.concatenate([one.value for one in terms], axis),
        np.concatenate([one.rounded.error for one in terms], axis),
    )
    return _step(result, *((one, part(number)) for number, one in enumerate(terms)))


def log_softmax(x: Term, axis: int) -> Term:
    """x - log(sum(exp(x))) along ``axis``; less the maximum, which changes nothing and cannot overflow."""
    less = x - x.value.max(axis, keepdims=True)
    return less - log(exp(less).sum(axis, keepdims=True))


def softmax(x: Term, axis: int) -> Term:
    """exp(x) / sum(exp(x)) along ``axis``."""
    powers = exp(x - x.value.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def gradients(outputs: Sequence[Term], weights: Sequence[Array], inputs: Sequence[Term]) -> list[Rounded]:
    """The gradients of sum(weights * outputs) with respect to each of ``inputs``."""
    order: list[Term] = []
    seen: set[int] = set()

    def visit(start: Term) -> None:
        stack = [(start, False)]
        while stack:
            one, done = stack.pop()
            if done:
                order.append(one)
            elif id(one) not in seen:
                seen.add(id(one))
                stack.append((one, True))
                stack.extend((operand, False) for operand, _ in one.operands)

    for output in outputs:
        visit(output)
    arrived: dict[int, Rounded] = {}

    def arrive(one: Term, gradient: Rounded) -> None:
        arrived[id(one)] = arrived[id(one)].plus(gradient) if id(one) in arrived else gradient

    for output, weight in zip(outputs, weights, strict=True):
        arrive(output, Rounded.exact(weight))
    for one in reversed(order):
        if id(one) in arrived:
            for operand, pull in one.operands:
                arrive(operand, pull(arrived[id(one)]))
    return [arrived.get(id(one), Rounded.exact(np.zeros(one.shape))) for one in inputs]
