"""torchclaims: decides by test whether PyTorch does what PyTorch says.

``claim`` marks a test with the claims that it decides; ``breaks`` marks a fault with the claims
that it must turn red. Importing this package imports pytest, never torch.
"""

import pytest

from torchclaims.faults import breaks

__version__ = "0.1.0"
__all__ = ["breaks", "claim"]

claim = pytest.mark.claim
