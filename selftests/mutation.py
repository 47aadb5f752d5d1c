"""Mutants of PyTorch's own source: how many does the suite notice?

    python -m selftests.mutation --count 200 --seed 1 [--jobs 2] [--report mutants.txt] [pytest's arguments]
    python -m selftests.mutation --faults FILE ...

A mutant is one small change in a function of ``torch.nn.modules``, ``torch.nn.init`` or ``torch.optim.lr_scheduler``: a
statement dropped, a condition negated, an operator swapped, a constant changed. Sites are drawn by the seed. Each
mutant's code is put into the function that is already imported, in a forked child, and the tests that reach that
function run until one turns red by an assertion. Which tests reach it is seen in one run before.

Unlike the rooms' faults nobody chose these: survivors show where an oracle is weak. With ``--faults`` the changes
are the faults of a file that belongs to no room; ``@breaks("test_bn")`` names the folder whose tests run first.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import multiprocessing
import os
import random
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from torchclaims.faults import Fault, Patcher, load_faults

SECONDS = 300
# Modules whose functions no claim is about: quantisation, distributed workers and TorchScript have their own pages.
MODULES = ("torch.nn.init", "torch.optim.lr_scheduler")
PACKAGE = "torch.nn.modules"
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
DROPPED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)


@dataclass(frozen=True)
class Mutant:
    """One change: ``apply`` puts it into the imported function."""

    module: str
    function: str
    line: int
    change: str
    code: types.CodeType
    target: types.FunctionType

    def apply(self) -> None:
        """Makes the imported function the mutant."""
        self.target.__code__ = self.code

    def tests(self, items: list[pytest.Item], reached: dict[types.CodeType, list[pytest.Item]]) -> list[pytest.Item]:
        """Those that reach the function, mixed: alike ones stand side by side, and an unlike one notices sooner."""
        found = reached[self.target.__code__]
        return random.Random(str(self)).sample(found, len(found))

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}: {self.change}"


@dataclass(frozen=True)
class Chosen:
    """A fault of a file."""

    fault: Fault

    def apply(self) -> None:
        """Puts the fault in place, for good."""
        self.fault.apply(Patcher())

    def tests(self, items: list[pytest.Item], reached: dict[types.CodeType, list[pytest.Item]]) -> list[pytest.Item]:
        """All of them, mixed; first those of the folders that the fault names."""
        mixed = random.Random(self.fault.name).sample(items, len(items))
        return sorted(mixed, key=lambda item: not item.nodeid.startswith(self.fault.claims))

    def __str__(self) -> str:
        return f"{self.fault.name}: {self.fault.description}"


def mutants(module_name: str) -> Iterator[Callable[[], Mutant]]:
    """Every change of every function of a module that can be put in place while it is imported."""
    module = importlib.import_module(module_name)
    source = inspect.getsource(module)
    tree = ast.parse(source)
    functions = {target.__code__.co_firstlineno: target for target in _functions(module)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if line in functions:
                yield from _of_function(tree, node, functions[line], module)


def _functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    """The functions that a module defines itself, at its top and in its classes."""
    owners = [module, *(value for value in vars(module).values() if inspect.isclass(value))]
    for owner in owners:
        for value in list(vars(owner).values()):
            value = value.fget if isinstance(value, property) else value
            value = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
            if isinstance(value, types.FunctionType) and value.__code__.co_filename == module.__file__:
                yield value


def _of_function(
    tree: ast.Module, node: ast.FunctionDef, target: types.FunctionType, module: types.ModuleType
) -> Iterator[Callable[[], Mutant]]:
    text = ast.get_docstring(node, clean=False)
    # A change must not lose what the function closes over, __class__ above all: code with other cells does not fit.
    node.body[:0] = ast.parse("if False: " + "; ".join(target.__code__.co_freevars)).body if _closes(target) else []
    body = node.body[_closes(target) :]
    for inner in [part for statement in body for part in ast.walk(statement)]:
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant) and inner.value.value == text:
            continue
        for change, replace in _changes(inner):
            description = f"{change}: {ast.unparse(inner).splitlines()[0][:80]}"

            def make(
                inner: ast.AST = inner, replace: Callable[[ast.AST], None] = replace, description: str = description
            ) -> Mutant:
                before = copy.copy(inner.__dict__)
                kind = type(inner)
                replace(inner)
                try:
                    code = compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec", dont_inherit=True)
                finally:
                    inner.__class__ = kind
                    inner.__dict__.clear()
                    inner.__dict__.update(before)
                found = next(one for one in _codes(code) if one.co_firstlineno == target.__code__.co_firstlineno)
                line = getattr(inner, "lineno", node.lineno)
                return Mutant(module.__name__, target.__qualname__, line, description, found, target)

            yield make


def _closes(target: types.FunctionType) -> bool:
    return bool(target.__code__.co_freevars)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if not constant.co_name.startswith("<"):
                yield constant
            yield from _codes(constant)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    """The changes that can be made at one node, in place."""

    def become(other: type[ast.AST], **fields: Any) -> Callable[[ast.AST], None]:
        def replace(node: ast.AST) -> None:
            place = {key: value for key, value in node.__dict__.items() if "lineno" in key or "col_offset" in key}
            node.__dict__.clear()
            node.__class__ = other  # type: ignore[assignment]
            node.__dict__.update(place | fields)

        return replace

    def set_field(name: str, value: Any) -> Callable[[ast.AST], None]:
        return lambda node: setattr(node, name, value)

    if isinstance(node, DROPPED):
        yield "dropped", become(ast.Pass)
    if isinstance(node, ast.Return) and node.value is not None:
        yield "returns None", set_field("value", None)
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "negated", set_field("test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in SWAPS:
        yield "swapped", set_field("op", SWAPS[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "swapped", set_field("ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        changed = (not node.value) if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value} to {changed}", set_field("value", changed)


class Campaign:
    """A pytest plugin that runs, in place of the tests, each mutant's tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.lines: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """No test runs as itself, so there is no verdict on claims."""
        session.config.pluginmanager.unregister(name="torchclaims-reporter")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Draws the mutants, looks which tests reach them, runs those."""
        chosen: list[Mutant] | list[Chosen]
        if self.options.faults:
            chosen, reached = [Chosen(fault) for fault in load_faults(Path(self.options.faults))], {}
            print(f"\n{len(chosen)} faults", flush=True)
        else:
            names = [*MODULES, *_modules_of(PACKAGE)]
            sites = [site for name in names for site in mutants(name)]
            drawn = random.Random(self.options.seed).sample(sites, min(self.options.count, len(sites)))
            chosen = [make() for make in drawn]
            reached = _reached(session.items, {one.target.__code__ for one in chosen})
            print(f"\n{len(chosen)} of {len(sites)} mutants drawn by seed {self.options.seed}", flush=True)
        queue = multiprocessing.get_context("fork").SimpleQueue()
        waiting, running = list(enumerate(chosen)), {}
        outcomes: dict[int, str] = {}
        while waiting or running:
            while waiting and len(running) < self.options.jobs:
                number, mutant = waiting.pop(0)
                child = os.fork()
                if not child:
                    os._exit(_try(mutant, mutant.tests(session.items, reached), number, queue))
                running[child] = (number, time.monotonic())
            while not queue.empty():
                number, outcome = queue.get()
                outcomes[number] = outcome
            done, _ = os.waitpid(-1, os.WNOHANG)
            if done:
                number, _ = running.pop(done)
                while not queue.empty():
                    key, outcome = queue.get()
                    outcomes[key] = outcome
                self._say(chosen[number], outcomes.get(number, "killed by a crash of the process"))
            for child, (number, started) in list(running.items()):
                if time.monotonic() - started > SECONDS:
                    os.kill(child, signal.SIGKILL)
                    outcomes[number] = "killed by the time limit"
            time.sleep(0.02)
        kinds = [line.split(" | ")[0].split(":")[0].split(" (")[0] for line in self.lines]
        self.lines.append("; ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
        print(self.lines[-1])
        if self.options.report:
            Path(self.options.report).write_text("\n".join(self.lines) + "\n")
        return True

    def _say(self, mutant: Mutant | Chosen, outcome: str) -> None:
        self.lines.append(f"{outcome} | {mutant}")
        print(self.lines[-1], flush=True)


def _modules_of(package: str) -> list[str]:
    folder = Path(importlib.import_module(package).__file__ or "").parent
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))
    return [f"{package}.{name}" for name in names]


def _reached(items: list[pytest.Item], codes: set[types.CodeType]) -> dict[types.CodeType, list[pytest.Item]]:
    """For each code object, the tests that run it; seen by running all of them once."""
    reached: dict[types.CodeType, list[pytest.Item]] = {code: [] for code in codes}
    for item in items:
        seen = set()

        def note(frame: types.FrameType, event: str, argument: object, seen: set[types.CodeType] = seen) -> None:
            if event == "call" and frame.f_code in codes:
                seen.add(frame.f_code)

        sys.setprofile(note)
        try:
            runtestprotocol(item, log=False, nextitem=None)
        finally:
            sys.setprofile(None)
        for code in seen:
            reached[code].append(item)
    return reached


def _try(mutant: Mutant | Chosen, tests: list[pytest.Item], number: int, queue: Any) -> int:
    """Runs ``tests`` under ``mutant`` until one asserts; puts what became of it into ``queue``."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    mutant.apply()
    crashed = ""
    for test in tests:
        for report in runtestprotocol(test, log=False, nextitem=None):
            record = getattr(report, "torchclaims", None)
            if record and record["outcome"] == "failed":
                if record["asserted"]:
                    queue.put((number, f"killed by an assertion: {test.nodeid}"))
                    return 0
                crashed = crashed or test.nodeid
    if crashed:
        queue.put((number, f"killed by another exception: {crashed}"))
    else:
        queue.put((number, f"survived ({len(tests)} tests reach it)" if tests else "not reached (by any test)"))
    return 0


def main() -> int:
    """Runs a campaign; the exit code is pytest's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--faults", help="a file of faults to try instead of drawing mutants")
    parser.add_argument("--report", help="a file to write the outcomes to")
    options, rest = parser.parse_known_args()
    rest = [argument for argument in rest if argument != "--"]
    return int(pytest.main(["-q", "-p", "no:cacheprovider", *rest], plugins=[Campaign(options)]))


if __name__ == "__main__":
    sys.exit(main())
