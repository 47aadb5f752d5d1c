"""The user's global state: seeded before each test, put back after it; a leak is the test's error."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn


class Setting(NamedTuple):
    """A global setting of PyTorch that a test may not leave changed."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_flag(owner: Any, name: str) -> Setting:
    return Setting(f"{owner.__name__}.{name}", lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


SETTINGS = (
    Setting("torch.get_num_threads", torch.get_num_threads, torch.set_num_threads),
    Setting("torch.get_default_dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("torch.is_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("torch.is_anomaly_enabled", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Setting(
        "torch.are_deterministic_algorithms_enabled",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    Setting(
        "torch.get_float32_matmul_precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Setting("default device", lambda: str(torch.empty(0).device), torch.set_default_device),
    _set_flag(torch.backends.cudnn, "enabled"),
    _set_flag(torch.backends.cudnn, "benchmark"),
    _set_flag(torch.backends.cudnn, "deterministic"),
)

# Each documented way to hook every module; a handle's ``hooks_dict_ref`` leads to the table that it is registered in.
_REGISTER_GLOBAL_HOOK = (
    nn.modules.module.register_module_forward_pre_hook,
    nn.modules.module.register_module_forward_hook,
    nn.modules.module.register_module_full_backward_hook,
    nn.modules.module.register_module_buffer_registration_hook,
    nn.modules.module.register_module_module_registration_hook,
    nn.modules.module.register_module_parameter_registration_hook,
)


def _hook_table(register: Callable[..., Any]) -> dict[int, Any]:
    handle = register(lambda *_: None)
    table: dict[int, Any] = handle.hooks_dict_ref()
    handle.remove()
    return table


_GLOBAL_HOOKS = {register.__name__: _hook_table(register) for register in _REGISTER_GLOBAL_HOOK}


@dataclass
class Snapshot:
    """Global state before a test."""

    settings: tuple[Any, ...]
    hooks: dict[str, dict[int, Any]]
    torch_rng: torch.Tensor
    cuda_rng: list[torch.Tensor]
    python_rng: Any
    numpy_rng: Any

    @classmethod
    def take(cls) -> Snapshot:
        """What the state is now."""
        return cls(
            tuple(setting.read() for setting in SETTINGS),
            {name: dict(table) for name, table in _GLOBAL_HOOKS.items()},
            torch.get_rng_state(),
            torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
            random.getstate(),
            np.random.get_state(),
        )

    def restore(self) -> list[str]:
        """Puts the state back and says, a line each, what had been left changed.

        Random generators are put back silently: tests draw from them.
        """
        leaks = []
        for setting, before in zip(SETTINGS, self.settings, strict=True):
            after = setting.read()
            if after != before:
                leaks.append(f"{setting.name} was {before}, was left as {after}")
                setting.write(before)
        for name, before in self.hooks.items():
            table = _GLOBAL_HOOKS[name]
            if dict(table) != before:
                leaks.append(f"a global hook of {name} was left registered")
                table.clear()
                table.update(before)
        torch.set_rng_state(self.torch_rng)
        if self.cuda_rng:
            torch.cuda.set_rng_state_all(self.cuda_rng)
        random.setstate(self.python_rng)
        np.random.set_state(self.numpy_rng)
        return leaks


def seed_everything(seed: int) -> None:
    """Seeds the global generators of torch on the CPU, NumPy and Python; a device's own is seeded through its cell.

    ``torch.manual_seed`` would seed every device, and on a machine without CUDA queue the call, with a formatted stack,
    for later: two milliseconds a test.
    """
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
