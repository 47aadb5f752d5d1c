"""What the machine could do, measured now, and what makes it unfit for timing."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from torchclaims.measure.clocks import Clock
from torchclaims.measure.timing import measure

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # of square matrices
LEAST_COPY = 2**28  # bytes; or four times the largest cache, if that is more
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """The machine's best: FLOP/s of a matrix product by dtype (``"float32"``), bytes/s of a copy.

    A dtype in which matrices cannot be multiplied here is left out.
    """

    flops: dict[str, float]
    bandwidth: float


def limits(device: torch.device | str, dtypes: Iterable[str], seconds: float) -> Limits:
    """Measures the limits in about ``seconds``: the best time counts, as nothing makes a machine faster than it is.

    A product of n x n matrices is 2 n^3 FLOP; a copy reads and writes each byte once (as STREAM counts, so a cache
    that reads a line before writing it is not counted).

    Raises:
        ValueError: ``seconds`` is not above zero, or a name is not a dtype.
    """
    names = list(dict.fromkeys(dtypes))
    for name in names:
        if not isinstance(getattr(torch, name, None), torch.dtype):
            raise ValueError(f"dtype {name!r}: torch has none of this name; take float32, bfloat16, ...")
    device, clock = torch.device(device), Clock.of(device)
    share = seconds / (len(names) + 1)
    flops = {name: _matrix_product(device, getattr(torch, name), clock, share) for name in names}
    return Limits({name: value for name, value in flops.items() if value}, _copy(device, clock, share))


def _matrix_product(device: torch.device, dtype: torch.dtype, clock: Clock, seconds: float) -> float:
    """The best FLOP/s over sizes that grow while there is time; 0 where there is no such product."""
    best, left = 0.0, seconds
    for size in SIZES:
        begin = time.perf_counter()
        try:
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in "ab")
            product = functools.partial(torch.matmul, a, b, out=a @ b)
            samples = measure(product, clock, seconds=left / 4, min_rounds=2)
        except RuntimeError:  # not implemented for this dtype, or out of memory
            break
        best = max(best, 2 * size**3 / min(samples.device or samples.wall))
        took = time.perf_counter() - begin
        left -= took
        if left < 8 * took:
            break
    return best


def _copy(device: torch.device, clock: Clock, seconds: float) -> float:
    size = max(LEAST_COPY, 4 * largest_cache(device))
    source, target = (torch.ones(size // 4, device=device) for _ in range(2))
    samples = measure(lambda: target.copy_(source), clock, seconds=seconds, min_rounds=3)
    return 2 * size / min(samples.device or samples.wall)


def largest_cache(device: torch.device | str) -> int:
    """Bytes of the last cache before the device's memory; 0 where nothing tells."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0))
    sizes = [_read(path) for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=0)


def condition(device: torch.device | str = "cpu") -> list[str]:
    """What makes this machine unfit for timing, one line each; what nothing tells is left out."""
    found = [_governor(), _load(), _throttled()]
    if torch.device(device).type == "cuda":
        found += [_hot(torch.device(device))]
    return [line for line in found if line]


def _governor() -> str | None:
    paths = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    slow = sorted({_read(path) for path in paths} - {"", "performance"})
    return f"CPU frequency governor: {', '.join(slow)}; performance holds the clock still" if slow else None


def _load() -> str | None:
    if not hasattr(os, "getloadavg"):
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load average {load:.1f} on {cores} cores: something else runs here" if load > cores / 2 else None


def _throttled() -> str | None:
    for path in ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"):
        counts = dict(line.split() for line in _read(Path(path)).splitlines())
        if int(counts.get("nr_throttled", 0)) > 0:
            return f"this container's CPU quota has stopped it {counts['nr_throttled']} times"
    return None


def _hot(device: torch.device) -> str | None:
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
