"""What the tests of attention share: tensors, masks, and how the sums are counted."""

import numpy as np
import torch

from torchclaims.reference import attention

ORDERS = 8  # kernels scale query and key before the product, and normalise after the second one
BOOLEAN = {"boolean": True, "float": False}
NEED_WEIGHTS = {"weights": True, "no weights": False}


def tensors(cell, rng, *shapes):
    return [cell.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]


def swapped(x):
    """(L, N, E) as (N, L, E)."""
    return x.transpose(1, 0, 2)


def random_mask(rng, shape):
    """True where attention is forbidden; the first key is always open."""
    mask = rng.uniform(size=shape) < 0.5
    mask[..., 0] = False
    return mask


def masks_of(cell, rng, keys, attn, boolean, count=2, samples=2, queries=4, length=5):
    """Keyword arguments, and the additive mask (N, heads, L, S) that they mean."""
    arguments, total = {}, np.zeros((samples, count, queries, length))
    shapes = {"key_padding_mask": (samples, length) if keys else None}
    shapes["attn_mask"] = {"matrix": (queries, length), "heads": (samples * count, queries, length), None: None}[attn]
    for name, shape in shapes.items():
        if shape is None:
            continue
        values = random_mask(rng, shape)
        added = attention.additive(values, False)
        if not boolean:
            added = np.where(values, -np.inf, rng.integers(-8, 8, shape) / 4)
        tensor = torch.tensor(values.tolist()) if boolean else cell.tensor(added)
        arguments[name] = tensor.to(cell.device.name)
        if name == "key_padding_mask":
            total = total + added[:, None, None, :]
        else:
            total = total + (added if len(shape) == 2 else added.reshape(samples, count, queries, length))
    return arguments, total


def applied(run, wanted):
    """What happens where is_causal is given without a mask, as an assertion."""
    try:
        seen = run()
    except RuntimeError as error:
        raise AssertionError(f"expected a causal mask to be applied, seen {error}") from None
    assert torch.allclose(seen, wanted, atol=1e-4), "expected a causal mask to be applied, seen none"
