"""The rows of the benchmarks: each network of ``models/`` and each layer that the articles compare, at work.

Imports torch, ``models`` and ``torchclaims.measure`` only: the gate runs these rows in interpreters that have no more.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models import perceptron
from models.alexnet_stem import FunctionalStem, ModuleStem
from models.conv_bn_relu import conv_bn_relu
from models.four_ways import WAYS
from models.perceptron import Perceptron
from models.residual import BasicBlock
from models.reuse_cnn import AROUND, ONCE, TWICE, ReuseCnn
from models.vgg import VGG

FORWARD, INFERENCE, BACKWARD, STEP = WORKS = ("forward", "inference", "backward", "step")
FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16 autocast")
DTYPES = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}

Function = Callable[[Tensor], Tensor]

# An accelerator has thousands of arithmetic units, which a batch that fills a CPU leaves idle.
ACCELERATOR_BATCHES = 16

# Instruction sets by which PyTorch's CPU kernels compute in bfloat16; others emulate it, a hundred times slower.
BFLOAT16_CAPABILITIES = ("AVX512", "SVE")

# How far roundings within a calculation may move its result, in units of what one rounding of input and weights does.
ROUNDINGS = 10


@dataclass(frozen=True)
class Network:
    """A network or layer: how to make it, the ``shape`` of one sample, the batch that fills a CPU.

    ``smallest`` is the least batch that it can be trained with. ``reference`` makes what it must agree with, where that
    is something else.
    """

    make: Callable[[], Function]
    shape: tuple[int, ...]
    batch: int = 16
    smallest: int = 1
    works: tuple[str, ...] = WORKS
    kind: str = "network"
    in_place: bool = False
    memory_format: torch.memory_format = torch.contiguous_format
    reference: Callable[[], Function] | None = None


def _conv_bn() -> nn.Sequential:
    pair = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64))
    nn.init.normal_(pair[1].running_mean)
    nn.init.uniform_(pair[1].running_var, 0.5, 2.0)
    return pair


def _folded() -> nn.Module:
    return fuse_conv_bn_eval(*_conv_bn().eval())


_LAYER = Network(nn.Identity, (64, 32, 32), kind="layer")
_CONV = replace(_LAYER, make=lambda: nn.Conv2d(64, 64, 3, padding=1))
# What moves memory and computes little gets more than any cache holds; what has no parameters has nothing to update.
_WIDE = replace(_LAYER, shape=(64, 56, 56))
_FREE = replace(_WIDE, works=(FORWARD, INFERENCE, BACKWARD))
_DENSE = replace(_LAYER, shape=(1024,), batch=256)
_STACK = (3, 64, 64)

NETWORKS: dict[str, Network] = {
    "conv4 once": Network(lambda: ReuseCnn(ONCE), (3, 64, 64)),
    "conv4 twice": Network(lambda: ReuseCnn(TWICE), (3, 64, 64)),
    "conv4 around conv5": Network(lambda: ReuseCnn(AROUND), (3, 64, 64)),
    "VGG": Network(VGG, (3, 32, 32), smallest=2),
    **{way.__name__: Network(way, (3, 6, 6), batch=256) for way in WAYS},
    "Perceptron": Network(lambda: Perceptron(784, 1024, 10), (784,), batch=256),
    "BasicBlock": Network(lambda: BasicBlock(64, 64, 1), (64, 32, 32)),
    "conv_bn_relu": Network(lambda: conv_bn_relu([*_STACK], inplace=False), (3, 32, 32)),
    "conv_bn_relu in place": Network(lambda: conv_bn_relu([*_STACK], inplace=True), (3, 32, 32)),
    "AlexNet stem nn.ReLU": Network(ModuleStem, (3, 64, 64)),
    "AlexNet stem F.relu": Network(FunctionalStem, (3, 64, 64)),
    "nn.ReLU": replace(_FREE, make=nn.ReLU),
    "F.relu": replace(_FREE, make=lambda: F.relu),
    "nn.ReLU in place": replace(_FREE, make=lambda: nn.ReLU(inplace=True), in_place=True),
    "MaxPool2d": replace(_FREE, make=lambda: nn.MaxPool2d(2)),
    "AvgPool2d": replace(_FREE, make=lambda: nn.AvgPool2d(2)),
    "BatchNorm2d": replace(_WIDE, make=lambda: nn.BatchNorm2d(64)),
    "BatchNorm1d": replace(_DENSE, make=lambda: nn.BatchNorm1d(1024), smallest=2),
    "Linear": replace(_DENSE, make=lambda: nn.Linear(1024, 1024)),
    "Linear by hand": replace(_DENSE, make=lambda: perceptron.Linear(1024, 1024)),
    "Conv2d": _CONV,
    "Conv2d channels_last": replace(_CONV, memory_format=torch.channels_last),
    "Conv2d + BatchNorm2d": replace(_LAYER, make=_conv_bn),
    "Conv2d + BatchNorm2d folded": replace(_LAYER, make=_folded, works=(INFERENCE,), reference=_conv_bn),
}


@dataclass(frozen=True)
class Row:
    """What is timed: a network or layer, what it does, with how many samples, how precisely."""

    name: str
    work: str
    batch: int
    precision: str = FLOAT32

    def __str__(self) -> str:
        return f"{self.name}, {self.work}, batch {self.batch}, {self.precision}"

    @property
    def kind(self) -> str:
        """``network`` or ``layer``."""
        return NETWORKS[self.name].kind

    @classmethod
    def named(cls, text: str) -> Row:
        """The row that is written ``text``.

        Raises:
            ValueError: no row is written so.
        """
        name, work, batch, precision = [*text.split(", "), *[""] * 3][:4]
        row = cls(name, work, int(batch.removeprefix("batch ") or 0), precision)
        if name not in NETWORKS or work not in NETWORKS[name].works or str(row) != text:
            raise ValueError(f"no row is called {text!r}; they are called like {ROWS[0]!s}")
        return row

    def subject(self, device: str | torch.device, mode: str = "eager") -> Subject:
        """The row made ready on ``device``, always with the same numbers; ``mode`` may name a compiler's backend."""
        return Subject(self, torch.device(device), mode)


