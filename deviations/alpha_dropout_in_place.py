"""Docstring of torch.nn.AlphaDropout, inplace: will do this operation in-place."""

import torch

x = torch.ones(8)
seen = torch.nn.AlphaDropout(0.5, inplace=True)(x).data_ptr() == x.data_ptr()
documented = True
print(f"documented: the result has the memory of the input: {documented}")
print(f"seen:       {seen}")
raise SystemExit(seen != documented)
