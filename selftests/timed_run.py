"""A run of the benchmarks that nobody waited for: what ``--benchmark-json`` would write, with plausible figures."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

LIMITS = {"float32": 210e9, "bfloat16": 640e9, "bandwidth": 18.4e9}
WORKS = {"forward": 1.0, "inference": 0.9, "backward": 2.0, "step": 3.1}

# FLOPs and bytes of a sample's forward pass, bytes of parameters.
SUBJECTS = {
    "conv4 once": ("network", 54.36e6, 2.9e6, 0.9e6),
    "conv4 twice": ("network", 63.80e6, 3.4e6, 0.9e6),
    "conv4 around conv5": ("network", 63.80e6, 3.5e6, 0.9e6),
    "VGG": ("network", 626e6, 9.1e6, 59e6),
    "with_sequential": ("network", 40e3, 11e3, 4.1e3),
    "with_ordered_dict": ("network", 40e3, 11e3, 4.1e3),
    "with_add_module": ("network", 40e3, 11e3, 4.1e3),
    "with_module_list": ("network", 40e3, 11e3, 4.1e3),
    "Perceptron": ("network", 1.6e6, 15e3, 3.2e6),
    "BasicBlock": ("network", 151e6, 3.2e6, 0.3e6),
    "AlexNet stem nn.ReLU": ("network", 92e6, 4.9e6, 0.6e6),
    "AlexNet stem F.relu": ("network", 92e6, 4.9e6, 0.6e6),
    "nn.ReLU": ("layer", 0, 1.6e6, 0),
    "F.relu": ("layer", 0, 1.6e6, 0),
    "nn.ReLU in place": ("layer", 0, 1.6e6, 0),
    "MaxPool2d": ("layer", 0, 1.0e6, 0),
    "BatchNorm2d": ("layer", 0, 2.4e6, 512),
    "Linear": ("layer", 2.1e6, 8.2e3, 4.2e6),
    "Conv2d": ("layer", 75.5e6, 0.53e6, 0.15e6),
}

COMPARISONS = [
    ("relu-function-or-module", "nn.ReLU costs what F.relu costs.", 1.003, 0.012, "equal"),
    ("layer-used-twice", "A second pass takes the time of the first.", 1.98, 0.05, "equal"),
    ("folded", "BatchNorm folded into the convolution before it makes inference faster.", 0.81, 0.03, "faster"),
    ("rebinding", "Rebinding x in forward costs no time.", 1.01, 0.09, "not resolvable here"),
]


def report(names: Iterable[str] = SUBJECTS) -> dict[str, Any]:
    """A run of 304 rows, or of the 16 of each of ``names``, on two cores; one row in twelve is noisy."""
    draw = random.Random(1)
    rows = [
        row(draw, name, work, batch, precision)
        for name in names
        for batch in (16, 1)
        for work in WORKS
        for precision in ("float32", "bfloat16 autocast")
    ]
    return {
        "machine_info": {
            "python_version": "3.11.9",
            "system": "Linux",
            "release": "6.1.0",
            "cpu": {"brand_raw": "Example CPU @ 2.50GHz"},
            "torchclaims": {
                "torch": "2.13.0+cpu",
                "limits": LIMITS,
                "threads": 2,
                "condition": ["another process used 0.9 of 2 cores while the rows ran: close it, or run again"],
            },
        },
        "datetime": "2026-11-21T15:00:00+00:00",
        "benchmarks": [{"name": info.get("row", "cost"), "extra_info": info} for info in (*rows, *comparisons())],
    }


def row(draw: random.Random, name: str, work: str, batch: int, precision: str) -> dict[str, Any]:
    """One row's ``extra_info``: the machine's limits, an efficiency and an overhead make its time."""
    kind, flops, moved, parameters = SUBJECTS[name]
    dtype = precision.split()[0]
    flops = WORKS[work] * batch * flops
    moved = WORKS[work] * (batch * moved * (1 if dtype == "float32" else 0.7) + parameters)
    limit = max(flops / LIMITS[dtype], moved / LIMITS["bandwidth"])
    seconds = limit / draw.uniform(0.15, 0.85) + 8e-6 * WORKS[work]
    spread = draw.uniform(0.005, 0.03) if draw.random() > 1 / 12 else draw.uniform(0.11, 0.3)
    return {
        "row": f"{name}, {work}, batch {batch}, {precision}",
        "name": name,
        "kind": kind,
        "work": work,
        "batch": batch,
        "precision": precision,
        "mode": "eager",
        "device": "cpu",
        "device_description": "x86_64 AVX512",
        "shape": [batch, 3, 32, 32],
        "threads": 2,
        "wall": time(seconds, spread),
        "cpu": time(1.9 * seconds, spread),
        "device_time": None,
        "flops": int(flops),
        "bytes": int(moved),
        "operations": 12,
        "flops_per_second": flops / seconds,
        "bytes_per_second": moved / seconds,
        "limit": {"flops_per_second": LIMITS[dtype], "bytes_per_second": LIMITS["bandwidth"]},
        "binding": "compute" if flops / LIMITS[dtype] > moved / LIMITS["bandwidth"] else "memory",
        "share": limit / seconds,
        "peak_bytes": int(moved / 2),
        "retained_bytes": int(moved / 3) if work == "forward" else 0,
        "clock_resolution": 7e-8,
        "noisy": spread > 0.1,
    }


def time(seconds: float, spread: float) -> dict[str, float]:
    """A median, its interval, and the spread."""
    return {
        "median": seconds,
        "low": seconds * (1 - spread / 2),
        "high": seconds * (1 + spread),
        "spread": spread,
    }


def comparisons() -> list[dict[str, Any]]:
    """The articles' comparisons' ``extra_info``."""
    return [
        {
            "comparison": name,
            "statement": statement,
            "sentence": f"The ratio of times is {ratio} ± {error}.",
            "ratio": {"estimate": ratio, "low": ratio - error, "high": ratio + error},
            "expected": float(round(ratio)),
            "margin": 0.05,
            "verdict": verdict,
        }
        for name, statement, ratio, error, verdict in COMPARISONS
    ]
