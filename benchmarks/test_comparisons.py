"""What is said about time, decided by two calls beside each other.

    pytest --benchmark-only benchmarks/test_comparisons.py [--device cpu,cuda] [--prove]

On a CPU the process' own time on one thread is compared, which other processes disturb least. A claim is broken only
if the whole interval contradicts it; if noise hides the answer, that is said, with the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.alexnet_stem import FunctionalStem, ModuleStem
from models.four_ways import AddModuleNet, AttributesNet, OrderedDictNet, SequentialNet
from models.reuse_cnn import ONCE, TWICE, ReuseCnn
from models.vgg import VGG
from torchclaims import claim
from torchclaims.measure.clocks import Clock
from torchclaims.measure.comparison import EQUAL, FASTER, SLOWER, UNRESOLVED, Build, compare
from torchclaims.plugin import CATALOGUE
from torchclaims.targets import Cell

Function = Callable[[Tensor], Tensor]

# What --benchmark-quick leaves of the pairs, and of the seconds that each takes.
QUICK = {"pairs": 9, "seconds": 0.03}

# By how many roundings of its own size a result may be off.
ROUNDINGS = 2**8

# A batch that fills a CPU's core leaves an accelerator idle.
ACCELERATOR_BATCHES = 64


@pytest.fixture
def one_thread():
    """Process time on several threads counts what they wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def decide(request, benchmark, cell, one_thread):
    """Compares two builds and decides the test's claim; what was found goes into the benchmark's ``extra_info``.

    ``says`` names the two calls, ``margin`` is how far from ``expected`` their ratio may be and still be equal to it;
    what is faster or slower is so by more than that.
    Unless they are not ``alike``, both must compute the same: a fast wrong answer is no result.
    """
    config = request.config
    name = request.node.get_closest_marker("claim").args[0]

    def decide(first, second, says, verdict, *, margin, expected=1.0, alike=True):
        call = first()
        results = call(), second()()
        if alike:
            assert_alike(*results)
        if benchmark.disabled:
            pytest.skip("does not apply: nothing is timed here; --benchmark-only does")
        kind = "cpu" if cell.device.is_cpu else "wall"
        effort = QUICK if config.getoption("benchmark_quick", False) else {}
        ratio = compare(first, second, Clock(cell.device.synchronize), kind=kind, **effort)
        seen = ratio.verdict(margin, expected)
        sentence = ratio.sentence(*says, margin, expected)
        benchmark.group = "comparisons"
        benchmark.extra_info |= {
            "comparison": f"{name}: {says[0]}",
            "statement": config.stash[CATALOGUE].claims[name].asserted,
            "sentence": sentence,
            "ratio": {"estimate": ratio.estimate, "low": ratio.low, "high": ratio.high},
            "expected": expected,
            "margin": margin,
            "verdict": seen,
            "device": cell.device.label,
            "precision": str(cell.dtype).removeprefix("torch."),
            "time": kind,
        }
        # A proof times what is broken on purpose, which is no benchmark.
        benchmark.disabled = config.option.prove
        benchmark.pedantic(call, rounds=5, warmup_rounds=1)
        if seen == UNRESOLVED:
            pytest.skip(f"does not apply: {sentence}")
        assert seen == verdict, f"expected {verdict}: {sentence}"

    return decide


def assert_alike(first: Tensor, second: Tensor) -> None:
    """Both are the same to the accuracy that depth and dtype leave; a wrong result is off by far more."""
    error = float(((first - second).norm() / second.norm()).detach())
    assert error <= ROUNDINGS * torch.finfo(first.dtype).eps, f"the two differ by {error:.2g} of their size"


def images(cell: Cell, *shape: int) -> Tensor:
    """Normal numbers of a batch that fills the device."""
    batch, *rest = shape
    values = torch.randn(batch * (1 if cell.device.is_cpu else ACCELERATOR_BATCHES), *rest)
    return values.to(cell.device.name, cell.dtype)


def seeded(make):
    """What ``make`` builds, always with the same weights."""
    torch.default_generator.manual_seed(0)
    return make()


def inference(cell: Cell, make: Callable[[], Function], x: Tensor) -> Build:
    """Builds a function, or module in evaluation, and its input, and calls it without a graph."""

    def build():
        function = seeded(make)
        if isinstance(function, nn.Module):
            cell.place(function.eval())
        values = x.clone()

        @torch.no_grad()
        def call():
            return function(values)

        return call

    return build


