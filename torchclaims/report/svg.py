"""Matplotlib figures as SVG that follows the reader's choice of light or dark and tells what each mark is."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

# name: light, dark. Figures are drawn in the light ones, which become CSS variables; none may come twice.
# The two of data are Okabe and Ito's, darkened or lightened for contrast, which the colour-blind tell apart.
PALETTE = {
    "paper": ("#ffffff", "#15181c"),
    "ink": ("#1b1f24", "#e6e8eb"),
    "faint": ("#57606a", "#a3abb5"),
    "rule": ("#dfe3e8", "#333a42"),
    "full": ("#0072b2", "#56b4e9"),
    "reduced": ("#c24e00", "#f0a23c"),
}
LIGHT = {name: light for name, (light, _) in PALETTE.items()}

SETTINGS = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.edgecolor": LIGHT["faint"],
    "axes.labelcolor": LIGHT["ink"],
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["faint"],
    "ytick.color": LIGHT["faint"],
    "grid.color": LIGHT["rule"],
    "grid.linewidth": 0.8,
}

# Where a name may stand beside its mark, in points: near it, or further off with a line that leads to it.
NEAR = 10
OFFSETS = [
    (radius * x, radius * y)
    for radius in (7, 16, 30, 48)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))
]


def name_at(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    taken: list[Bbox],
    points: Any,
    offsets: Sequence[tuple[float, float]] = OFFSETS,
    **properties: Any,
) -> None:
    """Writes ``text`` near ``at`` where it covers no box ``taken`` and at most one of ``points``, or not at all.

    ``points`` are an n x 2 array in pixels; ``taken`` grows by the box that the text takes.
    """
    from matplotlib.transforms import Bbox

    note = axes.annotate(text, at, xytext=(0, 0), textcoords="offset points", **properties)
    width, height = note.get_window_extent().size
    anchor = axes.transData.transform(at)
    frame = axes.bbox
    best: tuple[float, Bbox, tuple[float, float]] | None = None
    for order, (x, y) in enumerate(offsets):
        left = anchor[0] + x - width * (0 if x > 0 else 1 if x < 0 else 0.5)
        bottom = anchor[1] + y - height * (0 if y > 0 else 1 if y < 0 else 0.5)
        box = Bbox.from_bounds(left - 1, bottom - 1, width + 2, height + 2)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        covers = ((points > box.padded(3).min) & (points < box.padded(3).max)).all(axis=1).sum()
        cost = covers + order / len(offsets) / 2
        if inside and covers <= 1 and not box.count_overlaps(taken) and (best is None or cost < best[0]):
            best = cost, box, (x, y)
    if best is None:
        note.remove()
        return
    _, box, (x, y) = best
    taken.append(box)
    note.set(
        position=(x, y),
        ha="left" if x > 0 else "right" if x < 0 else "center",
        va="bottom" if y > 0 else "top" if y < 0 else "center",
    )
    if math.hypot(x, y) > NEAR:
        line = {"arrowstyle": "-", "color": LIGHT["faint"], "linewidth": 0.9, "shrinkB": 3}
        axes.annotate("", at, xytext=(x, y), textcoords="offset points", arrowprops=line)


def of_figure(figure: Figure, marks: Iterable[tuple[str, int, str]]) -> str:
    """``figure`` as an ``<svg>``; ``marks`` are the gid of a scatter, row and title of each mark, in drawing order."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(file.getvalue())
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    uses: dict[str, Any] = {}
    for gid, row, title in marks:
        if gid not in uses:
            group = root.find(f".//*[@id='{gid}']")
            assert group is not None
            members = list(group.iter(f"{{{SVG}}}use"))
            group.set("style", members[0].get("style", ""))
            uses[gid] = iter(members)
        use = next(uses[gid])
        use.attrib.pop("style", None)
        use.set("data-row", str(row))
        ElementTree.SubElement(use, f"{{{SVG}}}title").text = title
    for attribute in ("width", "height"):
        del root.attrib[attribute]
    return _lightened(ElementTree.tostring(root, encoding="unicode"))


def _lightened(svg: str) -> str:
    """With variables for colours, the page's font, and no name that nothing refers to."""
    referred = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found.group() if found.group(1) in referred else "", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    for name, light in LIGHT.items():
        svg = svg.replace(light, f"var(--{name},{light})")
    return re.sub(r">\s+<", "><", svg)


def standalone(svg: str, title: str) -> str:
    """``svg`` as a file of its own, which has its own paper and follows the reader's choice of light or dark."""
    light, dark = ("".join(f"--{name}:{pair[index]};" for name, pair in PALETTE.items()) for index in (0, 1))
    style = (
        f"svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
        "text{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}"
    )
    head, body = re.sub(r' data-row="\d+"', "", svg).split(">", 1)
    frame = f"<title>{escape(title)}</title><style>{style}</style>"
    return f'{head}>{frame}<rect width="100%" height="100%" fill="var(--paper)"/>{body}\n'
