"""Targets: cells, the GPUs that workers share, and what runs on CUDA exercised without one."""

import pytest
import torch

from selftests.toy import CLAIM, write_room
from torchclaims import targets, tolerance
from torchclaims.catalogue import load
from torchclaims.hygiene import Snapshot
from torchclaims.report import environment
from torchclaims.targets import Cell, Device, TargetError, resolve


@pytest.fixture
def four_gpus(monkeypatch):
    """A machine that says it has four GPUs; nothing is launched on them."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "GPU of this test")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: calls.append(("synchronize", device)))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: calls.append(("seed", seed)))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device=None: 1024 + device)
    return calls


def names(device=None, worker=0):
    return [(one.label, one.name) for one in resolve(device, None, None, None, None, worker).devices]


def test_workers_are_spread_over_the_gpus(four_gpus):
    assert names(worker=0) == [("cpu", "cpu"), ("cuda", "cuda:0")]
    assert [names("cuda", worker)[0][1] for worker in range(6)] == [
        "cuda:0",
        "cuda:1",
        "cuda:2",
        "cuda:3",
        "cuda:0",
        "cuda:1",
    ]
    assert names("cuda:2,cuda:3", worker=1) == [("cuda:2", "cuda:2"), ("cuda:3", "cuda:3")]
    assert names("all,cpu") == names("all")
    with pytest.raises(TargetError, match="'cuda:4' was asked for, but there are 4 CUDA devices"):
        names("cuda:4")


def test_a_gpu_is_seeded_awaited_and_asked_for_memory(four_gpus):
    (device,) = resolve("cuda:2", None, None, None, None).devices
    device.synchronize()
    device.seed(5)
    assert four_gpus == [("synchronize", 2), ("seed", 5)]
    assert device.memory_allocated() == 1026


def test_a_gpu_in_the_header(four_gpus, monkeypatch):
    monkeypatch.setenv("PATH", "")
    described = environment.describe(resolve("cuda", None, None, None, None))
    (line,) = [line for line in environment.header(described, 7, 0) if line.startswith("device")]
    assert line == f"device cuda: GPU of this test, CUDA {torch.version.cuda}, driver unknown"


def test_the_state_of_cuda_generators_is_put_back(monkeypatch):
    states = [torch.tensor([1, 2], dtype=torch.uint8)]
    put_back = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back.append)
    Snapshot.take().restore()
    assert put_back == [states]


@pytest.mark.parametrize(("precision", "unit"), [("highest", 0.0), ("high", 2.0**-11), ("medium", 2.0**-8)])
def test_products_in_tf32_are_coarser(precision, unit):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = precision != "highest"
        assert tolerance.factor_unit(Cell(Device("cuda", "cuda:0"), torch.float32)) == unit
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Cell(Device("cpu", "cpu"), torch.float32), "cpu-float32"),
        (Cell(Device("cuda", "cuda:1"), torch.bfloat16, "inductor"), "cuda-bfloat16-inductor"),
        (Cell(Device("npu", "cpu"), torch.float64, "eager", "channels_last"), "npu-float64-channels_last"),
    ],
)
def test_names_of_cells(target, name):
    assert str(target) == name


def test_memory_format_of_tensors_and_modules():
    cell = Cell(Device("cpu", "cpu"), torch.float32, memory_format="channels_last")
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Conv3d(2, 3, 3), torch.nn.Linear(2, 2))
    conv2d, conv3d, linear = cell.place(module)
    assert conv2d.weight.is_contiguous(memory_format=torch.channels_last)
    assert conv3d.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert linear.weight.is_contiguous()
    tensor = cell.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]], requires_grad=True)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert tensor.is_leaf
    assert tensor.requires_grad


def test_reasons_not_to_apply(tmp_path, monkeypatch):
    write_room(tmp_path, claims=CLAIM + 'dtypes = "all"')
    claims = list(load(tmp_path).claims.values())
    monkeypatch.setattr(targets, "RELEASE", targets.Version("2.0.1"))
    cells = dict((str(cell), reason) for cell, reason in resolve("cpu", None, None, None, None).cells(claims))
    assert cells.pop("cpu-float16").startswith("float16 arithmetic on the CPU came with PyTorch 2.6; this is 2.0.1")
    assert cells == {"cpu-float32": None, "cpu-float64": None, "cpu-bfloat16": None}
    on_mps = targets.Targets((Device("mps", "mps"),)).cells(claims)
    assert [reason for cell, reason in on_mps if cell.dtype == torch.float64] == ["MPS has no float64"]
