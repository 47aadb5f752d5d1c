"""Docstring of torch.utils.hooks.unserializable_hook: saving a tensor with such a hook warns of nothing."""

import io
import warnings

import torch

print("documented: the decorator suppresses the warning that the hook will not be serialized")
leaf = torch.ones(1, requires_grad=True)
leaf.register_hook(torch.utils.hooks.unserializable_hook(lambda grad: grad))
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    torch.save(leaf, io.BytesIO())
messages = [str(one.message) for one in seen if "serialized" in str(one.message)]
print("seen:      ", messages or "no warning")
raise SystemExit(bool(messages))
