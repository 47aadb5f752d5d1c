"""The machine's limits and condition: real ones in small, and a machine made of files."""

from types import SimpleNamespace

import pytest
import torch

from torchclaims.measure import machine
from torchclaims.measure.machine import condition, limits
from torchclaims.measure.timing import Samples


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(machine, "BEYOND_CACHES", 2**20)
    monkeypatch.setattr(machine, "SYSTEM", machine.Path("/nowhere"))
    monkeypatch.setattr(machine, "SIZES", (32, 64))


@pytest.mark.usefixtures("small")
def test_limits_of_this_machine():
    found = limits("cpu", ["float32", "float64", "float32", "bool"], seconds=0.05)
    assert set(found.flops) == {"float32", "float64"}  # there is no product of booleans
    assert min(found.flops.values()) > 1e6
    assert found.bandwidth > 1e6


@pytest.mark.usefixtures("small")
def test_the_formulas(monkeypatch):
    """Each product and each copy takes a millisecond at best, on the host or, where that is known, on the device."""
    for samples in (Samples((3e-3, 1e-3), (0, 0), None, 1), Samples((5.0, 9.0), (0, 0), (1e-3, 2e-3), 1)):
        monkeypatch.setattr(machine, "measure", lambda *_, samples=samples, **__: samples)
        found = limits("cpu", ["float32"], seconds=100)
        assert found.flops == {"float32": pytest.approx(2 * 64**3 / 1e-3)}
        assert found.bandwidth == pytest.approx(2 * 2**20 / 1e-3)


@pytest.mark.usefixtures("small")
def test_sizes_grow_while_there_is_time(monkeypatch):
    tried = []

    def measure(product, clock, *, seconds, min_rounds):
        tried.append(product)
        return Samples((0.1,), (0.1,), None, 1)

    monkeypatch.setattr(machine, "measure", measure)
    limits("cpu", ["float32"], seconds=1)
    assert len(tried) == 2  # one product, one copy


def test_bad_input():
    with pytest.raises(ValueError, match=r"seconds=-1: give a time above zero"):
        limits("cpu", ["float32"], seconds=-1)
    with pytest.raises(ValueError, match=r"dtype 'float33': torch has none of this name"):
        limits("cpu", ["float33"], seconds=1)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A machine of two cores on which all is well."""
    for name in ("SYSTEM", "PROC", "CGROUP"):
        monkeypatch.setattr(machine, name, tmp_path)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    ticks = iter([[100] * 8, [100, 100, 100, 140, 100, 100, 100, 100]])
    monkeypatch.setattr(machine, "_ticks", lambda: next(ticks))
    monkeypatch.setattr(machine.time, "sleep", lambda _: None)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_machine_that_is_fit(fake):
    write(fake / "cpu0/cpufreq/scaling_governor", "performance\n")
    write(fake / "cpu.stat", "usage_usec 1\nnr_throttled 0\n")
    assert condition() == []


def test_a_governor_that_saves_power(fake):
    write(fake / "cpu0/cpufreq/scaling_governor", "performance\n")
    write(fake / "cpu1/cpufreq/scaling_governor", "powersave\n")
    assert condition() == ["CPU frequency governor powersave: only performance keeps the clock up"]


def test_a_quota_that_stops_the_container(fake):
    write(fake / "cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_usec 5\n")
    assert condition() == ["this container has been stopped 3 times for its CPU quota"]


@pytest.mark.usefixtures("fake")
def test_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert condition() == ["4 threads on 2 cores: give PyTorch fewer"]


@pytest.mark.usefixtures("fake")
def test_other_processes(monkeypatch):
    """Of 40 ticks of two cores 10 were idle and 10 waited for a disk: one core was at work."""
    ticks = iter([[0] * 8, [15, 0, 0, 10, 10, 0, 0, 5]])
    monkeypatch.setattr(machine, "_ticks", lambda: next(ticks))
    assert condition() == ["other processes keep 1.0 of 2 cores busy"]


@pytest.mark.usefixtures("fake")
def test_without_proc_the_load_average_tells(monkeypatch):
    monkeypatch.setattr(machine, "_ticks", list)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1.5, 0, 0))
    assert condition() == ["other processes keep 1.5 of 2 cores busy"]


def test_ticks(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine._ticks() == []
    write(tmp_path / "stat", "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3\n")
    assert machine._ticks() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_this_machine_answers():
    assert all(isinstance(line, str) and "\n" not in line for line in condition())


@pytest.mark.usefixtures("fake")
def test_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "temperature", lambda device: 91, raising=False)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 40, raising=False)
    assert condition("cuda") == [
        "GPU at 91 degrees Celsius: it lowers its clock when hot",
        "GPU in use for 40 % of the time by something else",
    ]


@pytest.mark.usefixtures("fake")
def test_a_gpu_whose_driver_tells_nothing(monkeypatch):
    def missing(device):
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    monkeypatch.setattr(torch.cuda, "temperature", missing, raising=False)
    monkeypatch.setattr(torch.cuda, "utilization", missing, raising=False)
    assert condition("cuda") == []


def test_caches_that_cores_share_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    for core in (0, 1):
        for index, (level, size, shared) in enumerate([("1", "32K", str(core)), ("3", "1024K", "0-1")]):
            for name, text in (("level", level), ("type", "Data"), ("size", size), ("shared_cpu_list", shared)):
                write(tmp_path / f"cpu{core}/cache/index{index}/{name}", text)
    assert machine._caches(torch.device("cpu")) == (2 * 32 + 1024) * 1024


def test_the_flush_writes_more_than_the_cache_holds(monkeypatch):
    def ones(count, device):
        made.append((count, device))
        return SimpleNamespace(zero_=lambda: "flushed")

    made = []
    properties = SimpleNamespace(L2_cache_size=2**28)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch, "ones", ones)
    assert machine.cache_flush("cuda:1")() == "flushed"
    assert made == [(2 * 2**28 // 4, torch.device("cuda:1"))]
    assert machine.cache_flush("cpu") is None
