"""Each test starts and ends with nothing compiled."""

import pytest
import torch

from test_compile.counting import CountingBackend


@pytest.fixture
def backend():
    """A backend that counts what it is given."""
    torch.compiler.reset()
    yield CountingBackend()
    torch.compiler.reset()
