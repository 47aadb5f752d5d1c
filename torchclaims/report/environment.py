"""What a run ran on: releases, devices, driver, threads."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

import numpy as np
import torch

from torchclaims import __version__
from torchclaims.targets import Device, Targets


def describe(targets: Targets) -> dict[str, Any]:
    """The environment as plain values, for the header and for reports."""
    return {
        "torchclaims": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "devices": [
            {
                "label": device.label,
                "name": device.name,
                "description": describe_device(device),
            }
            for device in targets.devices
        ],
    }


def header(environment: dict[str, Any], seed: int, workers: int) -> list[str]:
    """The lines that a run starts with."""
    count = environment["threads"]
    threads = f"{workers} workers" if workers else f"{count} thread{'s' if count > 1 else ''}"
    return [
        f"torchclaims {environment['torchclaims']}: torch {environment['torch']}, NumPy {environment['numpy']},"
        f" {threads}",
        *(f"device {device['label']}: {device['description']}" for device in environment["devices"]),
        f"seed {seed} (repeat this run with --seed {seed})",
    ]


def describe_device(device: Device) -> str:
    """What hardware ``device`` is, as far as it tells."""
    return device.description or _describe_device(device.name)


def _describe_device(name: str) -> str:
    kind = torch.device(name).type
    if kind == "cuda":
        return f"{torch.cuda.get_device_name(name)}, CUDA {torch.version.cuda}, driver {_nvidia_driver()}"
    if kind == "cpu":
        # Said since 2.1; before, the machine's name has to do.
        capability = (
            getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")() if hasattr(torch.backends, "cpu") else ""
        )
        return " ".join(filter(None, (platform.machine(), capability)))
    return f"{platform.machine()} {kind}"


def _nvidia_driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"
