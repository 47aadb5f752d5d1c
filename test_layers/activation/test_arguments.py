"""What activation layers print, which arguments they refuse, and what they keep."""

import pytest
import torch
from torch import nn

from torchclaims import claim

PRINTED = {
    "Threshold(threshold=1, value=2.0)": lambda: nn.Threshold(1, 2.0),
    "Threshold(threshold=1, value=2, inplace=True)": lambda: nn.Threshold(1, 2, True),
    "ReLU()": nn.ReLU,
    "ReLU(inplace=True)": lambda: nn.ReLU(True),
    "RReLU(lower=0.1, upper=0.2)": lambda: nn.RReLU(0.1, 0.2),
    "RReLU(lower=0.125, upper=0.3333333333333333, inplace=True)": lambda: nn.RReLU(inplace=True),
    "Hardtanh(min_val=-1.0, max_val=1.0)": nn.Hardtanh,
    "Hardtanh(min_val=-2, max_val=3, inplace=True)": lambda: nn.Hardtanh(-2, 3, True),
    "ReLU6()": nn.ReLU6,
    "ReLU6(inplace=True)": lambda: nn.ReLU6(True),
    "SiLU()": nn.SiLU,
    "SiLU(inplace=True)": lambda: nn.SiLU(True),
    "Mish()": nn.Mish,
    "Mish(inplace=True)": lambda: nn.Mish(True),
    "ELU(alpha=1.0)": nn.ELU,
    "ELU(alpha=2, inplace=True)": lambda: nn.ELU(2, True),
    "CELU(alpha=1.0)": nn.CELU,
    "CELU(alpha=2, inplace=True)": lambda: nn.CELU(2, True),
    "SELU()": nn.SELU,
    "SELU(inplace=True)": lambda: nn.SELU(True),
    "GLU(dim=-1)": nn.GLU,
    "GLU(dim=1)": lambda: nn.GLU(1),
    "GELU(approximate='none')": nn.GELU,
    "GELU(approximate='tanh')": lambda: nn.GELU("tanh"),
    "Hardshrink(0.5)": nn.Hardshrink,
    "Softshrink(0.25)": lambda: nn.Softshrink(0.25),
    "LeakyReLU(negative_slope=0.01)": nn.LeakyReLU,
    "LeakyReLU(negative_slope=0.3, inplace=True)": lambda: nn.LeakyReLU(0.3, True),
    "Softplus(beta=2, threshold=3)": lambda: nn.Softplus(2, 3),
    "PReLU(num_parameters=3)": lambda: nn.PReLU(3),
    "Softmin(dim=1)": lambda: nn.Softmin(1),
    "Softmax(dim=None)": nn.Softmax,
    "Softmax(dim=0)": lambda: nn.Softmax(0),
    "LogSoftmax(dim=-1)": lambda: nn.LogSoftmax(-1),
    "Softmax2d()": nn.Softmax2d,
    "Sigmoid()": nn.Sigmoid,
}


@claim("act-printed")
@pytest.mark.parametrize(("text", "make"), PRINTED.items(), ids=PRINTED)
def test_printed(text, make):
    layer = make()
    assert repr(layer) == text
    # What is printed is a call that makes the layer again.
    again = eval(text, dict(vars(nn)))
    public = [{k: v for k, v in vars(one).items() if not k.startswith("_")} for one in (layer, again)]
    assert public[0] == public[1]


def tensor(cell, *shape):
    return torch.ones(shape, device=cell.device.name, dtype=cell.dtype)


REFUSED = {
    "GELU by another name": (lambda c: nn.GELU("erf")(tensor(c, 2)), RuntimeError, "must be either none or tanh"),
    "GLU of an odd size": (lambda c: nn.GLU()(tensor(c, 2, 3)), RuntimeError, "[Hh]alving dimension must be even"),
    "GLU of a number": (lambda c: nn.GLU(0)(tensor(c)), RuntimeError, "scalars"),
    "RReLU with swapped bounds": (lambda c: nn.RReLU(0.5, 0.25)(-tensor(c, 2)), RuntimeError, "[Ll]ower bound"),
    "Softshrink below 0": (lambda c: nn.Softshrink(-0.5)(tensor(c, 2)), RuntimeError, "lambda must be"),
    "CELU with alpha 0": (lambda c: nn.CELU(0.0)(tensor(c, 2)), RuntimeError, "alpha cannot be 0"),
    "Hardtanh upside down": (lambda c: nn.Hardtanh(1.0, -1.0), AssertionError, None),
    "Hardtanh of no range": (lambda c: nn.Hardtanh(1.0, 1.0), AssertionError, None),
    "softmax along a dimension too many": (lambda c: nn.Softmax(2)(tensor(c, 2, 2)), IndexError, "out of range"),
}


@claim("act-refused")
@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cell, call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(cell)
    assert caught.type is not AssertionError or "torch" in str(caught.traceback[-1].path)


@claim("hardtanh-old-names")
@pytest.mark.parametrize(("old", "new"), [("min_value", "min_val"), ("max_value", "max_val")])
def test_old_names(old, new):
    with pytest.warns((UserWarning, FutureWarning), match=rf"{old}.? is deprecated and renamed? to .?{new}") as caught:
        layer = nn.Hardtanh(**{old: 0.5 if old == "min_value" else -0.5})
    assert len(caught) == 1
    wanted = {"min_val": -1.0, "max_val": 1.0} | {new: 0.5 if old == "min_value" else -0.5}
    assert {name: getattr(layer, name) for name in wanted} == wanted


STATELESS = [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.ELU, nn.Softmax2d, nn.RReLU, nn.Hardswish, nn.SiLU, nn.GLU]


@claim("act-in-both-modes")
@pytest.mark.parametrize("kind", STATELESS)
def test_in_both_modes(cell, rng, kind):
    x = cell.tensor(rng.normal(size=(2, 4, 2, 2)))
    layer = kind()
    assert list(layer.state_dict()) == []
    if kind is nn.RReLU:
        return
    chain = nn.Sequential(nn.Identity(), layer, nn.Flatten())
    outs = [cell.run(chain.train(mode))(x) for mode in (True, False)]
    assert torch.equal(outs[0], outs[1]), "evaluation changes the output"
    assert not torch.equal(outs[1], x.flatten(1)), "in evaluation the layer is skipped"
