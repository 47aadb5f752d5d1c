"""What a Parameter is, and what became of Variable."""

import pytest
import torch
from torch import nn

from torchclaims import claim


@claim("variable-is-tensor")
def test_variable_makes_a_tensor(cell):
    x = cell.tensor([[1.0, 2.0]])
    variable = torch.autograd.Variable(x)
    assert type(variable) is torch.Tensor
    assert variable.data_ptr() == x.data_ptr()
    assert not variable.requires_grad
    assert torch.autograd.Variable(x, requires_grad=True).requires_grad


@claim("variable-is-tensor")
def test_tensors_are_variables(cell):
    x = cell.tensor([1.0])
    assert [isinstance(one, torch.autograd.Variable) for one in (x, x * 2, nn.Parameter(x), x.tolist())] == [
        True, True, True, False,
    ]  # fmt: skip


@claim("param-default-rg")
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_requires_grad_by_default(mode, cell):
    with mode():
        parameter = nn.Parameter(cell.tensor([1.0]))
        frozen = nn.Parameter(cell.tensor([1.0]), requires_grad=False)
        plain = cell.tensor([1.0])
    assert isinstance(parameter, torch.Tensor)
    assert isinstance(parameter, nn.Parameter)
    assert (parameter.requires_grad, frozen.requires_grad, plain.requires_grad) == (True, False, False)


@claim("param-int")
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_have_no_gradient(dtype, cell):
    data = torch.ones(2, dtype=dtype, device=cell.device.name)
    with pytest.raises(RuntimeError, match="floating point and complex dtype can require gradients"):
        nn.Parameter(data)
    parameter = nn.Parameter(data, requires_grad=False)
    assert (parameter.dtype, parameter.requires_grad, data.requires_grad) == (dtype, False, False)
    assert nn.Parameter(torch.ones(1, dtype=torch.complex64, device=cell.device.name)).requires_grad


@claim("param-shares-storage")
def test_storage_and_leaf(cell):
    data = cell.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    nonleaf = cell.tensor([1.0, 2.0], requires_grad=True) * 2
    for source in (data, data.t(), data[1:], data[:, 1:], nonleaf, nn.Parameter(data)):
        parameter = nn.Parameter(source)
        assert parameter is not source
        assert (parameter.data_ptr(), parameter.stride()) == (source.data_ptr(), source.stride())
        assert (parameter.is_leaf, parameter.grad_fn) == (True, None)
    with torch.no_grad():
        nn.Parameter(data).fill_(7)
    assert data.tolist() == [[7, 7, 7]] * 2
    assert (data.requires_grad, nonleaf.is_leaf) == (False, False)


@claim("param-op-plain")
def test_results_are_plain(cell):
    module = nn.Module()
    module.w = nn.Parameter(cell.tensor([1.0, 2.0]))
    w = module.w
    results = [w * 2, w[0], w.clone(), w.detach(), w.to(torch.float16), w.data]
    for number, result in enumerate(results):
        setattr(module, f"result{number}", result)
        assert type(result) is torch.Tensor
        assert not isinstance(result, nn.Parameter)
    assert [name for name, _ in module.named_parameters()] == ["w"]
