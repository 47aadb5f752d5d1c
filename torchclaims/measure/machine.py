"""What the machine could do, measured now, and what makes it unfit for timing."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from torchclaims.measure.clocks import Clock
from torchclaims.measure.timing import Samples, check_seconds, measure

SYSTEM, PROC, CGROUP = Path("/sys/devices/system/cpu"), Path("/proc"), Path("/sys/fs/cgroup")

SIZES = (256, 512, 1024, 2048, 4096, 8192)  # of square matrices
BEYOND_CACHES = 2**28  # bytes; or twice all caches, where that is more
HOT = 85  # degrees Celsius; GPUs lower their clock from about here
WATCH = 0.2  # seconds
OTHERS = 0.2  # cores' worth of other processes, or share of the GPU, that timing cannot do with


@dataclass(frozen=True)
class Limits:
    """The machine's best: FLOP/s of a matrix product by dtype (``"float32"``), bytes/s of a copy.

    A dtype in which matrices cannot be multiplied here is left out.
    """

    flops: dict[str, float]
    bandwidth: float


def limits(device: torch.device | str, dtypes: Iterable[str], seconds: float, clock: Clock | None = None) -> Limits:
    """Measures the limits in about ``seconds``: the best time counts, as nothing makes a machine faster than it is.

    A product of n x n matrices is 2 n^3 FLOP; a copy reads and writes each byte once (as STREAM counts, so a cache
    that reads a line before writing it is not counted). ``clock`` waits for a device that PyTorch has no name for.

    Raises:
        ValueError: ``seconds`` is not above zero, a name is not a dtype, or how to wait for the device is not known.
    """
    check_seconds(seconds)
    names = list(dict.fromkeys(dtypes))
    for name in names:
        if not isinstance(getattr(torch, name, None), torch.dtype):
            raise ValueError(f"dtype {name!r}: torch has none of this name; take float32, bfloat16, ...")
    device, clock = torch.device(device), clock or Clock.of(device)
    share = seconds / (len(names) + 1)
    flops = {name: _matrix_product(device, getattr(torch, name), clock, share) for name in names}
    return Limits({name: value for name, value in flops.items() if value}, _copy(device, clock, share))


def _matrix_product(device: torch.device, dtype: torch.dtype, clock: Clock, seconds: float) -> float:
    """The best FLOP/s over sizes that grow while there is time; 0 where there is no such product."""
    best, share = 0.0, seconds / len(SIZES)
    for size in SIZES:
        try:
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in "ab")
            product = functools.partial(torch.matmul, a, b, out=a @ b)
            once = _shortest(measure(product, clock, seconds=share, min_rounds=2))
        except RuntimeError:  # not implemented for this dtype, or out of memory
            break
        best = max(best, 2 * size**3 / once)
        if 4 * 8 * once > share:  # the next takes eight times as long, and four calls at least
            break
    return best


def _copy(device: torch.device, clock: Clock, seconds: float) -> float:
    source, target = _beyond_caches(device), _beyond_caches(device)
    once = _shortest(measure(lambda: target.copy_(source), clock, seconds=seconds, min_rounds=2))
    return 2 * source.numel() * source.element_size() / once


def _shortest(samples: Samples) -> float:
    return min(samples.device or samples.wall)


def cache_flush(device: torch.device | str) -> Callable[[], object] | None:
    """What puts other data into a GPU's cache, to be the ``setup`` of a row that memory binds; None for the CPU."""
    device = torch.device(device)
    return None if device.type == "cpu" else _beyond_caches(device).zero_


def _beyond_caches(device: torch.device) -> torch.Tensor:
    """Ones that leave the caches no room for anything else."""
    return torch.ones(max(BEYOND_CACHES, 2 * _caches(device)) // 4, device=device)


def _caches(device: torch.device) -> int:
    """Bytes of the device's caches; 0 where nothing tells."""
    if device.type == "cuda":
        return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0))
    found = {
        (_read(cache / "level"), _read(cache / "type"), _read(cache / "shared_cpu_list"), _read(cache / "size"))
        for cache in SYSTEM.glob("cpu[0-9]*/cache/index*")
    }
    return sum(int(size[:-1]) * 1024 for *_, size in found if size.endswith("K"))


def condition(device: torch.device | str = "cpu") -> list[str]:
    """What makes this machine unfit for timing, one line each; what nothing tells is left out.

    To be asked before timing: the watch on other processes takes a fifth of a second and sees this one's threads too.
    """
    lines = [_governor(), _oversubscribed(), _others(), _throttled()]
    if torch.device(device).type == "cuda":
        lines += [
            _gpu("temperature", device, HOT, "GPU at {} degrees Celsius: it lowers its clock when hot"),
            _gpu("utilization", device, 100 * OTHERS, "GPU in use for {} % of the time by something else"),
        ]
    return [line for line in lines if line]


def _governor() -> str | None:
    governors = {_read(path) for path in SYSTEM.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    slow = sorted(governors - {"", "performance"})
    return f"CPU frequency governor {', '.join(slow)}: only performance keeps the clock up" if slow else None


def _oversubscribed() -> str | None:
    threads = torch.get_num_threads()
    return f"{threads} threads on {_cores()} cores: give PyTorch fewer" if threads > _cores() else None


def _others() -> str | None:
    busy = _busy_cores()
    return f"other processes keep {busy:.1f} of {os.cpu_count()} cores busy" if busy > OTHERS else None


def _busy_cores() -> float:
    """How many cores work while this thread sleeps; without /proc/stat, how many did in the last minute."""
    begin = _ticks()
    if not begin:
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    time.sleep(WATCH)
    passed = [end - start for start, end in zip(begin, _ticks())]  # noqa: B905 (Python 3.9 has no strict)
    waiting = sum(passed[3:5])
    return (1 - waiting / max(sum(passed), 1)) * (os.cpu_count() or 1)


def _ticks() -> list[int]:
    """Time of all cores since the start as user, nice, system, idle, waiting for a disk, ... and stolen (proc(5))."""
    first = _read(PROC / "stat").partition("\n")[0].split()
    return [int(value) for value in first[1:9]]


def _throttled() -> str | None:
    counts = dict(line.split() for line in _read(CGROUP / "cpu.stat").splitlines())
    stops = counts.get("nr_throttled", "0")
    return f"this container has been stopped {stops} times for its CPU quota" if stops != "0" else None


def _gpu(question: str, device: torch.device | str, most: float, line: str) -> str | None:
    """``line`` with what the driver answers, where that is too high.

    The driver is asked through pynvml, which may be missing, by functions of ``torch.cuda`` that are newer than 2.0.
    """
    try:
        value = getattr(torch.cuda, question)(device)
    except Exception:
        return None
    return line.format(value) if value > most else None


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
