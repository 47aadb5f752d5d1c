"""Inference tensors: where they come from, and what refuses them."""

import pytest
import torch

from torchclaims import claim
from torchclaims.tolerance import assert_same


def inference(cell, values=(1.0, 2.0)):
    with torch.inference_mode():
        return cell.tensor(values)


@claim("inference-tensors")
def test_what_is_an_inference_tensor(cell):
    outside = cell.tensor([1.0, 2.0], requires_grad=True)
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        made = {"computed": outside * outside, "factory": torch.zeros(2), "copied": outside.clone()}
        view = outside[:1]
        changed = made["factory"].add_(1)
    assert not torch.is_inference_mode_enabled()
    for name, tensor in made.items():
        assert tensor.is_inference(), name
        assert not tensor.requires_grad
        with pytest.raises(RuntimeError, match="Inference tensors do not track version counter"):
            assert tensor._version == 0
        assert not tensor.clone().is_inference()
        assert isinstance(tensor.clone()._version, int)
        assert not (tensor * 2).is_inference(), "made outside the mode"
        assert tensor.view(2).is_inference(), "a view of an inference tensor is one"
    assert changed.tolist() == [1, 1]
    assert not view.is_inference(), "a view of a normal tensor is a normal one"
    assert not outside.is_inference()


SAVING = {
    "x * t": lambda x, t: x * t,
    "x / t": lambda x, t: x / t,
    "dot": torch.dot,
    "t ** x": lambda x, t: t**x,
}
NOT_SAVING = {
    "x + t": lambda x, t: x + t,
    "t - x": lambda x, t: t - x,
    "cat": lambda x, t: torch.cat([x, t]),
    "stack": lambda x, t: torch.stack([t, x]),
}


@claim("inference-saved")
@pytest.mark.parametrize("name", SAVING)
def test_saved_for_backward(cell, name):
    x, t = cell.tensor([3.0, 5.0], requires_grad=True), inference(cell)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        SAVING[name](x, t)
    with torch.no_grad():
        expected = SAVING[name](x, t)
    y = SAVING[name](x, t.clone())
    assert y.requires_grad
    assert_same(y.detach(), expected, what=f"{name} of a clone")
    y.sum().backward()
    assert x.grad is not None


@claim("inference-any-use")
@pytest.mark.parametrize("name", NOT_SAVING)
def test_used_without_being_saved(cell, name):
    x, t = cell.tensor([3.0, 5.0], requires_grad=True), inference(cell)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be"):
        NOT_SAVING[name](x, t)


WRITES = {
    "add_": lambda t: t.add_(1),
    "setitem": lambda t: t.__setitem__(0, 7.0),
    "view": lambda t: t[:1].zero_(),
    "out=": lambda t: torch.add(torch.ones(2, device=t.device), 1, out=t),
}


@claim("inference-in-place")
@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("grad_mode", [True, False])
def test_written_outside(cell, name, grad_mode):
    t = inference(cell)
    with (
        torch.set_grad_enabled(grad_mode),
        pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"),
    ):
        WRITES[name](t)
    fresh = inference(cell)
    with torch.inference_mode():
        WRITES[name](fresh)
    assert fresh.tolist() != [1, 2]


@claim("inference-in-place")
def test_requires_grad_outside(cell):
    t = inference(cell)
    with pytest.raises(RuntimeError, match="requires_grad=True on inference tensor outside InferenceMode"):
        t.requires_grad_()
    assert not t.requires_grad
    assert t.clone().requires_grad_().requires_grad
    normal = cell.tensor([5.0, 5.0])
    assert normal.add_(t).tolist() == [6, 7]
    assert normal.copy_(t).tolist() == [1, 2]
