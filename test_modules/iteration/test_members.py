"""named_buffers, buffers, and the prefix of both kinds of members."""

import pytest
import torch
from torch import nn

from torchclaims import claim


def names(pairs):
    return [name for name, _ in pairs]


def shared_statistics():
    """Two normalisations under three names; the second's running_mean is the first's."""
    net = nn.Module()
    net.first = nn.BatchNorm1d(2)
    net.second = nn.BatchNorm1d(2)
    net.again = net.first
    net.second.running_mean = net.first.running_mean
    net.register_buffer("own", torch.zeros(1), persistent=False)
    return net


BUFFERS = ["running_mean", "running_var", "num_batches_tracked"]


@claim("named-buffers-dedup")
def test_buffers_with_two_names():
    net = shared_statistics()
    first, second, again = ([f"{child}.{name}" for name in BUFFERS] for child in ("first", "second", "again"))
    assert names(net.named_buffers()) == ["own", *first, *second[1:]]
    assert names(net.named_buffers(remove_duplicate=True)) == ["own", *first, *second[1:]]
    assert names(net.named_buffers(remove_duplicate=False)) == ["own", *first, *second, *again]
    found = dict(net.named_buffers(remove_duplicate=False))
    assert found["second.running_mean"] is found["again.running_mean"] is net.first.running_mean


@claim("named-buffers-dedup")
def test_equal_buffers_are_not_one():
    module = nn.Module()
    for name in "ab":
        module.register_buffer(name, torch.zeros(1))
    assert len(list(module.buffers())) == 2


@claim("buffers-recurse")
def test_buffers():
    net = shared_statistics()
    assert [id(one) for one in net.buffers()] == [id(one) for _, one in net.named_buffers()]
    assert len(list(net.buffers())) == 1 + 3 + 2
    for own in (net.buffers(recurse=False), net.buffers(False)):
        assert [id(one) for one in own] == [id(net.own)]
    assert names(net.named_buffers(recurse=False)) == ["own"]
    assert list(nn.Sequential(nn.BatchNorm1d(1)).buffers(recurse=False)) == []
    assert list(nn.Linear(1, 1).buffers()) == []


@claim("named-prefix-recurse")
@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.parametrize("remove_duplicate", [True, False])
@pytest.mark.parametrize("method", ["named_parameters", "named_buffers"])
def test_prefix(method, remove_duplicate, recurse):
    net = shared_statistics()
    net.weight = nn.Parameter(torch.zeros(1))
    options = dict(recurse=recurse, remove_duplicate=remove_duplicate)
    plain = list(getattr(net, method)(**options))
    assert len(plain) == {("named_parameters", True, True): 5, ("named_parameters", False, True): 7,
                          ("named_buffers", True, True): 6, ("named_buffers", False, True): 10,
                          }.get((method, remove_duplicate, recurse), 1)  # fmt: skip
    for prefix in ("net", "outer.net"):
        prefixed = list(getattr(net, method)(prefix=prefix, **options))
        assert names(prefixed) == [f"{prefix}.{name}" for name in names(plain)]
        assert [id(one) for _, one in prefixed] == [id(one) for _, one in plain]
        assert names(getattr(net, method)(prefix, **options)) == names(prefixed)
