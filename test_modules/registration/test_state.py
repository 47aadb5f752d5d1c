"""What rests on registration: conversion, mode, state_dict and load_state_dict."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from models.perceptron import Perceptron
from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("module-submodule-converted")
def test_conversion_reaches_every_level(cell):
    net = cell.place(nn.Sequential(nn.Sequential(Perceptron(2, 3, 1)), nn.BatchNorm1d(1)))
    net.append(cell.place(nn.Module()))
    net[2].register_buffer("only", cell.tensor([1.0]))
    before = list(net.parameters())
    assert net.to(torch.float16) is net
    kinds = {name: tensor.dtype for name, tensor in net.state_dict().items()}
    assert kinds.pop("1.num_batches_tracked") is torch.int64
    assert set(kinds.values()) == {torch.float16}
    assert len(kinds) == 4 + 4 + 1
    assert [id(one) for one in net.parameters()] == [id(one) for one in before]


@claim("cast-plain-attr")
def test_plain_tensors_are_not_converted(cell):
    module = cell.place(nn.Linear(1, 1))
    module.plain = plain = cell.tensor([1.0])
    module.listed = [nn.Parameter(cell.tensor([1.0]))]
    module.to(torch.float16)
    assert module.weight.dtype is torch.float16
    assert module.plain is plain
    assert (plain.dtype, module.listed[0].dtype) == (torch.float32, torch.float32)


SWITCHES = {
    "train()": (lambda module: module.train(), True),
    "train(False)": (lambda module: module.train(False), False),
    "train(mode=True)": (lambda module: module.train(mode=True), True),
    "eval()": (lambda module: module.eval(), False),
}


@claim("mode-eval-train")
@pytest.mark.parametrize("switch", SWITCHES)
def test_mode_is_recursive(switch):
    set_mode, expected = SWITCHES[switch]
    net = nn.Sequential(nn.Sequential(nn.Dropout(), Perceptron(1, 1, 1)), nn.BatchNorm1d(1))
    for module in net.modules():
        module.training = not expected
    assert set_mode(net) is net
    assert [module.training for module in net.modules()] == [expected] * 7
    net[0].train(not expected)
    set_mode(net)
    assert {module.training for module in net.modules()} == {expected}


@claim("mode-eval-train")
def test_mode_of_a_part():
    net = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Dropout())
    net[0].eval()
    assert [module.training for module in net.modules()] == [True, False, False, True]


@claim("state-detached-alias")
def test_state_aliases_the_live_tensors(cell):
    net = cell.place(nn.Sequential(Perceptron(2, 3, 1), nn.BatchNorm1d(1)))
    live = dict(net.named_parameters()) | dict(net.named_buffers())
    state = net.state_dict()
    assert state.keys() == live.keys()
    for name, tensor in state.items():
        assert (tensor.requires_grad, tensor.grad_fn) == (False, None)
        assert (tensor.data_ptr(), tensor.stride()) == (live[name].data_ptr(), live[name].stride())
    state["0.layer1.w"].fill_(3)
    assert net[0].layer1.w.unique().tolist() == [3]
    assert all(tensor is live[name] for name, tensor in net.state_dict(keep_vars=True).items())


@claim("load-strict-keys")
@pytest.mark.parametrize(
    ("renamed", "missing", "unexpected"),
    [({"layer1.b": None}, ["layer1.b"], []), ({"layer1.b": "layer1.c"}, ["layer1.b"], ["layer1.c"]),
     ({"layer1.b": "b"}, ["layer1.b"], ["b"])],
    ids=["missing", "renamed", "moved up"],
)  # fmt: skip
def test_strict_keys(renamed, missing, unexpected, cell):
    source, target = cell.place(Perceptron(2, 3, 1)), cell.place(Perceptron(2, 3, 1))
    bias = target.layer1.b.detach().clone()
    state = {renamed.get(key, key): value for key, value in source.state_dict().items()}
    state.pop(None, None)
    with pytest.raises(RuntimeError) as error:
        target.load_state_dict(state)
    for word, keys in (("Missing", missing), ("Unexpected", unexpected)):
        assert (f"{word} key(s) in state_dict: " in str(error.value)) is bool(keys)
        assert all(f'"{key}"' in str(error.value) for key in keys)
    # What fits was copied before the error.
    target.layer2.w.data.zero_()
    result = target.load_state_dict(state, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (missing, unexpected)
    assert_same(target.layer2.w, source.layer2.w, what="layer2.w, which fits")
    assert_same(target.layer1.b.detach(), bias, what="layer1.b, which is missing")


@claim("load-strict-keys")
@pytest.mark.parametrize("key", ["0.0.running_mean", "0.0.num_batches_tracked", "0.0.weight"])
def test_buffers_are_keys_too(key, cell):
    net = cell.place(nn.Sequential(nn.Sequential(nn.BatchNorm1d(2))))
    state = net.state_dict()
    del state[key]
    with pytest.raises(RuntimeError, match=f'Missing key.*"{key}"'):
        net.load_state_dict(state)
    assert net.load_state_dict(state, strict=False).missing_keys == [key]


@claim("load-strict-keys", "load-copies")
def test_all_keys_match(cell):
    source, target = cell.place(Perceptron(2, 3, 1)), cell.place(Perceptron(2, 3, 1))
    before = list(target.parameters())
    result = target.load_state_dict(source.state_dict())
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert [id(one) for one in target.parameters()] == [id(one) for one in before]
    for name, parameter in source.named_parameters():
        loaded = target.get_parameter(name)
        assert_same(loaded, parameter, what=name)
        assert loaded.data_ptr() != parameter.data_ptr()


@claim("load-copies")
def test_dtype_is_the_modules_own(cell):
    target = cell.place(Perceptron(2, 3, 1))
    state = {name: value.to(torch.float16) for name, value in target.state_dict().items()}
    target.load_state_dict(state)
    assert {parameter.dtype for parameter in target.parameters()} == {cell.dtype}
    assert_same(target.layer1.w.detach(), state["layer1.w"].to(cell.dtype), what="layer1.w")
    assert all(parameter.requires_grad for parameter in target.parameters())


@claim("load-size-mismatch")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("size", [(1, 3), (3, 2), (6,), (1, 2, 3), (2, 1, 3), (2, 3, 1)], ids=str)
def test_size_mismatch(size, strict, cell):
    target = cell.place(Perceptron(2, 3, 1))
    before = target.layer1.w.detach().clone()
    state = target.state_dict() | {"layer1.w": cell.tensor(np.ones(size))}
    with pytest.raises(RuntimeError, match=rf"size mismatch for layer1.w: .*{re.escape(str([*size]))}.*\[2, 3\]"):
        target.load_state_dict(state, strict=strict)
    assert_same(target.layer1.w.detach(), before, what="the parameter")
