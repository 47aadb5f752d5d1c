"""Memory against sizes by hand and against the allocator's own statistics."""

import gc
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from torchclaims.measure import memory
from torchclaims.measure.memory import Memory, measure, peak_and_retained

N = 1000
BYTES = 4 * N


def test_a_tensor_that_is_kept_and_one_that_is_freed():
    assert measure(lambda: torch.ones(N), "cpu") == Memory(BYTES, BYTES)
    assert measure(lambda: torch.ones(N).numel(), "cpu") == Memory(BYTES, 0)
    assert measure(lambda: torch.ones(2 * N).exp()[:1], "cpu") == Memory(4 * BYTES, 2 * BYTES)
    assert measure(int, "cpu") == Memory(0, 0)


def test_a_peak_inside_an_operator():
    """A convolution of float64 unfolds its input: nine columns of 36 values for each of 2 x 3 channels."""
    x, weight = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    outputs, columns = 8 * 2 * 4 * 36, 8 * 2 * 3 * 9 * 36
    seen = measure(lambda: F.conv2d(x, weight), "cpu")
    assert seen.retained == outputs
    assert seen.peak >= outputs + columns


def test_relu_in_place_saves_a_transient_peak_only():
    """The product is not needed for any gradient, so both ways keep one tensor: ReLU's result."""
    x, w = torch.randn(N), torch.randn(N, requires_grad=True)
    assert measure(lambda: F.relu(x * w), "cpu") == Memory(2 * BYTES, BYTES)
    assert measure(lambda: F.relu_(x * w), "cpu") == Memory(BYTES, BYTES)


def test_a_graph_is_kept_with_its_result():
    w = torch.randn(N, requires_grad=True)
    assert measure(lambda: w.exp().exp().exp(), "cpu") == Memory(3 * BYTES, 3 * BYTES)


def test_what_only_a_first_call_makes_is_not_counted():
    made = {}
    assert measure(lambda: made.setdefault("workspace", torch.ones(N)).sum().item(), "cpu").retained == 0


def test_a_call_that_always_keeps_more_shows():
    kept = []
    assert measure(lambda: kept.append(torch.ones(N)), "cpu") == Memory(BYTES, BYTES)


def test_gradients_that_replace_those_of_the_call_before():
    layer, x = nn.Linear(N, 10), torch.randn(1, N)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)

    def step():
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    seen = measure(step, "cpu")
    assert seen.retained == 0
    assert seen.peak < 2 * BYTES * 10


def test_setup_is_not_counted():
    held = []

    def setup():
        held[:] = [torch.ones(5 * N)]

    assert measure(lambda: held[0][:N].exp(), "cpu", setup) == Memory(BYTES, BYTES)


def test_the_allocator_s_own_statistics():
    network, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), torch.randn(2, 3, 16, 16)
    seen = measure(lambda: network(x), "cpu")  # first, else the profiler's library has heard nothing of being quiet
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = network(x)
    averages = profiler.key_averages()
    assert seen.retained == sum(one.self_cpu_memory_usage for one in averages)
    del result


def test_a_release_counts_if_its_allocation_was_seen():
    """Address 9 was allocated before; the size that is told for it is an older block's."""
    changes = [(1, 100), (5, 1), (2, 50), (9, -70), (1, -100), (3, 20), (2, -50)]
    assert peak_and_retained(changes, mark=5) == Memory(50, -80)


def test_the_mark_is_the_last_at_its_address():
    assert peak_and_retained([(5, 40), (5, -40), (5, 1), (6, 3)], mark=5) == Memory(3, 3)


def test_a_call_that_raises_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0, "cpu")
    assert gc.isenabled()
    assert measure(lambda: torch.ones(N), "cpu") == Memory(BYTES, BYTES)


def test_nothing_is_printed(capfd):
    measure(lambda: torch.ones(N), "cpu")
    assert capfd.readouterr() == ("", "")


def test_a_device_without_statistics():
    with pytest.raises(ValueError, match="device 'meta': PyTorch tells no peak of its memory; use cpu or cuda"):
        measure(int, "meta")


@pytest.fixture
def cuda(monkeypatch):
    """An allocator that a test works by hand, in CUDA's place."""
    allocator = SimpleNamespace(now=7000, most=0, synchronised=0)

    def hold(size):
        allocator.now += size
        allocator.most = max(allocator.most, allocator.now)

    def on_device_1(action):
        def checked(device):
            assert device == torch.device("cuda:1")
            return action()

        return checked

    allocator.hold = hold
    monkeypatch.setattr(torch.cuda, "synchronize", on_device_1(lambda: None))
    monkeypatch.setattr(torch.cuda, "memory_allocated", on_device_1(lambda: allocator.now))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", on_device_1(lambda: allocator.most))
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", on_device_1(lambda: setattr(allocator, "most", allocator.now))
    )
    return allocator


def test_cuda_s_statistics(cuda):
    first = iter([10**6])

    def call():
        cuda.hold(next(first, 0))
        cuda.hold(500)
        cuda.hold(-300)

    assert measure(call, "cuda:1") == Memory(500, 200)


def test_out_of_memory_is_handed_on(cuda):
    def call():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        measure(call, "cuda:1")
    assert memory.gc.isenabled()
