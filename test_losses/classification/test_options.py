"""What the losses of classes have in common: the reductions' names, and weights as buffers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import claim
from torchclaims.covering import covering
from torchclaims.tolerance import assert_same


def one_column(number):
    return torch.full((2, 2), float(number))


REDUCED = {
    "l1_loss": lambda r: F.l1_loss(one_column(1), one_column(0), reduction=r),
    "nll_loss": lambda r: F.nll_loss(one_column(1), torch.tensor([0, 1]), reduction=r),
    "cross_entropy": lambda r: F.cross_entropy(one_column(1), torch.tensor([0, 1]), reduction=r),
    "poisson_nll_loss": lambda r: F.poisson_nll_loss(one_column(1), one_column(0), reduction=r),
    "gaussian_nll_loss": lambda r: F.gaussian_nll_loss(one_column(1), one_column(0), one_column(1), reduction=r),
    "kl_div": lambda r: F.kl_div(one_column(1), one_column(0), reduction=r),
    "multilabel_soft_margin_loss": lambda r: F.multilabel_soft_margin_loss(one_column(1), one_column(0), reduction=r),
    "binary_cross_entropy": lambda r: F.binary_cross_entropy(one_column(1), one_column(0), reduction=r),
    "huber_loss": lambda r: F.huber_loss(one_column(1), one_column(0), reduction=r),
}


@claim("loss-invalid-reduction")
@covering(name=REDUCED.keys(), reduction=["average", "Mean", ""])
def test_unknown_reduction(name, reduction):
    with pytest.raises(ValueError, match=r"is not (a )?valid"):
        REDUCED[name](reduction)


@claim("loss-weight-is-a-buffer")
@pytest.mark.parametrize(
    "name",
    ["NLLLoss", "CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss"],
)
def test_weights_are_buffers(name):
    weights = {"weight": torch.tensor([1.0, 2.0])}
    if name == "BCEWithLogitsLoss":
        weights["pos_weight"] = torch.tensor([3.0, 4.0])
    loss = getattr(nn, name)(**weights)
    assert list(loss.state_dict()) == list(weights)
    assert list(loss.parameters()) == []
    loss.double()
    for key, value in weights.items():
        assert_same(getattr(loss, key), value.double(), what=key)
    assert list(getattr(nn, name)().state_dict()) == []