def step(cell: Cell, make: Callable[[], nn.Module], x: Tensor) -> Build:
    """Builds a network and its input for a training step whose rate of 0 leaves the weights."""

    def build():
        network = cell.place(seeded(make))
        values = x.clone()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.0)

        def call():
            optimizer.zero_grad()
            loss = network(values).sum()
            loss.backward()
            optimizer.step()
            return loss

        return call

    return build


@claim("reuse-time-in-proportion")
def test_two_passes_take_twice_the_time(cell, decide):
    x = images(cell, 4, 64, 8, 8)

    def passes(count):
        block = ReuseCnn(ONCE).conv4
        return nn.Sequential(*[block] * count)

    says = ("A block applied twice (2 times the operations)", "the block applied once")
    twice, once = (inference(cell, partial(passes, count), x) for count in (2, 1))
    decide(twice, once, says, EQUAL, margin=0.10, expected=2.0, alike=False)


@claim("reuse-time")
def test_network_takes_longer(cell, decide):
    x = images(cell, 2, 3, 64, 64)
    says = ("A network that applies a block twice (1.17 times the operations)", "one that applies it once")
    twice, once = (inference(cell, partial(ReuseCnn, path), x) for path in (TWICE, ONCE))
    decide(twice, once, says, SLOWER, margin=0.03, alike=False)


def module_stem():
    """The article's stage with its activation as a module; in place, as the article has it, would be another matter."""
    stem = ModuleStem()
    stem.features[2] = nn.ReLU()
    return stem


@claim("relu-time")
@pytest.mark.parametrize("work", [inference, step])
def test_relu_as_module_or_function_in_a_network(cell, decide, work):
    x = images(cell, 4, 3, 32, 32)
    says = (f"A stage with nn.ReLU, in {work.__name__},", "one that calls F.relu")
    decide(work(cell, module_stem, x), work(cell, FunctionalStem, x), says, EQUAL, margin=0.05)


@claim("relu-module-call-time")
def test_relu_as_module_or_function_of_one_element(cell, decide):
    x = torch.ones(1, device=cell.device.name)
    says = ("nn.ReLU of one element", "F.relu")
    decide(inference(cell, nn.ReLU, x), inference(cell, lambda: F.relu, x), says, SLOWER, margin=0.05)


@claim("build-time")
@pytest.mark.parametrize("way", [AttributesNet, AddModuleNet, OrderedDictNet])
def test_ways_to_build(cell, decide, way):
    x = images(cell, 128, 3, 6, 6)
    says = (f"A training step of {way.__name__}", "that of SequentialNet")
    decide(step(cell, way, x), step(cell, SequentialNet, x), says, EQUAL, margin=0.05)


def convolution():
    return nn.Conv2d(32, 32, 1)


def normalised():
    return nn.Sequential(convolution(), nn.BatchNorm2d(32))


def folded():
    return nn.utils.fuse_conv_bn_eval(*normalised().eval())


@claim("bn-fold-time")
def test_folded_beside_both_layers(cell, decide):
    x = images(cell, 4, 32, 32, 32)
    says = ("A convolution with batch normalisation folded in", "the two layers")
    decide(inference(cell, folded, x), inference(cell, normalised, x), says, FASTER, margin=0.05)


@claim("bn-fold-time-of-convolution")
def test_folded_beside_the_convolution(cell, decide):
    x = images(cell, 4, 32, 32, 32)
    says = ("A convolution with batch normalisation folded in", "the convolution alone")
    decide(inference(cell, folded, x), inference(cell, convolution, x), says, EQUAL, margin=0.05, alike=False)


# Few channels, so that a core does it in milliseconds.
NARROW = (32, "M", 64, "M", 128, "M", 128, "M", 128, 128)


@claim("format-time")
def test_channels_last(cell, decide):
    if cell.device.is_cpu != (cell.dtype == torch.float32):
        pytest.skip(f"does not apply: it is said of float32 on a CPU and float16 on CUDA, not of {cell}")
    x = images(cell, 4, 3, 32, 32)

    def contiguous():
        return VGG(configuration=NARROW)

    def converted():
        return contiguous().to(memory_format=torch.channels_last)

    last = x.contiguous(memory_format=torch.channels_last)
    says = ("A VGG in channels_last", "a contiguous one")
    decide(inference(cell, converted, last), inference(cell, contiguous, x), says, FASTER, margin=0.05)
