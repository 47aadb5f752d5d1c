"""What a run of the benchmarks measured, as one HTML page that needs neither network nor JavaScript."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torchclaims.report import roofline, svg
from torchclaims.report.files import ReportError, write
from torchclaims.report.quantities import percent, si, si_interval, ticks
from torchclaims.report.timings import Row, Timings, intensity, seconds

TEMPLATE = "page.html.jinja"
NEEDED = ("jinja2", "jsonschema", "matplotlib")


@dataclass(frozen=True)
class Bar:
    """A row's bar: where it, a shorter one within it and an interval end, in percent of the axis; figures in words."""

    row: Row
    end: float
    figure: str
    note: str
    within: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """Bars that share an axis from 0, those of one network, batch, device and mode; ``labels`` are of its ticks."""

    caption: str
    labels: list[str]
    bars: list[Bar]


def check_installed(option: str) -> None:
    """Makes sure that what a page is made with is there.

    Raises:
        ReportError: it is not.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ReportError(f"{option} needs {' and '.join(missing)}: python -m pip install -e '.[page]'")


def write_page(option: str, timings: Timings, path: Path) -> None:
    """Writes the page to ``path``, whole or not at all.

    Raises:
        ReportError: it cannot be written.
    """
    write(option, path, render(timings))


def write_roofline(option: str, timings: Timings, path: Path) -> None:
    """Writes the roofline plot alone as an SVG, whole or not at all.

    Raises:
        ReportError: it cannot be written, or the run was on several devices, which share no plot.
    """
    names = list(_by(timings.rows, "device"))
    if not names:
        raise ReportError(f"{option}: the run has comparisons alone; give one that timed rows")
    if len(names) > 1:
        raise ReportError(f"{option}: the run was on {', '.join(names)}, which share no plot; give a run on one device")
    title = f"Roofline of torch.nn on {timings.rows[0]['device_description']}"
    write(option, path, svg.standalone(roofline.draw(timings.rows, roofline.WIDE), title))


def render(timings: Timings) -> str:
    """The page's HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"si": si, "percent": percent, "interval": si_interval, "place": "{:.3f}%".format}
    environment.tests["full"] = lambda row: roofline.is_full(row["precision"])
    rows = timings.rows
    shares = [row["share"] for row in rows if row["share"] is not None]
    return environment.get_template(TEMPLATE).render(
        timings=timings,
        rows=rows,
        facts=list(_facts(timings)),
        condition=timings.machine.get("torchclaims", {}).get("condition", []),
        devices=list(_devices(rows)),
        names=sorted(_by(rows, "name")),
        works=[work for work in roofline.MARKERS if work in _by(rows, "work")],
        precisions=list(_by(rows, "precision")),
        several={key: len(_by(rows, key)) > 1 for key in ("device", "mode")},
        times={name: list(_panels(members, _time_axis, _time_bar)) for name, members in _by(rows, "name").items()},
        memory={name: list(_panels(members, _memory_axis, _memory_bar)) for name, members in _by(rows, "name").items()},
        statements=_by(list(_placed(timings.comparisons)), "statement"),
        median_share=statistics.median(shares) if shares else None,
        noisy=sum(row["noisy"] for row in rows),
        palette=svg.PALETTE,
        intensity=intensity,
        seconds=seconds,
    )


def _facts(timings: Timings) -> Iterator[tuple[str, str]]:
    """What is known of the machine and the run, by name."""
    machine = timings.machine
    known = {
        "torch": machine.get("torchclaims", {}).get("torch"),
        "threads": machine.get("torchclaims", {}).get("threads"),
        "processor": machine.get("cpu", {}).get("brand_raw"),
        "Python": machine.get("python_version"),
        "system": f"{machine.get('system', '')} {machine.get('release', '')}".strip(),
        "measured": timings.date[:16].replace("T", " "),
    }
    yield from ((name, str(value)) for name, value in known.items() if value)


def _by(rows: Sequence[Row], *keys: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]], []).append(row)
    return groups


