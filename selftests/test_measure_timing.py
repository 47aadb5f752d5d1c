"""Clocks and timing: what hostile calls, devices and machines do to a figure, on clocks that tests turn by hand."""

import ast
import gc
import math
import queue
import statistics
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from torchclaims import measure as package
from torchclaims.measure import clocks, timing
from torchclaims.measure.clocks import Clock
from torchclaims.measure.timing import Samples, measure

MS = 1e-3


class World:
    """Time that passes only when a test says so: on the host, on this process' cores, on a device with a queue."""

    def __init__(self):
        self.now = self.worked = self.busy_until = 0.0
        self.readings = 0

    def work(self, seconds, cores=1):
        self.now += seconds
        self.worked += cores * seconds

    def queue(self, seconds, launch=0.0):
        self.work(launch)
        self.busy_until = max(self.busy_until, self.now) + seconds

    def synchronize(self):
        self.now = max(self.now, self.busy_until)

    def event(self):
        at = max(self.now, self.busy_until)
        return SimpleNamespace(at=at, synchronize=int, elapsed_time=lambda end: (end.at - at) * 1e3)


@pytest.fixture
def world(monkeypatch):
    world = World()
    turned = SimpleNamespace(perf_counter=lambda: world.now, process_time=lambda: world.worked)
    monkeypatch.setattr(clocks, "time", turned)
    return world


# What is sent to a bare interpreter.


