"""Documented: append adds a module to the end, extend adds layers. Seen: both replace a child named by a number."""

from collections import OrderedDict

from torch import nn

appended = nn.Sequential(OrderedDict([("1", nn.Tanh())])).append(nn.ELU())
extended = nn.Sequential(OrderedDict([("1", nn.Tanh())])).extend([nn.ELU(), nn.ReLU()])
print("documented: 2 and 3 children; seen:", len(appended), "and", len(extended))
raise SystemExit((len(appended), len(extended)) != (2, 3))
