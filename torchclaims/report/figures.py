"""A row's figures: seconds with their interval, work done in them, the share of what the machine could do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchclaims.measure.machine import Limits
    from torchclaims.measure.memory import Memory
    from torchclaims.measure.timing import Samples
    from torchclaims.measure.work import Work

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def figures(samples: Samples, work: Work, memory: Memory | None, limits: Limits | None, dtype: str) -> dict[str, Any]:
    """What a row's ``extra_info`` says of its cost, in seconds, bytes and FLOP; None where nothing tells."""
    on_device = spread(samples, "device") if samples.device else None
    seconds = samples.median("device" if on_device else "wall")
    at_best = limits.flops.get(dtype) if limits else None
    share, binding = roofline(seconds, work, at_best, limits.bandwidth if limits else None)
    return {
        "wall": spread(samples, "wall"),
        "cpu": spread(samples, "cpu"),
        "device_time": on_device,
        "flops": work.flops,
        "bytes": work.bytes,
        "operations": work.operations,
        "flops_per_second": None if work.flops is None else work.flops / seconds,
        "bytes_per_second": work.bytes / seconds,
        "limit": {"flops_per_second": at_best, "bytes_per_second": limits.bandwidth if limits else None},
        "binding": binding,
        "share": share,
        "peak_bytes": memory.peak if memory else None,
        "retained_bytes": memory.retained if memory else None,
        "noisy": samples.noisy,
    }


def spread(samples: Samples, kind: str) -> dict[str, float]:
    """Seconds a call: the median, the ends of its 95 % interval; and the interquartile range by the median."""
    low, high = samples.interval(kind)
    return {"median": samples.median(kind), "low": low, "high": high, "spread": samples.spread(kind)}


def roofline(
    seconds: float, work: Work, flops: float | None, bandwidth: float | None
) -> tuple[float | None, str | None]:
    """The least time that the machine would need for ``work``, by ``seconds``, and which of its limits that is.

    ``flops`` (FLOP/s) and ``bandwidth`` (bytes/s) are the machine's limits. With the intensity ``work.flops /
    work.bytes`` this is the share of ``min(flops, intensity * bandwidth)``. Source: S. Williams, A. Waterman and D.
    Patterson, Roofline: an insightful visual performance model, Communications of the ACM 52 (4), 2009.
    """
    if work.flops is None or flops is None or bandwidth is None:
        return None, None
    least = {"compute": work.flops / flops, "memory": work.bytes / bandwidth}
    binding = max(least, key=least.__getitem__)
    return least[binding] / seconds, binding


def quantity(value: float, unit: str) -> str:
    """``value`` to three digits with the unit's prefix: ``12.3 ms``."""
    scale, prefix = next(((scale, prefix) for scale, prefix in _PREFIXES if abs(value) >= scale), _PREFIXES[-1])
    digits = max(0, 2 - len(str(int(abs(value) / scale))) + 1)
    return f"{value / scale:.{digits}f} {prefix}{unit}"


def table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Head and lines, one for each of ``rows``, which are ``extra_info`` as :func:`figures` makes them."""
    several = {key: len({row[key] for row in rows}) > 1 for key in ("device", "mode")}
    lines: list[tuple[str, ...]] = [("row", "median", "95 % interval", "share", "of", "")]
    for row in rows:
        time = row["device_time"] or row["wall"]
        where = [row[key] for key, more in several.items() if more]
        lines.append(
            (
                ", ".join([*where, row["row"]]),
                quantity(time["median"], "s"),
                f"{quantity(time['low'], 's')} - {quantity(time['high'], 's')}",
                "" if row["share"] is None else f"{row['share']:.0%}",
                row["binding"] or "",
                f"noisy: {time['spread']:.0%}" if row["noisy"] else "",
            )
        )
    return lines
