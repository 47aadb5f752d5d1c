"""Quantities as people read them: SI prefixes, three digits, round ticks."""

from __future__ import annotations

import math
from typing import Any

PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
UNKNOWN = "–"


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits and an SI prefix: ``12.3 GFLOP/s``; a dash if it is unknown."""
    if value is None:
        return UNKNOWN
    power = _power(value, digits)
    return f"{_rounded(value / 10.0**power, digits)} {PREFIXES[power]}{unit}"


def si_interval(time: dict[str, Any]) -> str:
    """The interval of a median, in the unit in which the median is written: ``[16.8, 17.4]``; empty if unknown."""
    if time["low"] is None or time["high"] is None:
        return ""
    scale = 10.0 ** _power(time["median"])
    return f"[{_rounded(time['low'] / scale)}, {_rounded(time['high'] / scale)}]"


def _power(value: float, digits: int = 3) -> int:
    if value == 0:
        return 0
    # Rounded first: 999.96 is 1.00 k, not 1000.
    rounded = abs(float(f"{value:.{digits - 1}e}"))
    return min(max(3 * math.floor(math.log10(rounded) / 3 + 1e-12), min(PREFIXES)), max(PREFIXES))


def _rounded(value: float, digits: int = 3) -> str:
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def percent(share: float | None) -> str:
    """A share of 1 with two significant digits: ``41 %``, ``0.32 %``; a dash if it is unknown."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.{0 if share == 0 or abs(share) >= 0.095 else 1 if abs(share) >= 0.0095 else 2}f} %"


def ticks(highest: float, count: int = 4) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from 0: at most ``count`` steps, the last not below ``highest``."""
    if highest <= 0:
        return [0.0, 1.0]
    raw = highest / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)]
