"""A row's figures: seconds with their interval, work done in them, the share of what the machine could do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torchclaims.report.quantities import percent, si, si_interval

if TYPE_CHECKING:
    from torchclaims.measure.memory import Memory
    from torchclaims.measure.timing import Samples
    from torchclaims.measure.work import Work


def figures(
    samples: Samples, work: Work, memory: Memory | None, flops: float | None, bandwidth: float | None
) -> dict[str, Any]:
    """What a row's ``extra_info`` says of its cost, in seconds, bytes and FLOP; None where nothing tells.

    ``flops`` (FLOP/s) and ``bandwidth`` (bytes/s) are the machine's limits.
    """
    on_device = spread(samples, "device") if samples.device else None
    seconds = samples.median("device" if on_device else "wall")
    share, binding = roofline(seconds, work, flops, bandwidth)
    return {
        "wall": spread(samples, "wall"),
        "cpu": spread(samples, "cpu"),
        "device_time": on_device,
        "flops": work.flops,
        "bytes": work.bytes,
        "operations": work.operations,
        "flops_per_second": None if work.flops is None else work.flops / seconds,
        "bytes_per_second": work.bytes / seconds,
        "limit": {"flops_per_second": flops, "bytes_per_second": bandwidth},
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


def table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Head and lines, one for each of ``rows``, which are ``extra_info`` as :func:`figures` makes them."""
    several = {key: len({row[key] for row in rows}) > 1 for key in ("device", "mode")}
    lines: list[tuple[str, ...]] = [("row", "median", "95 % interval", "share", "of limit", "spread")]
    for row in rows:
        time = row["device_time"] or row["wall"]
        where = [row[key] for key, more in several.items() if more]
        lines.append(
            (
                ", ".join([*where, row["row"]]),
                si(time["median"], "s"),
                si_interval(time),
                percent(row["share"]),
                row["binding"] or "",
                f"noisy, {percent(time['spread'])}" if row["noisy"] else "",
            )
        )
    return lines
