"""The roofline plot: what each row computes a second, beside what the machine's two limits allow.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009: a function that
does I FLOPs for each byte it moves runs at no more than min(peak, I · bandwidth) FLOP/s.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torchclaims.report.quantities import percent, si, si_interval
from torchclaims.report.svg import LIGHT, SETTINGS, name_at, of_figure
from torchclaims.report.timings import Row, intensity, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = {"forward": "o", "inference": "s", "backward": "v", "step": "D"}
SIZES = {"network": 42, "layer": 22}  # square points
WIDE, NARROW = (1000, 640), (400, 620)  # points
WIDTHS = {"wide": WIDE, "narrow": NARROW}
STRIP = 110  # points, of height
TICK = 80  # points, the width that a tick's label needs with the space around it
LINE: dict[str, Any] = {"color": LIGHT["ink"], "linewidth": 1.6}

Mark = tuple[str, int, str]  # as svg.of_figure takes them


def is_full(precision: str) -> bool:
    """Whether a row's arithmetic is float32; what is not is drawn hollow, dashed or hatched, in another colour."""
    return precision == "float32"


def draw(rows: Sequence[Row], size: tuple[int, int]) -> str:
    """An ``<svg>`` of ``size`` points with a mark for every row; the rows are one device's.

    Rows without counted FLOPs have no intensity: they stand in a strip of their own, by the bytes they move a second.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    placed = [row for row in rows if intensity(row) and row["flops_per_second"]]
    strip = [row for row in rows if row not in placed and row["bytes_per_second"]]
    salt = {"svg.hashsalt": f"{rows[0]['device']}{size}"}
    with style.context(["default", SETTINGS | salt]):
        height = size[1] if placed else 2 * STRIP
        figure = Figure(figsize=(size[0] / 72, height / 72), dpi=72, layout="constrained", facecolor="none")
        heights = [size[1] - STRIP, STRIP] if placed and strip else [1]
        panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        marks: list[Mark] = []
        if strip:
            marks += _draw_strip(panels[-1], strip, size[0])
        if placed:
            marks += _draw_roofline(panels[0], placed, size[0])
        return of_figure(figure, marks)


def ceilings(rows: Iterable[Row]) -> tuple[dict[str, float], float]:
    """The best measured FLOP/s for each precision, and the best bytes/s, of the device that ``rows`` ran on."""
    flops: dict[str, list[float]] = {}
    bandwidths = []
    for row in rows:
        bandwidths.append(row["limit"]["bytes_per_second"])
        if row["limit"]["flops_per_second"]:
            flops.setdefault(row["precision"], []).append(row["limit"]["flops_per_second"])
    return {name: statistics.median(limits) for name, limits in flops.items()}, statistics.median(bandwidths)


def title(row: Row) -> str:
    """A row and its figures in a few lines: what a pointer that rests on a mark is shown."""
    time = seconds(row)
    lines = [
        row["row"] + (f", {row['mode']}" if row["mode"] != "eager" else ""),
        f"{si(time['median'], 's')} {si_interval(time)}" + ("; noisy" if row["noisy"] else ""),
        f"{si(row['flops_per_second'], 'FLOP/s')}, {si(row['bytes_per_second'], 'B/s')}",
        f"{percent(row['share'])} of the limit" + (f"; {row['binding']}-bound" if row["binding"] else ""),
    ]
    return "\n".join(lines)


def _draw_roofline(axes: Axes, rows: Sequence[Row], width: int) -> list[Mark]:
    import numpy as np

    flops, bandwidth = ceilings(rows)
    xs = [intensity(row) or math.nan for row in rows]
    ys = [row["flops_per_second"] for row in rows]
    ridges = [limit / bandwidth for limit in flops.values()]
    # A decade of the slope at least, wherever the marks are.
    low, high = min([min(xs) / 2, *(ridge / 10 for ridge in ridges)]), max(xs + ridges) * 3
    top = max(flops.values(), default=high * bandwidth)
    bottom = min(min(ys) / 2, top / 10)
    axes.set(xlabel="FLOPs for each byte moved (FLOP/B)", ylabel="FLOPs a second")
    _logarithmic(axes, "x", low, high, width, lambda value, _: f"{value:g}")
    _logarithmic(axes, "y", bottom, max([*ys, top]) * 2.5, width / 2, lambda value, _: si(value, "FLOP/s", 1))
    slope = np.geomspace(low, top / bandwidth)
    edges: list[tuple[Any, Any, Any]] = [("-", slope, slope * bandwidth)]
    for precision, limit in flops.items():
        style = "-" if is_full(precision) else (0, (5, 3))
        level = np.geomspace(limit / bandwidth, high)
        edges.append((style, level, np.full_like(level, limit)))
    for style, along, height in edges:
        axes.plot(along, height, linestyle=style, **LINE)
    marks = _scatter(axes, rows, xs, ys)
    axes.figure.draw_without_rendering()
    axes.figure.set_layout_engine("none")  # what is placed from here on stays there

    # A name should cover neither marks nor lines, nor what is written above the slope.
    covered = [(xs, ys), (slope, 1.4 * slope * bandwidth), *(edge[1:] for edge in edges)]
    points = axes.transData.transform(np.concatenate([np.column_stack(each) for each in covered]))
    taken: list[Any] = []
    for precision, limit in sorted(flops.items(), key=lambda pair: -pair[1]):
        text = f"{precision.split()[0]} matrix product: {si(limit, 'FLOP/s')}"
        name_at(axes, text, (high, limit), taken, np.empty((0, 2)), [(-4, 4), (-4, -4)], weight="bold")
    _name_slope(axes, 1.6 * max(low, bottom / bandwidth), bandwidth)
    best: dict[str, int] = {}
    for index, row in enumerate(rows):
        if row["kind"] == "network":
            best[row["name"]] = max(best.get(row["name"], index), index, key=lambda at: rows[at]["share"] or 0.0)
    for name, index in best.items():
        name_at(axes, name, (xs[index], ys[index]), taken, points)
    return marks


def _name_slope(axes: Axes, start: float, bandwidth: float) -> None:
    (x0, y0), (x1, y1) = axes.transData.transform([(x, x * bandwidth) for x in (start, 10 * start)])
    axes.annotate(
        f"copy: {si(bandwidth, 'B/s')}",
        (start, start * bandwidth),
        xytext=(-3, 5),
        textcoords="offset points",
        rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)),
        rotation_mode="anchor",
        weight="bold",
    )


def _draw_strip(axes: Axes, rows: Sequence[Row], width: int) -> list[Mark]:
    _, bandwidth = ceilings(rows)
    works = [work for work in MARKERS if any(row["work"] == work for row in rows)]
    xs = [row["bytes_per_second"] for row in rows]
    # Full precision above, reduced below: the two precisions of a row must not hide each other.
    shift = 0.18 if len({row["precision"] for row in rows}) > 1 else 0.0
    ys = [works.index(row["work"]) + (-shift if is_full(row["precision"]) else shift) for row in rows]
    axes.set(
        ylim=(len(works) - 0.4, -0.6),
        yticks=range(len(works)),
        yticklabels=works,
        xlabel="bytes a second, of rows without counted FLOPs",
    )
    high = max([*xs, bandwidth]) * 1.6
    _logarithmic(axes, "x", min(xs) / 1.6, high, width, lambda value, _: si(value, "B/s", 1))
    axes.axvline(bandwidth, **LINE)
    text = f"copy: {si(bandwidth, 'B/s')}"
    axes.text(bandwidth, 1, text, transform=axes.get_xaxis_transform(), ha="right", va="bottom", weight="bold")
    return _scatter(axes, rows, xs, ys)


def _logarithmic(
    axes: Axes, name: str, low: float, high: float, length: float, text: Callable[[float, int], str]
) -> None:
    """A logarithmic axis of ``length`` points with ticks at 1, 2 and 5, or at powers of ten alone if that is narrow."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if length / math.log10(high / low) > 3 * TICK else (1,)))
    axis.set_major_formatter(text)
    axis.set_minor_formatter(NullFormatter())


def _scatter(axes: Axes, rows: Sequence[Row], xs: Sequence[float], ys: Sequence[float]) -> list[Mark]:
    """A mark for each row; those of one look are one group of the SVG."""
    groups: dict[tuple[str, bool, str], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row["work"], is_full(row["precision"]), row["kind"]), []).append(index)
    marks = []
    for (work, full, kind), members in groups.items():
        gid = f"marks-{axes.get_ylabel()}-{work}-{full}-{kind}"
        color = LIGHT["full" if full else "reduced"]
        axes.scatter(
            [xs[index] for index in members],
            [ys[index] for index in members],
            s=SIZES[kind],
            marker=MARKERS[work],
            facecolors=color if full else LIGHT["paper"],
            edgecolors=LIGHT["paper"] if full else color,
            linewidths=0.7 if full else 1.3,
            zorder=3,
            gid=gid,
        )
        marks += [(gid, rows[index]["index"], title(rows[index])) for index in members]
    return marks