def rows(device: str | torch.device, precisions: tuple[str, ...] | None = None) -> tuple[Row, ...]:
    """The rows for ``device``: a batch that fills it and the smallest, in ``precisions``, or those that it has."""
    device = torch.device(device)
    factor = 1 if device.type == "cpu" else ACCELERATOR_BATCHES
    if precisions is None:
        precisions = PRECISIONS if has_bfloat16(device) else (FLOAT32,)
    return tuple(
        Row(name, work, batch or (1 if work == INFERENCE else one.smallest), precision)
        for name, one in NETWORKS.items()
        for batch in (one.batch * factor, None)
        for precision in precisions
        for work in one.works
    )


def has_bfloat16(device: torch.device) -> bool:
    """Whether autocast to bfloat16 works on ``device``, by instructions of its own."""
    if device.type == "cpu":
        capability = re.search(r"CPU capability usage: (\w+)", torch.__config__.show())
        return capability is not None and capability[1].startswith(BFLOAT16_CAPABILITIES)
    try:
        one = torch.ones(1, 1, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            return one.mm(one).dtype == torch.bfloat16
    except (RuntimeError, AssertionError):  # a build without the device asserts
        return False


class Subject:
    """A row made ready: ``call`` is what is timed, ``setup`` what must happen before each call, outside the clock."""

    def __init__(self, row: Row, device: torch.device, mode: str) -> None:
        one = NETWORKS[row.name]
        self.row, self.device = row, device
        self.shape = (row.batch, *one.shape)
        self.function = copy.deepcopy(_made(row.name))
        self.module = self.function if isinstance(self.function, nn.Module) else nn.Identity()
        self.module.train(row.work != INFERENCE).to(device=device, memory_format=one.memory_format)
        x = _input(row).to(device=device, memory_format=one.memory_format)
        self.x = x.requires_grad_(one.kind == "layer" and row.work != INFERENCE)
        if mode != "eager":
            torch.compiler.reset()  # else the compiler gives up after a few shapes and runs eagerly without a word
            self.function = torch.compile(self.function, backend=mode, dynamic=False)
        # A rate of 0 does a whole update's work and leaves the weights, so that each round times the same numbers.
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.0) if row.work == STEP else None
        self.copies_input = one.in_place
        # What is compiled frees its graph in backward, and may refuse to retain it.
        self.retains_graph = mode == "eager"
        self.given = self.x
        self.output: Tensor | None = None
        self.call: Callable[[], object] = getattr(self, f"_{row.work}")
        self.setup = self._prepare if one.in_place or row.work == BACKWARD else None
        self._prepare()
        if row.work in (BACKWARD, STEP):
            output = self._forward() if self.output is None else self.output
            self.cotangent = _cotangent(output)

    def _prepare(self) -> None:
        if self.row.work == BACKWARD:
            self.module.zero_grad()
            self.x.grad = None
            if self.output is not None and self.retains_graph:
                return
        if self.copies_input:
            self.given = self.x.clone()
        if self.row.work == BACKWARD:
            self.output = self._forward()

    def _forward(self) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.row.precision == BFLOAT16):
            return self.function(self.given)

    def _inference(self) -> Tensor:
        with torch.no_grad():
            return self._forward()

    def _backward(self) -> None:
        self.output.backward(self.cotangent, retain_graph=self.retains_graph)

    def _step(self) -> None:
        self.optimizer.zero_grad()
        self.x.grad = None
        self._forward().backward(self.cotangent)
        self.optimizer.step()

    def results(self) -> dict[str, Tensor]:
        """What one call computes, in float64 on the host: the output, or the gradients by name."""
        if self.setup is not None:
            self.setup()
        output = self.call()
        named = {"output": output} if output is not None else _gradients(self.module, self.x)
        return {name: value.detach().cpu().double() for name, value in named.items()}

    def check(self) -> str | None:
        """What is wrong with the results, in one line, or None.

        They must be those of the same network in float64, on the CPU, in eager mode: what its layers compute there is
        decided by the claims.
        """
        expected, _ = self._expected()
        results = self.results()
        size = torch.stack([expected[name].norm() for name in results]).norm()
        allowed = self._allowed(results)
        for name, value in results.items():
            error = (value - expected[name]).norm()
            if not error <= allowed[name]:  # nor where it is no number
                return f"{name} is off by {error / size:.2g} of the result's size, allowed {allowed[name] / size:.2g}"
        return None

    def allowance(self) -> float:
        """By how much, in norm, the results may be off; each number of the digest then is, too."""
        return float(torch.stack([*self._allowed(self.results()).values()]).norm())

    def _expected(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return _reference(self.row.name, self.row.batch, self.row.work != INFERENCE, self.row.precision)

    def _allowed(self, names: Collection[str]) -> dict[str, Tensor]:
        """By how much each result may be off, in norm.

        That is :data:`ROUNDINGS` times what moving each weight and input by a rounding
        of the row's dtype does to the network in float64, which is how badly conditioned this calculation is, and one
        rounding more. A gradient jumps where a ReLU or a maximum switches; a share eps of the values is that near to
        it, and has the share sqrt(eps) of the gradient's norm.
        """
        expected, moved = self._expected()
        size = torch.stack([expected[name].norm() for name in names]).norm()
        eps = torch.finfo(DTYPES[self.row.precision]).eps
        rounding = eps if "output" in names else eps**0.5
        return {name: ROUNDINGS * (moved[name] + rounding * size) for name in names}

    def digest(self) -> list[float]:
        """Two numbers that any other result would change: its size, and its product with a fixed wave."""
        values = list(self.results().values())
        waves = [torch.arange(value.numel(), dtype=torch.float64).cos() for value in values]
        products = [value.flatten() @ wave for value, wave in zip(values, waves)]  # noqa: B905 - strict= came with 3.10
        return [float(torch.stack([value.norm() for value in values]).norm()), float(sum(products))]


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _input(row: Row) -> Tensor:
    """The row's input; within a network under autocast a layer is handed what the layer before computed."""
    one = NETWORKS[row.name]
    return _normal((row.batch, *one.shape), seed=1).to(DTYPES[row.precision] if one.kind == "layer" else torch.float32)


def _cotangent(output: Tensor) -> Tensor:
    """What backward is given: numbers that each dtype of a row has, in the dtype and layout of ``output``."""
    return torch.empty_like(output).copy_(_normal(tuple(output.shape), seed=2).bfloat16())


def _gradients(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    gradients = {f"gradient of {name}": parameter.grad for name, parameter in module.named_parameters()}
    return gradients if x.grad is None else {**gradients, "gradient of the input": x.grad}


@cache
def _made(name: str, *, reference: bool = False) -> Function:
    """The network with its first weights; of layers that must agree with each other these are the same."""
    one = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return one.reference() if reference and one.reference else one.make()


@lru_cache(maxsize=2)  # the rows of one network and batch come together
def _reference(name: str, batch: int, training: bool, precision: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Results in float64, and how far, in norm, roundings of ``precision`` in weights and input move each of them."""
    network = copy.deepcopy(_made(name, reference=True))
    module = network.double().train(training) if isinstance(network, nn.Module) else nn.Identity()
    x = _input(Row(name, FORWARD, batch, precision)).double()
    expected = _evaluate(network, module, x, training)
    generator = torch.Generator().manual_seed(3)
    eps = torch.finfo(DTYPES[precision]).eps
    with torch.no_grad():
        for value in (x, *module.parameters()):
            value *= 1 + eps * (2 * torch.rand(value.shape, generator=generator) - 1)
    beside = _evaluate(network, module, x, training)
    return expected, {key: (beside[key] - value).norm() for key, value in expected.items()}


def _evaluate(network: Function, module: nn.Module, x: Tensor, training: bool) -> dict[str, Tensor]:
    leaf = x.clone().requires_grad_(training)
    module.zero_grad()
    with torch.set_grad_enabled(training):
        output = network(leaf.clone())
    if training:
        output.backward(_cotangent(output))
    return {"output": output.detach(), **(_gradients(module, leaf) if training else {})}


ROWS = rows("cpu", (FLOAT32,))
