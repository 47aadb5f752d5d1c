"""Documented: insert puts a module at an index. Seen: not where the children have names of their own."""

from collections import OrderedDict

from torch import nn

container = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
try:
    container.insert(1, nn.GELU())
except KeyError as error:
    print("documented: ReLU, GELU, Tanh; seen: KeyError", error)
    raise SystemExit(1) from None
print("documented and seen:", container)
