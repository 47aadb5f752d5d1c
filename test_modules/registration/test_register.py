"""register_parameter, register_buffer and register_module: what they take, reject and leave."""

import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


@claim("register-param-none")
def test_parameter_none(cell):
    module = nn.Module()
    module.register_parameter("first", None)
    module.register_parameter("second", nn.Parameter(cell.tensor([2.0])))
    assert module.first is None
    assert [name for name, _ in module.named_parameters()] == ["second"]
    assert list(module.state_dict()) == ["second"]
    with pytest.raises(TypeError, match="as parameter 'first'"):
        module.first = cell.tensor([1.0])
    assert module.first is None
    module.first = nn.Parameter(cell.tensor([1.0]))
    assert list(module.state_dict()) == ["first", "second"]


@claim("register-param-nonleaf")
def test_parameter_must_be_a_leaf(cell):
    nonleaf = nn.Parameter(cell.tensor([1.0]), requires_grad=False)
    # In place, an operation gives the Parameter itself a history.
    nonleaf.mul_(cell.tensor([2.0], requires_grad=True))
    module = nn.Module()
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'w'"):
        module.register_parameter("w", nonleaf)
    assert not hasattr(module, "w")


WRONG_KIND = {
    "tensor as parameter": ("register_parameter", torch.zeros(1)),
    "module as parameter": ("register_parameter", nn.ReLU()),
    "number as buffer": ("register_buffer", 1.0),
    "list as buffer": ("register_buffer", [1.0]),
    "function as module": ("register_module", torch.relu),
    "class as module": ("register_module", nn.ReLU),
    "tensor as module": ("add_module", torch.zeros(1)),
}


@claim("register-type-errors")
@pytest.mark.parametrize("case", WRONG_KIND)
def test_wrong_kind(case):
    method, value = WRONG_KIND[case]
    module = nn.Module()
    with pytest.raises(TypeError, match=r"required|is not a Module subclass"):
        getattr(module, method)("name", value)
    assert not hasattr(module, "name")


RIGHT = {
    "register_parameter": lambda: nn.Parameter(torch.zeros(1)),
    "register_buffer": lambda: torch.zeros(1),
    "add_module": nn.ReLU,
}
WRONG_NAME = {
    "dotted": ("a.b", KeyError, r'contain "\."'),
    "empty": ("", KeyError, "be empty"),
    "number": (1, TypeError, "should be a string"),
    "attribute": ("taken", KeyError, "already exists"),
    "method": ("forward", KeyError, "already exists"),
}


@claim("register-name-rules")
@pytest.mark.parametrize("method", RIGHT)
@pytest.mark.parametrize("case", WRONG_NAME)
def test_wrong_name(case, method):
    name, error, message = WRONG_NAME[case]
    module = nn.Module()
    module.taken = 1
    with pytest.raises(error, match=message):
        getattr(module, method)(name, RIGHT[method]())
    assert (list(module.state_dict()), list(module.children()), module.taken) == ([], [], 1)


@claim("register-buffer-persistent")
def test_persistent_and_not(cell):
    module = nn.Module()
    module.register_buffer("kept", cell.tensor([1.0, 2.0]))
    module.register_buffer("lost", cell.tensor([3.0]), persistent=False)
    module.register_buffer("empty", None)
    assert list(module.parameters()) == []
    assert [name for name, _ in module.named_buffers()] == ["kept", "lost"]
    assert list(module.state_dict()) == ["kept"]
    module.to(torch.float16)
    assert (module.kept.dtype, module.lost.dtype) == (torch.float16, torch.float16)
    result = module.load_state_dict({"kept": cell.tensor([5.0, 6.0])})
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert (module.kept.tolist(), module.lost.tolist()) == ([5, 6], [3])
    del module.lost
    module.register_buffer("lost", cell.tensor([3.0]))
    assert list(module.state_dict()) == ["kept", "lost"], "what the name was before is forgotten"


@claim("register-buffer-attr-update")
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("after", ["a tensor", "None"])
def test_buffer_is_set_by_attribute(persistent, after, cell):
    module = nn.Module()
    module.register_buffer("mean", cell.tensor([0.0]), persistent=persistent)
    if after == "None":
        module.mean = None
    module.mean = mean = cell.tensor([4.0])
    assert "mean" not in vars(module)
    assert dict(module.named_buffers())["mean"] is mean
    state = module.state_dict()
    assert list(state) == (["mean"] if persistent else [])
    if persistent:
        assert_same(state["mean"], mean, what="the saved buffer")