def test_the_sources_need_the_standard_library_and_torch_alone_in_python_3_9():
    for path in Path(package.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        froms = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        plain = [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
        outside = {name for name in froms if name.startswith("torchclaims")}
        assert all(name.startswith("torchclaims.measure") for name in outside)
        assert not {"numpy", "scipy", "packaging", "pytest"} & {name.split(".")[0] for name in froms + plain}


# The clock.


def test_the_clock_is_the_host_s():
    clock = Clock.of("cpu")
    before, reading, after = time.perf_counter(), clock(), time.perf_counter()
    assert before <= reading <= after


def test_intervals_pair_the_readings(world):
    clock = Clock()
    for seconds, cores in ((1, 1), (2, 2)):
        clock()
        world.work(seconds, cores)
        clock()
        world.work(10)
    clock()
    assert clock.intervals() == [clocks.Interval(1, 1, None), clocks.Interval(2, 4, None)]
    clock.reset()
    assert clock.intervals() == []


def test_resolution_is_measured_and_leaves_the_readings_alone():
    clock = Clock()
    assert 0 < clock.resolution() < MS
    assert clock.intervals() == []


def test_asynchronous_work_is_inside_the_interval_only_if_synchronised(world):
    def call():
        world.queue(5 * MS, launch=10e-6)

    right = measure(call, Clock(world.synchronize), seconds=1)
    wrong = measure(call, Clock(), seconds=1)
    assert right.median() == pytest.approx(5.01 * MS)
    assert wrong.median() == pytest.approx(0.01 * MS)


def test_a_device_with_a_thread_and_a_queue():
    tasks = queue.Queue()

    def device():
        for seconds in iter(tasks.get, None):
            time.sleep(seconds)
            tasks.task_done()

    thread = threading.Thread(target=device)
    thread.start()
    figures = [
        measure(lambda: tasks.put(0.01), clock, seconds=0.05, setup=int, max_rounds=10)
        for clock in (Clock(tasks.join), Clock())
    ]
    tasks.put(None)
    tasks.task_done()
    thread.join()
    right, wrong = (one.median() for one in figures)
    assert right >= 0.01 > 10 * wrong


def test_host_and_device_time_apart(world):
    clock = Clock(world.synchronize, world.event)
    samples = measure(lambda: world.queue(5 * MS, launch=10e-6), clock, seconds=1)
    assert samples.median("wall") == pytest.approx(5.01 * MS)
    assert samples.median("cpu") == pytest.approx(0.01 * MS)
    assert samples.median("device") == pytest.approx(5.01 * MS)  # the device waited for the first launch


def test_without_waiting_work_queued_ahead_hides_the_launch(world):
    clock = Clock(events=world.event)
    setup = lambda: world.queue(1 * MS)  # noqa: E731
    samples = measure(lambda: world.queue(50e-6, launch=10e-6), clock, seconds=0.01, setup=setup)
    assert samples.median("device") == pytest.approx(50e-6)
    assert samples.median("wall") == pytest.approx(10e-6)


def test_the_clock_of_a_cuda_device(monkeypatch):
    """Events are on the stream of that device, not of the current one; a start is after waiting, an end before it."""
    told = []

    def stream(device):
        return SimpleNamespace(record_event=lambda event: told.append(str(device)) or event)

    def event(enable_timing):
        assert enable_timing
        return SimpleNamespace(synchronize=lambda: told.append("event waited"), elapsed_time=lambda end: 3.0)

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: told.append(f"wait for {device}"))
    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    monkeypatch.setattr(torch.cuda, "Event", event)
    for wait in (True, False):
        told.clear()
        clock = Clock.of("cuda:1", wait=wait)
        clock()
        clock()
        assert told == (["wait for cuda:1", "cuda:1", "cuda:1", "wait for cuda:1"] if wait else ["cuda:1", "cuda:1"])
        assert clock.intervals()[0].device == 3 * MS
        assert told[-1] == "event waited"


def test_the_clock_of_an_unknown_device():
    with pytest.raises(ValueError, match=r"device 'meta': how to wait for it is not known; use Clock\(synchronize\)"):
        Clock.of("meta")


# Timing.


def test_seconds_a_call(world):
    samples = measure(lambda: world.work(3 * MS, cores=2), Clock(), seconds=0.3)
    assert samples.median("wall") == pytest.approx(3 * MS)
    assert samples.median("cpu") == pytest.approx(6 * MS)
    assert samples.device is None
    assert samples.loops == 1
    assert 90 <= len(samples.wall) == len(samples.cpu) <= 102
    assert not samples.noisy


def test_fast_calls_are_looped(world):
    samples = measure(lambda: world.work(2e-6), Clock(), seconds=0.1)
    assert samples.loops == pytest.approx(500, rel=0.05)
    assert samples.median() == pytest.approx(2e-6)


def test_a_first_call_a_hundred_times_slower(world):
    calls = iter([100, *[1] * 10**6])
    samples = measure(lambda: world.work(next(calls) * 2 * MS), Clock(), seconds=1)
    assert max(samples.wall) == pytest.approx(2 * MS)


def test_a_long_first_call_does_not_set_the_loops(world):
    calls = iter([10.0])
    samples = measure(lambda: world.work(next(calls, 1e-5)), Clock(), seconds=1)
    assert samples.median() == pytest.approx(1e-5)


def test_one_slow_round_does_not_end_the_warm_up(world):
    """The first two calls meet something that takes half a millisecond, such as new pages."""
    calls = iter([6e-4, 6e-4])
    samples = measure(lambda: world.work(next(calls, 1e-5)), Clock(), seconds=0.1)
    assert samples.loops > 10
    assert samples.median() == pytest.approx(1e-5)


def test_an_allocator_that_grows(world):
    calls = iter([20, 20, 15, 10, 7, 4, 2.5, 1.8, 1.3])
    samples = measure(lambda: world.work(next(calls, 1) * MS), Clock(), seconds=1)
    assert samples.median() == pytest.approx(1 * MS)
    assert not samples.noisy


def test_a_call_that_never_settles_is_warmed_up_within_bounds(world):
    """Each call is six per cent faster than the one before, up to a point."""
    calls = [0]

    def call():
        calls[0] += 1
        world.work(max(1 * MS, 100 * MS * 0.94 ** calls[0]))

    measure(call, Clock(), seconds=1, max_rounds=5)
    assert calls[0] < 25
    assert world.now < 2


def test_setup_is_outside_the_clock(world):
    ready = []

    def call():
        ready.pop()
        world.work(1e-6)

    def setup():
        ready.append(None)
        world.work(1 * MS)

    samples = measure(call, Clock(), seconds=0.1, setup=setup)
    assert samples.loops == 1
    assert samples.median() == pytest.approx(1e-6)
    assert world.now < 0.15


@pytest.mark.parametrize("once", [1e-6, 1e-4, 1e-2, 0.05])
def test_what_is_not_counted_is_less_than_a_fifth(world, once):
    samples = measure(lambda: world.work(once), Clock(), seconds=0.5)
    counted = sum(samples.wall) * samples.loops
    assert world.now - counted < 0.2 * counted


def test_rounds_are_bounded(world):
    slow = measure(lambda: world.work(10), Clock(), seconds=0.1, min_rounds=3)
    fast = measure(lambda: world.work(1e-4), Clock(), seconds=100, max_rounds=7)
    assert (len(slow.wall), len(fast.wall)) == (3, 7)


def test_real_calls():
    samples = measure(lambda: time.sleep(2 * MS), Clock.of("cpu"), seconds=0.05)
    assert 2 * MS <= samples.median() < 50 * MS
    assert samples.median("cpu") < 0.5 * samples.median()


# What else runs here.


def test_another_process_on_the_core_mid_run_marks_the_row_noisy(world):
    """From the middle of the run this process has the core for half of the time."""
    calls = [0]

    def call():
        calls[0] += 1
        world.work(2 * MS)
        if calls[0] > 60:
            world.now += 2 * MS

    samples = measure(call, Clock(), seconds=0.4, max_rounds=120)
    assert samples.noisy
    assert samples.spread("cpu") == pytest.approx(0)


def test_another_process_on_the_core_all_the_time_takes_wall_and_cpu_time_apart(world):
    def call():
        world.work(2 * MS)
        world.now += 2 * MS

    samples = measure(call, Clock(), seconds=0.4)
    assert samples.median("wall") == pytest.approx(2 * samples.median("cpu"))


def test_the_garbage_collector_does_not_run_while_timing():
    collections = []

    def make_garbage():
        gc.callbacks.append(watch)
        for _ in range(2000):
            cycle = []
            cycle.append(cycle)
        gc.callbacks.remove(watch)

    def watch(phase, _):
        collections.append(phase)

    make_garbage()
    assert collections  # or this test would notice nothing
    collections.clear()
    measure(make_garbage, Clock(), seconds=0.01)
    assert collections == []
    assert gc.isenabled()


@pytest.mark.parametrize("ran", [True, False])
def test_the_garbage_collector_is_put_back_when_the_call_raises(ran):
    before = gc.isenabled()
    (gc.enable if ran else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            measure(lambda: 1 / 0, Clock(), seconds=1)
        assert gc.isenabled() == ran
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_a_time_that_is_none(seconds):
    with pytest.raises(ValueError, match="give a time above zero"):
        measure(int, Clock(), seconds=seconds)


@pytest.mark.parametrize("bounds", [{"min_rounds": 0}, {"min_rounds": 5, "max_rounds": 4}])
def test_rounds_that_are_none(bounds):
    with pytest.raises(ValueError, match="give 1 or more, the second not below"):
        measure(int, Clock(), seconds=1, **bounds)


# Figures of the samples.


def of(*wall):
    return Samples(wall, wall, None, 1)


def test_spread_is_the_interquartile_range_over_the_median():
    assert of(1, 2, 3, 4, 5).spread() == pytest.approx(2 / 3)
    assert of(1.0).spread() == 0
    assert of(0.0, 0.0, 1.0).spread() == 0
    assert not of(1, 1, 1.09, 1.09).noisy
    assert of(1, 1, 1.2, 1.2).noisy


def test_the_interval_of_the_median_is_the_textbook_s():
    """Ranks from tables of the sign test at 95 %: of 6 the 1st, of 10 the 2nd, of 20 the 6th, of 100 the 40th."""
    for n, rank in {3: 1, 6: 1, 9: 2, 10: 2, 20: 6, 100: 40}.items():
        low, high = of(*range(n)).interval()
        assert (low, high) == (rank - 1, n - rank), n


def test_the_interval_holds_the_median_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    draws = torch.empty(2000, 25).exponential_(generator=generator).tolist()
    intervals = [of(*row).interval() for row in draws]
    held = statistics.mean(low <= math.log(2) <= high for low, high in intervals)
    assert 0.94 < held < 0.98  # exactly 0.957 for 25


def test_device_time_that_nothing_measured():
    with pytest.raises(ValueError, match="no device time was measured"):
        of(1).median("device")
    assert timing.NOISY == 0.10
