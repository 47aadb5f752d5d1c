"""Docstring of torch.nn.init.dirac_: preserves the identity of the inputs in convolutional layers."""

import warnings

import torch

warnings.simplefilter("ignore")
conv = torch.nn.Conv1d(1, 1, 2, padding="same", bias=False)
torch.nn.init.dirac_(conv.weight)
seen = conv(torch.tensor([[[1.0, 2.0, 3.0]]])).flatten().tolist()
print("documented: the identity of the input, [1.0, 2.0, 3.0]")
print("seen:", seen)
raise SystemExit(seen != [1.0, 2.0, 3.0])
