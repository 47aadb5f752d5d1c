"""layer(x) beside layer.forward(x), and what forward may take and return."""

import pytest
import torch
from torch import nn

from models.perceptron import Linear
from torchclaims import claim
from torchclaims.tolerance import assert_same

MODES = pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])


class Logging(Linear):
    """Says when forward runs."""

    def __init__(self, log):
        super().__init__(2, 2)
        self.log = log

    def forward(self, x):
        self.log.append("forward")
        return super().forward(x)


@claim("module-call-vs-forward")
@MODES
def test_call_runs_hooks_and_forward_does_not(mode, cell):
    log = []
    layer = cell.place(Logging(log))
    layer.register_forward_pre_hook(lambda *_: log.append("pre hook"))
    layer.register_forward_hook(lambda *_: log.append("hook"))
    x = cell.tensor([[1.0, 2.0]])
    seen = []
    with mode():
        for call in (layer, layer.__call__, layer.forward):
            seen.append(call(x))
            log.append("|")
    assert " ".join(log) == "pre hook forward hook | pre hook forward hook | forward |"
    assert_same(seen[1], seen[0], what="layer.__call__(x) beside layer(x)")
    assert_same(seen[2], seen[0], what="layer.forward(x) beside layer(x)")
    assert {output.requires_grad for output in seen} == {mode is torch.enable_grad}


@claim("module-call-vs-forward")
@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
@MODES
def test_one_kind_of_hook_alone(mode, register, cell):
    log = []
    layer = cell.place(Logging(log))
    getattr(layer, register)(lambda *_: log.append("hook"))
    with mode():
        layer(cell.tensor([[1.0, 2.0]]))
    assert log == (["hook", "forward"] if "pre" in register else ["forward", "hook"])


class Echo(nn.Module):
    """Returns what it is given."""

    def forward(self, *args, **kwargs):
        return args, kwargs


@claim("module-any-io")
@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "hooked"])
def test_any_objects_in_and_out(hooked, cell):
    module = Echo()
    if hooked:
        module.register_forward_hook(lambda *_: None)
        module.register_forward_pre_hook(lambda *_: None)
    x = cell.tensor([1.0])
    given = [x, 3, "text", None, [x, 1], {"a": x}, (x, [x]), iter([1]), torch.relu, module]
    args, kwargs = module(*given, flag=None, nested=given)
    assert [id(one) for one in args] == [id(one) for one in given]
    assert list(kwargs) == ["flag", "nested"]
    assert kwargs["flag"] is None
    assert kwargs["nested"] is given
    assert module() == ((), {})
    for one in given:
        args, kwargs = module(one)
        assert (len(args), kwargs) == (1, {})
        assert args[0] is one, "a tuple or dict that comes alone is one argument too"


@claim("module-any-io")
@pytest.mark.parametrize("result", [None, 1, "text", [1], {"loss": 2}], ids=repr)
def test_any_result(result):
    class Returns(nn.Module):
        def forward(self):
            return result

    assert Returns()() is result


@claim("module-forward-missing")
@pytest.mark.parametrize("arguments", [(), (1,), (1, 2)], ids=["none", "one", "two"])
def test_forward_is_required(arguments):
    class Foward(nn.Module):
        def foward(self, *args):
            return args

    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        Foward()(*arguments)
