"""Docstrings of torch.no_grad and torch.inference_mode: the result of every computation has requires_grad=False."""

import torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    view, product = x[:1], x * 2
print(f"under no_grad documented requires_grad False; x * 2 has {product.requires_grad}, x[:1] {view.requires_grad}")
with torch.inference_mode():
    inferred = x[:1]
print(f"in inference mode documented requires_grad False; seen {inferred.requires_grad} of x[:1]")
(view * 3).sum().backward()
print(f"the view is a leaf that requires grad: documented a gradient after backward; seen {view.grad}")
raise SystemExit(view.requires_grad or inferred.requires_grad)