def _devices(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Each device of the run with its limits and its plot, for wide pages and for narrow ones."""
    for name, members in _by(rows, "device").items():
        flops, bandwidth = roofline.ceilings(members)
        plots = {width: roofline.draw(members, size) for width, size in roofline.WIDTHS.items()}
        described = members[0]["device_description"]
        yield {"name": name, "description": described, "rows": members, "plots": plots} | {
            "limits": {
                f"{precision.split()[0]} matrix product": si(limit, "FLOP/s") for precision, limit in flops.items()
            }
            | {"copy": si(bandwidth, "B/s")}
        }


def _panels(
    rows: Sequence[Row], axis: Callable[[Row], tuple[float, str]], bar: Callable[[Row, float], Bar | None]
) -> Iterator[Panel]:
    """A panel for each device, mode and batch of one network's ``rows``; bars in the order of work and precision."""
    keys = [key for key in ("device", "mode") if len(_by(rows, key)) > 1]
    for members in _by(rows, "device", "mode", "batch").values():
        steps = ticks(max(axis(row)[0] for row in members))
        unit = axis(members[0])[1]
        works = list(roofline.MARKERS)
        members = sorted(members, key=lambda row: (works.index(row["work"]), not roofline.is_full(row["precision"])))
        bars = [drawn for row in members if (drawn := bar(row, steps[-1])) is not None]
        caption = ", ".join([f"batch {members[0]['batch']}", *(members[0][key] for key in keys)])
        if bars:
            yield Panel(caption, _labels(steps, unit), bars)


def _labels(steps: list[float], unit: str) -> list[str]:
    """The ticks in the last one's unit, which alone names it."""
    number, prefixed = si(steps[-1], unit).split(" ")
    scale = float(number) / steps[-1] if steps[-1] else 1.0
    return [*(f"{step * scale:.4g}" for step in steps[:-1]), f"{float(number):g} {prefixed}"]


def _time_axis(row: Row) -> tuple[float, str]:
    time = seconds(row)
    return max(time["median"], time["high"] or 0.0), "s"


def _time_bar(row: Row, end: float) -> Bar:
    time = seconds(row)
    low, high = time["low"], time["high"]
    return Bar(
        row=row,
        end=100 * time["median"] / end,
        figure=si(time["median"], "s"),
        note=si_interval(time),
        interval=None if low is None or high is None else (100 * low / end, 100 * high / end),
    )


def _memory_axis(row: Row) -> tuple[float, str]:
    return max(row["peak_bytes"] or 0, row["retained_bytes"] or 0), "B"


def _memory_bar(row: Row, end: float) -> Bar | None:
    peak, retained = row["peak_bytes"], row["retained_bytes"]
    if peak is None:
        return None
    return Bar(
        row=row,
        end=100 * peak / end,
        within=100 * retained / end if retained else None,
        figure=si(peak, "B"),
        note=f"({si(retained, 'B')} kept)",
    )


def _placed(comparisons: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each comparison with its places, in percent, on a logarithmic axis that has amid the ratio that is expected.

    ``from`` and ``to`` bound what counts as equal to that. All axes reach equally far, to ``ends``.
    """
    ratios = []
    for one in comparisons:
        expected = one.get("expected", 1.0)
        relative = {key: value / expected for key, value in one["ratio"].items()}
        ratios.append(relative | {"from": 1 / (1 + one["margin"]), "to": 1 + one["margin"]})
    reach = max((1.1 * abs(math.log(value)) for each in ratios for value in each.values()), default=0.0) or 1.0
    for one, each in zip(comparisons, ratios, strict=True):
        expected = one.get("expected", 1.0)
        about = [str(one[key]) for key in ("device", "precision") if key in one]
        about += [f"{one['time']} time".replace("cpu", "CPU")] if "time" in one else []
        yield one | {
            "expected": expected,
            "places": {key: 50 + 50 * math.log(value) / reach for key, value in each.items()},
            "ends": [f"{expected * math.exp(side * reach):.2g}" for side in (-1, 1)],
            "about": ", ".join(about),
        }
