"""One module under one name or two: parameters and optimizers count it once, entries go by name."""

import io

import pytest
import torch

from models.reuse_cnn import AROUND, ONCE, TWICE, ReuseCnn, with_alias
from torchclaims import claim
from torchclaims.targets import to_numpy
from torchclaims.tolerance import assert_within, roundings

FOURTH = ["0.weight", "0.bias", "1.weight", "1.bias"]
BUFFERS = ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
REST = [f"{name}.{kind}" for name in ("conv1.0", "conv2.0", "conv3.0", "out") for kind in ("weight", "bias")]
NETWORKS = {
    "once": lambda: ReuseCnn(ONCE, width=1, size=16),
    "twice": lambda: ReuseCnn(TWICE, width=1, size=16),
    "around": lambda: ReuseCnn(AROUND, width=1, size=16),
    "two names": lambda: with_alias(ReuseCnn(ONCE, width=1, size=16)),
}


def saved(model):
    """The bytes of the file that holds ``model``'s entries."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


@claim("reuse-optimizer-once")
@pytest.mark.parametrize("network", NETWORKS)
def test_step_moves_each_parameter_once(cell, rng, network):
    model = cell.place(NETWORKS[network]())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    fourth_and_fifth = 8 if network == "around" else 4
    assert len({id(parameter) for parameter in held}) == len(held) == len(REST) + fourth_and_fifth

    model(cell.tensor(rng.normal(size=(3, 3, 16, 16)))).backward(cell.tensor(rng.normal(size=(3, 6))))
    before = [(to_numpy(parameter), to_numpy(parameter.grad)) for parameter in held]
    optimizer.step()
    for parameter, (value, grad) in zip(held, before, strict=True):
        expected = value - 0.5 * grad
        bound = roundings(cell, 2, abs(value) + abs(grad))
        assert_within(parameter, expected, bound, what="parameter after a step", because="a product and a difference")


@claim("reuse-alias-parameters-once")
def test_first_name_counts():
    with torch.device("meta"):
        model = with_alias(ReuseCnn(TWICE, width=1))
    under_first = {f"conv4.{name}" for name in FOURTH}
    assert {name for name, _ in model.named_parameters()} == {*REST, *under_first}
    assert len(list(model.parameters())) == len(REST) + len(FOURTH)
    assert len([one for one in model.modules() if one is model.conv4]) == 1
    names = [name for name, _ in model.named_modules()]
    assert "conv4.1" in names
    assert not [name for name in names if name.startswith("alias")]
    assert [name for name, _ in model.named_children()] == ["conv1", "conv2", "conv3", "conv4", "out"]


@claim("reuse-alias-parameters-once")
def test_duplicates_on_request():
    with torch.device("meta"):
        model = with_alias(ReuseCnn(ONCE, width=1))
    modules = {name: one for name, one in model.named_modules(remove_duplicate=False)}
    assert modules["alias"] is modules["conv4"]
    assert modules["alias.1"] is modules["conv4.1"]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in FOURTH:
        assert parameters[f"alias.{name}"] is parameters[f"conv4.{name}"]


@claim("reuse-alias-two-entries")
def test_entries_share_their_storage(cell):
    model = cell.place(with_alias(ReuseCnn(ONCE, width=1)))
    entries = model.state_dict()
    assert list(entries)[-7:] == [f"alias.{name}" for name in (*FOURTH, *BUFFERS)]
    assert len(entries) == len(REST) + 2 * (len(FOURTH) + len(BUFFERS))
    for name in (*FOURTH, *BUFFERS):
        assert entries[f"alias.{name}"].data_ptr() == entries[f"conv4.{name}"].data_ptr()
        assert entries[f"alias.{name}"].data_ptr() == model.conv4.state_dict()[name].data_ptr()


@claim("reuse-alias-two-entries")
def test_saved_once(cell):
    plain = cell.place(ReuseCnn(ONCE, width=4, size=16))
    size = len(saved(plain))
    file = saved(with_alias(plain))
    of_fourth = sum(one.numel() * one.element_size() for one in plain.conv4.parameters())
    assert len(file) - size < of_fourth / 2, "names take room, values must not"
    loaded = torch.load(io.BytesIO(file), weights_only=True)
    for name in (*FOURTH, *BUFFERS):
        assert loaded[f"alias.{name}"].data_ptr() == loaded[f"conv4.{name}"].data_ptr()
