"""Docstring of torch.nn.ModuleList: indexed like a Python list; insert: before an index. Not before a negative one."""

from torch import nn

held = nn.ModuleList([nn.ReLU(), nn.Tanh()])
try:
    held.insert(-1, nn.GELU())
except KeyError as error:
    print("documented: ReLU, GELU, Tanh; seen: KeyError", error, "and", held)
    raise SystemExit(1) from None
print("documented and seen:", held)
