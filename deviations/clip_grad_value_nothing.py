"""Docstring of torch.nn.utils.clip_grad_value_: it clips gradients, here where no parameter has one."""

from torch import nn

print("documented: clips the gradients of an iterable of parameters; here there are none")
try:
    nn.utils.clip_grad_value_(nn.Linear(1, 1).parameters(), 1.0)
    print("seen:       nothing happened")
except RuntimeError as error:
    print("seen:       RuntimeError:", error)
    raise SystemExit(1) from None
