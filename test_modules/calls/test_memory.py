"""Which outputs outlive their names, seen by weak references, and who lets them go."""

import gc
import weakref

import pytest
import torch

from models.perceptron import Perceptron
from torchclaims import claim
from torchclaims.tolerance import assert_same


@pytest.fixture(autouse=True)
def _no_collection():
    """Reference counts alone decide: the collector of cycles is off."""
    was_enabled = gc.isenabled()
    gc.disable()
    yield
    if was_enabled:
        gc.enable()


class Rebound(Perceptron):
    """The perceptron, watched; every output is called x."""

    def forward(self, x):
        self.watched = {}
        x = self.layer1(x)
        self.watched["sum"] = weakref.ref(x)
        x = torch.sigmoid(x)
        self.watched["hidden"] = weakref.ref(x)
        self.within = self.alive()
        return self.layer2(x)

    def alive(self):
        return [name for name, reference in self.watched.items() if reference() is not None]


class Named(Rebound):
    """The same with a name for every output."""

    def forward(self, x):
        self.watched = {}
        total = self.layer1(x)
        self.watched["sum"] = weakref.ref(total)
        hidden = torch.sigmoid(total)
        self.watched["hidden"] = weakref.ref(hidden)
        self.within = self.alive()
        return self.layer2(hidden)


def called(cell, kind=Rebound):
    net = cell.place(kind(3, 4, 1))
    return net, net(cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


@claim("memory-rebind")
@pytest.mark.parametrize(
    ("kind", "within"), [(Rebound, ["hidden"]), (Named, ["sum", "hidden"])], ids=["rebound", "named"]
)
def test_names_matter_within_forward_only(kind, within, cell):
    net, output = called(cell, kind)
    assert net.within == within
    assert net.alive() == ["hidden"]
    assert output.requires_grad


@claim("memory-rebind")
@pytest.mark.parametrize("kind", [Rebound, Named])
def test_training_keeps_the_same_bytes_either_way(kind, cell):
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _, output = called(cell, kind)
    of_the_input, of_hidden, of_a_weight = 2 * 3, 2 * 4, 4 * 1
    assert sum(kept.values()) == (of_the_input + of_hidden + of_a_weight) * output.element_size()


NEEDS_ITS_INPUT = {
    "x * x": lambda x: x * x,
    "x ** 3": lambda x: x**3,
    "log": torch.log,
    "sin": torch.sin,
    "abs": torch.abs,
    "silu": torch.nn.functional.silu,
}
NEEDS_NO_INPUT = {
    "sigmoid": lambda x: torch.sigmoid(x),
    "exp": lambda x: torch.exp(x),
    "tanh": lambda x: torch.tanh(x),
    "relu": lambda x: torch.relu(x),
    "x + 1": lambda x: x + 1,
    "x * 2": lambda x: x * 2,
    "-x": lambda x: -x,
    "sum": lambda x: x.sum(),
}


def input_survives(operation, cell):
    x = cell.tensor([0.5, 1.5], requires_grad=True) * 2
    reference = weakref.ref(x)
    x = operation(x)
    return reference() is not None


@claim("memory-rebind")
@pytest.mark.parametrize("operation", NEEDS_NO_INPUT)
def test_inputs_that_are_freed(operation, cell):
    assert not input_survives(NEEDS_NO_INPUT[operation], cell)


@claim("memory-saved-stays", "memory-rebind")
@pytest.mark.parametrize("operation", NEEDS_ITS_INPUT)
def test_inputs_that_stay(operation, cell):
    assert input_survives(NEEDS_ITS_INPUT[operation], cell)


@claim("memory-saved-stays")
def test_sigmoids_output_stays_for_the_next_layer(cell):
    net, output = called(cell)
    assert net.alive() == ["hidden"]
    hidden = net.watched["hidden"]()
    assert hidden.data_ptr() == output.grad_fn.next_functions[0][0]._saved_self.data_ptr()


@claim("memory-saved-stays")
@pytest.mark.parametrize("operation", ["sigmoid", "exp", "tanh", "relu"])
def test_an_output_stays_as_storage(operation, cell):
    y = getattr(torch, operation)(cell.tensor([0.5, -1.5], requires_grad=True) * 2)
    values, pointer = y.detach().clone(), y.data_ptr()
    y = y.sum()
    saved = y.grad_fn.next_functions[0][0]._saved_result
    assert saved.data_ptr() == pointer
    assert_same(saved.detach(), values, what="what is saved")


@claim("memory-graph-owns")
def test_backward_lets_go(cell):
    net, output = called(cell)
    assert net.alive() == ["hidden"]
    output.sum().backward()
    assert net.alive() == []


@claim("memory-graph-owns")
def test_the_last_output_lets_go(cell):
    net, output = called(cell)
    loss = output.sum()
    del output
    assert net.alive() == ["hidden"]
    del loss
    assert net.alive() == []


@claim("memory-graph-owns")
def test_retain_graph_keeps(cell):
    net, output = called(cell)
    output = output.sum()
    output.backward(retain_graph=True)
    assert net.alive() == ["hidden"]
    output.backward()
    assert net.alive() == []


@claim("memory-nograd")
@pytest.mark.parametrize("kind", [Rebound, Named])
def test_no_grad_keeps_nothing(kind, cell):
    with torch.no_grad():
        net, output = called(cell, kind)
    assert net.alive() == []
    assert not output.requires_grad


@claim("memory-nograd")
@pytest.mark.parametrize("operation", NEEDS_ITS_INPUT)
def test_no_operation_keeps_its_input(operation, cell):
    with torch.no_grad():
        assert not input_survives(NEEDS_ITS_INPUT[operation], cell)
