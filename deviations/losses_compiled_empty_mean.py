"""The mean of no loss is NaN; compiled, its gradient divides by zero while it is traced."""

import warnings

import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
x = torch.zeros(0, requires_grad=True)
deviates = False
for function in (F.l1_loss, F.mse_loss, F.smooth_l1_loss, F.huber_loss):
    torch.compiler.reset()
    try:
        seen = str(torch.compile(function, backend="aot_eager")(x, torch.zeros(0)).item())
    except Exception as error:
        seen, deviates = f"{type(error).__name__}: {error}".replace("\n", " ")[:90], True
    print(f"documented, {function.__name__}: as not compiled, {function(x, torch.zeros(0)).item()}; seen: {seen}")
raise SystemExit(int(deviates))
