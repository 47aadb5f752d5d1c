"""Targets: device x dtype x mode x memory format; what was asked for, what this machine has.

A test that takes the ``cell`` fixture runs once for each cell that its claims are made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.utils.dlpack
from packaging.version import Version

from torchclaims.catalogue import DTYPES, FULL_PRECISION, MEMORY_FORMATS, MODES, Claim
from torchclaims.deviations import Deviation
from torchclaims.faults import FaultError, import_by_path

Compilable = TypeVar("Compilable", bound=Callable[..., Any])

RELEASE = Version(Version(torch.__version__).base_version)

# float16 arithmetic on the CPU was filled in over several releases; before this one the losses, and before 2.3
# convolution and the normalisations, raise '"..." not implemented for 'Half''.
FLOAT16_ON_CPU_SINCE = Version("2.6")


# Compiled code is forgotten between tests, else the compiler gives up after a few shapes and runs eagerly without a
# word; torch.compiler.reset came with this release.
COMPILED_SINCE = Version("2.1")


class TargetError(Exception):
    """A target that was asked for and cannot be had; the message is one line."""


def _nothing(*_: object) -> None:
    """CPU operations have finished when they return, and the CPU's generator is seeded before each test anyway."""


@dataclass(frozen=True)
class Device:
    """A device under test: the ``label`` that reports show, and how to talk to it.

    ``name`` is what ``torch.device`` takes. ``synchronize`` returns when all queued work is done, ``seed`` seeds the
    device's generator, ``memory_allocated`` gives the bytes that live tensors hold there, where the backend tells.
    """

    label: str
    name: str
    synchronize: Callable[[], None] = field(default=_nothing, compare=False)
    seed: Callable[[int], object] = field(default=_nothing, compare=False)
    memory_allocated: Callable[[], int] | None = field(default=None, compare=False)
    description: str = field(default="", compare=False)

    @property
    def is_cpu(self) -> bool:
        """Whether tensors live in host memory."""
        return torch.device(self.name).type == "cpu"


