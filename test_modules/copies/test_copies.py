"""What copies of modules have of their own, and what they share."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


def network(cell):
    """A network with frozen parameters, a mode, buffers, a layout and an attribute of its own."""
    net = cell.place(nn.Sequential(nn.Conv2d(2, 3, 2), nn.Sequential(nn.BatchNorm2d(3), nn.PReLU())))
    net[0].weight.requires_grad_(False)
    net[0].weight.data = net[0].weight.data.to(memory_format=torch.channels_last)
    net[1].eval()
    net.register_buffer("hidden", cell.tensor([1.0]), persistent=False)
    net.note = {"epoch": [3]}
    return net


def tensors(net):
    return dict(net.named_parameters()) | dict(net.named_buffers())


def assert_copied(twin, net):
    assert [type(one) for one in twin.modules()] == [type(one) for one in net.modules()]
    assert [one.training for one in twin.modules()] == [one.training for one in net.modules()]
    assert list(tensors(twin)) == list(tensors(net))
    assert list(twin.state_dict()) == list(net.state_dict())
    for name, one in tensors(net).items():
        other = tensors(twin)[name]
        assert type(other) is type(one)
        assert (other.requires_grad, other.stride(), other.is_leaf) == (one.requires_grad, one.stride(), True)
        assert_same(other.detach(), one.detach(), what=name)


@claim("copy-deepcopy")
def test_a_deep_copy_stands_alone(cell):
    net = network(cell)
    twin = copy.deepcopy(net)
    assert_copied(twin, net)
    before = {name: one.tolist() for name, one in tensors(net).items()}
    for one in tensors(twin).values():
        one.data.add_(1)
    twin.note["epoch"].append(4)
    assert {name: one.tolist() for name, one in tensors(net).items()} == before
    assert net.note == {"epoch": [3]}
    twin[1].train()
    assert not net[1][0].training
    net.eval()[0].train()
    assert [one.training for one in copy.deepcopy(net).modules()] == [one.training for one in net.modules()]
    twin[0] = nn.Identity()
    assert isinstance(net[0], nn.Conv2d)


@claim("copy-deepcopy-sharing")
def test_ties_are_copied(cell):
    one, other = (cell.place(nn.Linear(2, 2, bias=False)) for _ in range(2))
    other.weight = one.weight
    net = nn.Sequential(one, other, one)
    twin = copy.deepcopy(net)
    assert twin[0] is twin[2]
    assert twin[0].weight is twin[1].weight
    assert twin[0].weight is not one.weight
    assert (twin[0] is one, len(list(twin.parameters()))) == (False, 1)


@claim("copy-deepcopy-sharing")
def test_views_are_copied_with_their_storage(cell):
    net, base = nn.Module(), cell.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    net.register_buffer("front", base[:3])
    net.register_buffer("back", base[2:])
    net.weight = nn.Parameter(base[1:2])
    twin = copy.deepcopy(net)
    twin.front[2] = 7
    assert (twin.back.tolist(), net.back.tolist()) == ([7, 3, 4], [2, 3, 4])
    twin.front[0] = 5
    assert net.front.tolist() == [0, 1, 2]
    assert (twin.back.storage_offset(), twin.back.stride()) == (2, (1,))


@claim("copy-deepcopy-sharing")
def test_parts_copied_alone_share_nothing(cell):
    net = cell.place(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    net[1].weight = net[0].weight
    first, second = copy.deepcopy(net[0]), copy.deepcopy(net[1])
    assert first.weight is not second.weight
    assert first.weight.data_ptr() != second.weight.data_ptr()


@claim("copy-deepcopy-grad")
def test_gradients_of_copies(cell):
    layer, leaf = cell.place(nn.Linear(1, 1)), cell.tensor([2.0], requires_grad=True)
    for one in (layer.weight, layer.bias, leaf):
        one.grad = torch.ones_like(one)
    assert [one.grad for one in copy.deepcopy(layer).parameters()] == [None, None]
    assert copy.deepcopy(layer.weight).grad is None
    twin = copy.deepcopy(leaf)
    assert twin.grad is not None, "the gradient of a leaf that is no Parameter was not copied"
    twin.grad.add_(1)
    assert (leaf.grad.tolist(), twin.grad.tolist()) == ([1], [2])
    assert layer.weight.grad.tolist() == [[1]]


@claim("copy-deepcopy-hooks")
def test_hooks_are_copied(cell):
    layer, log = cell.place(nn.Linear(1, 1)), []
    handle = layer.register_forward_hook(lambda *given: log.append((given[0], len(given))), with_kwargs=True)
    layer.register_forward_pre_hook(lambda module, args, kwargs: log.append((module, "pre")), with_kwargs=True)
    layer.register_full_backward_hook(lambda module, *_: log.append((module, "backward")))
    layer.register_full_backward_pre_hook(lambda module, *_: log.append((module, "backward pre")))
    twin = copy.deepcopy(layer)
    handle.remove()
    twin(cell.tensor([[1.0]], requires_grad=True)).backward()
    assert log == [(twin, "pre"), (twin, 4), (twin, "backward pre"), (twin, "backward")]
    log.clear()
    layer(cell.tensor([[1.0]], requires_grad=True))
    assert log == [(layer, "pre")]


@claim("copy-deepcopy-hooks")
def test_hooks_of_parameters_are_not_copied(cell):
    layer = cell.place(nn.Linear(1, 1))
    layer.weight.register_hook(lambda grad: grad * 10)
    twin = copy.deepcopy(layer)
    for one in (layer, twin):
        one(cell.tensor([[2.0]])).backward()
    assert (layer.weight.grad.tolist(), twin.weight.grad.tolist()) == ([[20]], [[2]])


@claim("copy-deepcopy-nonleaf")
@pytest.mark.parametrize("where", ["attribute", "list", "buffer"])
def test_a_history_cannot_be_copied(where, cell):
    layer = cell.place(nn.Linear(1, 1))
    held = layer.weight * 2
    if where == "buffer":
        layer.register_buffer("held", held)
    else:
        layer.held = [held] if where == "list" else held
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(layer)
    layer.held = held.detach() if where != "list" else [held.detach()]
    twin = copy.deepcopy(layer)
    assert_same(twin.held[0] if where == "list" else twin.held, held.detach(), what="what was held")


@claim("copy-pickle")
def test_pickled_modules(cell):
    net = network(cell)
    net[1][0].weight.grad = torch.ones_like(net[1][0].weight)
    twin = pickle.loads(pickle.dumps(net))
    assert_copied(twin, net)
    assert twin.note == {"epoch": [3]}
    assert {one.grad for one in twin.parameters()} == {None}
    x = cell.tensor([[[[1.0, 2.0], [3.0, 5.0]]] * 2])
    assert_same(twin(x), net(x), what="output")


@claim("copy-pickle")
def test_modules_pickled_by_older_releases_get_what_they_lack(cell):
    layer = cell.place(nn.Linear(1, 1))
    state = copy.deepcopy(layer).__dict__
    later = (
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
        "_non_persistent_buffers_set",
        "_is_full_backward_hook",
        "_backward_pre_hooks",
    )
    old = {name: value for name, value in state.items() if name not in later}
    twin = nn.Linear.__new__(nn.Linear)
    twin.__setstate__(old)
    log = []
    twin.register_forward_pre_hook(lambda *_: log.append("pre"))
    twin.register_forward_hook(lambda *_: log.append("hook"), with_kwargs=True)
    twin.register_full_backward_hook(lambda *_: log.append("backward"))
    twin.register_buffer("extra", cell.tensor([1.0]), persistent=False)
    twin.load_state_dict(layer.state_dict())
    twin(cell.tensor([[1.0]], requires_grad=True)).backward()
    assert log == ["pre", "hook", "backward"]
    assert list(twin.state_dict()) == ["weight", "bias"]


@claim("share-memory")
def test_share_memory(cell):
    net = network(cell).cpu()
    before = {name: (id(one) if name in dict(net.named_parameters()) else 0, one.tolist(), one.requires_grad)
              for name, one in tensors(net).items()}  # fmt: skip
    assert not any(one.is_shared() for one in tensors(net).values())
    assert net.share_memory() is net
    # Kept alive, so that no other memory can take their addresses.
    shared = [one.detach() for one in tensors(net).values()]
    assert all(one.is_shared() for one in tensors(net).values())
    net.share_memory()
    assert [one.data_ptr() for one in tensors(net).values()] == [one.data_ptr() for one in shared]
    after = {name: (id(one) if name in dict(net.named_parameters()) else 0, one.tolist(), one.requires_grad)
             for name, one in tensors(net).items()}  # fmt: skip
    assert after == before


@claim("share-memory-views")
def test_views_of_shared_memory(cell):
    base = cell.tensor([1.0, 2.0, 3.0]).cpu()
    view = base[1:]
    assert base.share_memory_() is base
    assert view.is_shared()
    view.fill_(7)
    assert base.tolist() == [1, 7, 7]
    assert not base.clone().is_shared()


# Each attempt runs in a process of its own, forked from one that has imported torch.
ATTEMPTS = {
    "resize_": "torch.ones(4).share_memory_().resize_(10)",
    "a parameter": "torch.nn.Linear(2, 2).share_memory().weight.data.resize_(10)",
    "out=": "torch.add(torch.ones(10), 1, out=torch.ones(4).share_memory_())",
    "the storage": "torch.ones(4).share_memory_().untyped_storage().resize_(100)",
}
CHILD = """
import os, resource, warnings, torch
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
warnings.simplefilter("ignore")
for attempt in {attempts!r}:
    process = os.fork()
    if not process:
        try:
            exec(attempt)
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    status = os.waitpid(process, 0)[1]
    ended = ["error", "no error"][os.WEXITSTATUS(status)] if os.WIFEXITED(status) else f"signal {{os.WTERMSIG(status)}}"
    print(ended)
"""


@claim("share-memory-no-resize")
@pytest.mark.skipif(sys.platform == "win32", reason="does not apply: Windows has no fork to survive a crash with")
def test_shared_memory_is_not_resized(cell):
    code = CHILD.format(attempts=list(ATTEMPTS.values()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    fates = dict(zip(ATTEMPTS, done.stdout.splitlines(), strict=True))
    assert fates == dict.fromkeys(ATTEMPTS, "error"), f"expected four errors, seen {fates}"
