"""What runs in the processes of the gate, run here: importing what was sent, timing, a user's own subject."""

import ast
import importlib
import inspect
import linecache
import sys
import time
import types

import pytest
import torch
from torch import nn

from benchmarks import rows
from torchclaims.gate import child, sources
from torchclaims.gate.subject import Own
from torchclaims.measure.clocks import Clock


@pytest.fixture
def sent(monkeypatch):
    """Puts sources where imports find them."""

    def put(texts):
        monkeypatch.setattr(sys, "meta_path", [child.Sent(texts), *sys.meta_path])
        for name in texts:
            monkeypatch.setitem(sys.modules, name, None)  # so that what is imported is forgotten afterwards
            del sys.modules[name]

    return put


def test_what_was_sent_is_imported_before_what_lies_on_the_path(sent):
    sent({"parcel": "", "parcel.inner": "def fail(): raise ValueError", "this": "sent = True"})
    assert importlib.import_module("this").sent
    with pytest.raises(ValueError) as error:
        importlib.import_module("parcel.inner").fail()
    assert str(error.traceback[-1].path) == "<parcel.inner>"
    assert "raise ValueError" in linecache.getline("<parcel.inner>", 1)


def test_what_is_sent_needs_torch_alone(pytestconfig):
    """And Python 3.9, by its grammar."""
    allowed = {"torch", "torchclaims", "models", "benchmarks", "__future__"} | sys.stdlib_module_names
    texts = sources.of_rows(pytestconfig.rootpath) | {"torchclaims.gate.child": inspect.getsource(child)}
    for name, text in texts.items():
        ast.parse(text, feature_version=(3, 9))
        lines = [line.split() for line in text.splitlines() if line.startswith(("import ", "from "))]
        assert {words[1].partition(".")[0] for words in lines} <= allowed, name


class Call:
    """A subject that takes ``seconds``, and counts."""

    def __init__(self, seconds, setup=None):
        self.seconds, self.setup, self.calls = seconds, setup, 0

    def call(self):
        self.calls += 1
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass


def visits(subject, seconds=0.05):
    timer = child.Timer(subject, "cpu", seconds)
    return timer, [timer.visit() for _ in range(timer.visits)]


def test_a_short_call_is_sampled_in_loops():
    timer, times = visits(Call(1e-5))
    assert len(times) == child.VISITS
    assert timer.loops > 10
    assert all(one.keys() == {"cpu", "wall"} for one in times)
    assert all(one["wall"] >= 1e-5 for one in times)


def test_a_long_call_is_made_no_oftener_than_needed():
    subject = Call(0.06)
    _, times = visits(subject)
    assert subject.calls == 2 + child.FEWEST
    assert all(one["wall"] >= 0.06 for one in times)


def test_setup_is_outside_the_clock():
    subject = Call(1e-4, setup=lambda: time.sleep(2e-3))
    timer, times = visits(subject)
    assert timer.loops == 1
    assert min(one["wall"] for one in times) < 2e-3
    assert subject.calls < 60  # though setup takes longer than what it prepares


class Event:
    """A device's event, on whose time line all takes half as long."""

    def __init__(self):
        self.at = time.perf_counter()

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return 1e3 * (end.at - self.at) / 2


def test_on_a_device_its_own_time_leads(monkeypatch):
    monkeypatch.setattr(Clock, "of", lambda device: Clock(events=Event))
    _, times = visits(Call(1e-3))
    assert all(one.keys() == {"device", "host"} for one in times)
    assert all(one["device"] < one["host"] for one in times)


def test_a_cuda_build_is_described(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    # As the child imports it: the package may hold another module after a run in this process has imported it anew.
    machine = importlib.import_module("torchclaims.measure.machine")
    monkeypatch.setattr(machine, "condition", lambda device: [device])
    described = child.describe(torch, "cuda:1")
    assert described["device"] == "cuda:1"
    assert described["device_description"] == "GPU of cuda:1"
    assert described["condition"] == ["cuda:1"]
    assert described["cpu"]


def test_a_build_without_cuda_says_so():
    said = []
    job = {"silence": 60, "threads": 0, "device": "cuda", "rows": [], "lists": False}
    one = child.Child(types.SimpleNamespace(send=said.append), job)
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    one.live()
    child.faulthandler.cancel_dump_traceback_later()
    assert said == [("unfit", "this build finds no CUDA device")]


def test_a_row_of_the_benchmarks_says_what_it_computed():
    said = []
    job = {
        "silence": 60,
        "threads": 0,
        "device": "cpu",
        "mode": "eager",
        "subject": False,
        "seconds": 0.01,
    }
    one = child.Child(types.SimpleNamespace(send=said.append), job)
    for name in ("Linear, inference, batch 1, float32", "no such row"):
        one.check(name)
    child.faulthandler.cancel_dump_traceback_later()
    kinds = {(message[0], message[1]) for message in said}
    assert ("absent", "no such row") in kinds
    result = next(message for message in said if message[0] == "result")
    assert result[2] is None
    assert 0 < result[4] < 1e-2 * result[3][0]


def test_the_allowance_is_small_beside_the_result_and_a_digest_repeats():
    subject = rows.Row.named("BatchNorm1d, backward, batch 2, float32").subject("cpu")
    assert subject.check() is None
    assert subject.digest() == subject.digest()
    assert subject.allowance() < 0.1 * subject.digest()[0]


@pytest.fixture
def own(monkeypatch):
    """A user's module of functions."""
    module = types.ModuleType("users_own")
    monkeypatch.setitem(sys.modules, "users_own", module)

    def make(function):
        module.function = function
        return Own("users_own:function", seed=1)

    return make


def test_a_function_is_itself_the_work(own):
    calls = []
    subject = own(lambda: calls.append(1) or torch.ones(3))
    subject.call()
    assert len(calls) == 2
    assert subject.digest()[0] == pytest.approx(3**0.5)
    assert 0 < subject.allowance() < 1e-3


def test_a_factory_returns_a_module_with_its_inputs(own):
    subject = own(lambda: (nn.Linear(4, 2), torch.ones(3, 4)))
    assert subject.call().shape == (3, 2)
    assert len(subject.digest()) == 7


def test_a_factory_may_return_a_function(own):
    subject = own(lambda: lambda: {"a": [torch.zeros(2)], "b": (torch.ones(1, dtype=torch.complex64),)})
    assert subject.digest() == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]


def test_the_same_seed_gives_the_same_numbers(own):
    assert own(lambda: torch.randn(3)).digest() == own(lambda: torch.randn(3)).digest()


def test_a_module_without_inputs_is_refused(own):
    with pytest.raises(ValueError, match=r"returns a module without its inputs; return \(module, input, ...\)"):
        own(lambda: nn.Linear(4, 2))


@pytest.mark.parametrize("name", ["nowhere_at_all:function", "users_own:nothing"])
def test_what_is_not_there_is_absent(own, name):
    own(lambda: None)
    with pytest.raises(child.ABSENT):
        Own(name, seed=1)