@dataclass(frozen=True)
class Cell:
    """Where one test of a claim runs, and the helpers that put tensors and modules there."""

    device: Device
    dtype: torch.dtype
    mode: str = "eager"
    memory_format: str = "contiguous"

    def __str__(self) -> str:
        parts = [self.device.label, str(self.dtype).removeprefix("torch.")]
        parts += [self.mode] if self.mode != "eager" else []
        parts += [self.memory_format] if self.memory_format != "contiguous" else []
        return "-".join(parts)

    def tensor(self, values: Any, *, dtype: torch.dtype | None = None, requires_grad: bool = False) -> torch.Tensor:
        """``values`` (anything that NumPy takes) as a tensor of this cell, rounded to its dtype.

        The memory format applies to tensors of four and five dimensions. With ``requires_grad`` it is a leaf tensor.
        """
        host = from_numpy(np.asarray(values))
        tensor = self._formatted(host.to(device=self.device.name, dtype=dtype or self.dtype))
        return tensor.requires_grad_(requires_grad)

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """``module`` moved, in place, to this cell's device, dtype and memory format."""
        module.to(device=self.device.name, dtype=self.dtype)
        for parameter in module.parameters():
            parameter.data = self._formatted(parameter.data)
        return module

    def run(self, function: Compilable) -> Compilable:
        """``function`` (or module) as this cell's mode runs it: itself, or compiled by the mode's backend."""
        if self.mode == "eager":
            return function
        torch.compiler.reset()
        compiled: Any = torch.compile(function, backend=self.mode, dynamic=False)
        return cast(Compilable, compiled)

    def _formatted(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.memory_format == "channels_last" and tensor.dim() == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        if self.memory_format == "channels_last" and tensor.dim() == 5:
            return tensor.contiguous(memory_format=torch.channels_last_3d)
        return tensor


def from_numpy(array: np.ndarray) -> torch.Tensor:
    """A copy of ``array`` as a CPU tensor of the same dtype.

    Through DLPack, so that a torch built for NumPy 1 works beside NumPy 2.
    """
    if array.dtype == np.bool_:
        return from_numpy(array.astype(np.uint8)).to(torch.bool)
    if array.size == 0:
        return torch.tensor(array.tolist(), dtype=getattr(torch, array.dtype.name)).reshape(array.shape)
    return torch.utils.dlpack.from_dlpack(np.array(array, order="C")).clone()


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy of ``tensor``'s values on the host: float64 for floating dtypes, which is exact, else its own dtype."""
    host = tensor.detach().cpu()
    if host.dtype.is_floating_point:
        host = host.to(torch.float64)
    if host.dtype == torch.bool:
        return to_numpy(host.to(torch.uint8)).astype(np.bool_)
    if host.numel() == 0:
        return np.empty(tuple(host.shape), dtype=str(host.dtype).removeprefix("torch."))
    return np.array(np.from_dlpack(host.contiguous()))


@dataclass(frozen=True)
class Targets:
    """What a run was asked for. ``None`` leaves the choice of dtypes, modes or formats to each claim."""

    devices: tuple[Device, ...]
    dtypes: tuple[str, ...] | None = None
    modes: tuple[str, ...] = ("eager",)
    memory_formats: tuple[str, ...] = ("contiguous",)

    def cells(self, claims: list[Claim]) -> list[tuple[Cell, str | None]]:
        """The cells of a test that decides ``claims``, each with the reason why it does not apply, or None.

        A test without claims, such as a benchmark, runs in float32 unless asked otherwise.
        """
        stated = [dtype for dtype in DTYPES if all(dtype in one.dtypes for one in claims)] if claims else ["float32"]
        return [
            (
                Cell(device, getattr(torch, dtype), mode, memory_format),
                self._inapplicable(claims, device, dtype, mode, memory_format),
            )
            for device in self.devices
            for dtype in (self.dtypes or stated)
            for mode in self.modes
            for memory_format in self.memory_formats
        ]

    def could_meet(self, deviation: Deviation, claim: Claim) -> bool:
        """Whether a test of ``claim`` could match the entry, here and with these targets."""
        if not deviation.concerns(RELEASE):
            return False
        cells = [cell for cell, reason in self.cells([claim]) if reason is None]
        return any(deviation.matches_cell(cell) for cell in [*cells, None])

    def _inapplicable(
        self, claims: list[Claim], device: Device, dtype: str, mode: str, memory_format: str
    ) -> str | None:
        for one in claims:
            for value, stated in (
                (dtype, one.dtypes),
                (mode, one.modes),
                (memory_format, one.memory_formats),
            ):
                if value not in stated:
                    return f"{one.id} is stated for {', '.join(stated)}, not for {value}"
        if mode != "eager" and RELEASE < COMPILED_SINCE:
            return f"compiled cells need torch.compiler, which came with PyTorch {COMPILED_SINCE}; this is {RELEASE}"
        if device.is_cpu and dtype == "float16" and RELEASE < FLOAT16_ON_CPU_SINCE:
            return f"float16 arithmetic on the CPU came with PyTorch {FLOAT16_ON_CPU_SINCE}; this is {RELEASE}"
        if torch.device(device.name).type == "mps" and dtype == "float64":
            return "MPS has no float64"
        return None


def resolve(
    device: str | None,
    dtype: str | None,
    mode: str | None,
    memory_format: str | None,
    device_spec: str | None,
    worker: int = 0,
) -> Targets:
    """Turns the command line's comma-separated lists into targets.

    ``worker`` is this process' number among pytest-xdist's workers: plain ``cuda`` is spread over the GPUs by it.

    Raises:
        TargetError: an unknown name, or a device that this machine does not have.
    """
    chosen = _devices(device, worker) if device is not None or not device_spec else []
    if device_spec:
        chosen.append(load_device_spec(Path(device_spec)))
    return Targets(
        tuple(chosen),
        _names("--dtype", dtype, DTYPES) or None,
        _names("--mode", mode, MODES) or ("eager",),
        _names("--memory-format", memory_format, MEMORY_FORMATS) or ("contiguous",),
    )


def _names(option: str, text: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text is not None else ()
    for name in names:
        if name not in known:
            raise TargetError(f"{option}: unknown {name!r}; choose from {', '.join(known)}")
    return names


def _available() -> list[str]:
    names = ["cpu"]
    names += ["cuda"] if torch.cuda.is_available() else []
    names += ["mps"] if torch.backends.mps.is_available() else []
    return names


def _devices(text: str | None, worker: int) -> list[Device]:
    available = _available()
    names = [part.strip() for part in text.split(",")] if text is not None else ["all"]
    wanted = [name for part in names for name in (available if part == "all" else [part])]
    return [_device(name, available, worker) for name in dict.fromkeys(wanted)]


def _device(name: str, available: list[str], worker: int) -> Device:
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise TargetError(
            f"--device: unknown {name!r}; choose from cpu, cuda, cuda:N, mps, all, or describe it with --device-spec"
        )
    if kind not in available:
        raise TargetError(f"--device: {name!r} was asked for, but this machine and PyTorch have {', '.join(available)}")
    if kind == "cpu":
        return Device("cpu", "cpu")
    if kind == "mps":
        return Device("mps", "mps", torch.mps.synchronize, torch.mps.manual_seed, torch.mps.current_allocated_memory)
    count = torch.cuda.device_count()
    number = int(index) if index else worker % count
    if number >= count:
        raise TargetError(f"--device: {name!r} was asked for, but there are {count} CUDA devices")
    return Device(
        name,
        f"cuda:{number}",
        lambda: torch.cuda.synchronize(number),
        torch.cuda.manual_seed_all,
        lambda: torch.cuda.memory_allocated(number),
    )


def load_device_spec(path: Path) -> Device:
    """A device described by a Python file with ``name`` and, where the backend has them, ``label``, ``description``,
    ``synchronize()``, ``seed(value)`` and ``memory_allocated()``.

    Raises:
        TargetError: the file cannot be run, lacks ``name``, has a member of the wrong kind, or describes a device on
            which a tensor cannot be made.
    """
    try:
        module = import_by_path(path)
    except FaultError as error:
        raise TargetError(f"--device-spec: {error}") from None
    members = vars(module)
    name = members.get("name")
    if not isinstance(name, str):
        raise TargetError(f'--device-spec: {path}: define name = "...", what torch.device() takes')
    functions = {key: members[key] for key in ("synchronize", "seed", "memory_allocated") if key in members}
    for key, value in functions.items():
        if not callable(value):
            raise TargetError(f"--device-spec: {path}: {key} must be a function")
    try:
        torch.zeros(1, device=name)
        functions.get("synchronize", _nothing)()
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else ""
        raise TargetError(
            f"--device-spec: {path}: device {name!r} fails: {type(error).__name__}: {first_line}"
        ) from None
    return Device(str(members.get("label", name)), name, description=str(members.get("description", "")), **functions)


__all__ = [
    "FULL_PRECISION",
    "RELEASE",
    "Cell",
    "Device",
    "TargetError",
    "Targets",
    "from_numpy",
    "load_device_spec",
    "resolve",
    "to_numpy",
]
