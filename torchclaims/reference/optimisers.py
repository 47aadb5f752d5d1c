"""Stochastic gradient descent, step by step as the page of SGD writes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def sgd(
    start: np.ndarray,
    gradients: Sequence[np.ndarray],
    lr: float,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> list[np.ndarray]:
    """The parameter after each of ``gradients``; each is that of the objective alone."""
    theta, buffer, path = np.array(start, dtype=np.float64), None, []
    for gradient in gradients:
        g = (-gradient if maximize else gradient) + weight_decay * theta
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        theta = theta - lr * g
        path.append(theta)
    return path
