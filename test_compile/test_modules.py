"""What a compiled module shares with the original, and Module.compile."""

import pytest
import torch
from torch import nn

from test_compile.counting import Scale, backend
from torchclaims import claim

__all__ = ["backend"]  # a fixture

X = torch.ones(1, 2)


@claim("compile-module-keys")
def test_keys(backend):
    compiled = torch.compile(Scale(), backend=backend)
    assert list(compiled.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    assert [name for name, _ in compiled.named_children()] == ["_orig_mod"]


@claim("compile-module-shares")
def test_shared(backend):
    module = Scale()
    compiled = torch.compile(module, backend=backend)
    assert compiled._orig_mod is module
    assert [*map(id, compiled.parameters())] == [*map(id, module.parameters())]
    compiled.eval()
    assert not module.training
    compiled(X)
    with torch.no_grad():
        module.layer.weight.fill_(1.0)
        module.layer.bias.fill_(0.5)
    assert compiled(X).tolist() == [[5.0, 5.0]]
    compiled(X).sum().backward()
    assert module.layer.weight.grad.tolist() == [[2.0, 2.0]] * 2


@claim("compile-in-place-keeps-structure")
def test_compiled_in_place(backend):
    module = Scale()
    before = str(module), list(module.state_dict()), [*map(id, module.parameters())]
    assert module.compile(backend=backend) is None
    assert type(module) is Scale
    assert (str(module), list(module.state_dict()), [*map(id, module.parameters())]) == before


@claim("compile-in-place")
def test_forward_is_compiled_in_place(backend):
    module = Scale()
    module.compile(backend=backend, dynamic=False)
    expected = module.forward(X)
    for size, count in ((1, 1), (1, 1), (3, 2), (5, 3)):
        assert torch.equal(module(X.expand(size, 2)), expected.expand(size, 2))
        assert backend.count == count


@claim("compile-in-place-own-layers")
@pytest.mark.parametrize("make", [nn.ReLU, lambda: nn.Linear(2, 2), lambda: nn.Sequential(nn.Linear(2, 2))])
def test_own_layers_are_compiled_in_place(backend, make):
    module = make()
    module.compile(backend=backend)
    module(X)
    assert backend.count == 1, f"the backend was called {backend.count} times"


@claim("compile-early-hooks")
def test_early_hooks(backend):
    log = []
    module = Scale()
    module.layer.register_forward_hook(lambda *_: log.append("layer"))
    module.register_forward_pre_hook(lambda *_: log.append("before"))
    module.register_forward_hook(lambda module, inputs, output: output + 1)
    compiled = torch.compile(module, backend=backend)
    for _ in range(2):
        log.clear()
        assert torch.equal(compiled(X), module.layer(X) * 2 + 1)
        assert log[:2] == ["before", "layer"]
