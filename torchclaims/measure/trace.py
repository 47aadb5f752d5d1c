"""One call under ``torch.profiler``: the kernels that it launched, the memory that the allocator gave it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

from torch.profiler import ProfilerActivity, profile

Result = TypeVar("Result")


def of(function: Callable[[], Result], **options: Any) -> tuple[list[dict[str, Any]], Result]:
    """The events of ``function()`` in the order of time, as Chrome's trace format has them, and its result.

    ``options`` are those of ``torch.profiler.profile``. The trace has what ``profile.events()`` leaves out: with
    ``profile_memory``, each allocation inside an operator.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's library reports its stages on standard error
    with profile(**options) as profiler:
        result = function()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.json")
        profiler.export_chrome_trace(path)
        with open(path, encoding="utf-8") as file:
            events: list[dict[str, Any]] = json.load(file)["traceEvents"]
    events = [one for one in events if "ts" in one]
    return sorted(events, key=lambda one: (one["ts"], one.get("args", {}).get("Ev Idx", 0))), result


def kernels(function: Callable[[], object]) -> int:
    """How many kernels ``function()`` launches on CUDA."""
    events, _ = of(function, activities=[ProfilerActivity.CUDA])
    return sum(event.get("cat", "").lower() == "kernel" for event in events)
