import torch

try:
    seen = torch.nn.init.calculate_gain("identity")
except ValueError as error:
    seen = repr(error)
print("documented: Linear / Identity 1")
print("seen:", seen)
raise SystemExit(seen != 1)
