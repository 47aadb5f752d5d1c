"""A small suite, written into a folder, on which the plugin's own behaviour is seen."""

from __future__ import annotations

import textwrap
from pathlib import Path

CLAIM = """
[toy-relu-clips]
statement = "ReLU leaves no negative number."
oracle = "reference"
since = "2.0"
cells = 1
sources = ["torch.nn.ReLU"]
"""

TEST = """
from torch import nn
from torchclaims import claim

@claim("toy-relu-clips")
def test_relu(cell):
    assert cell.run(nn.ReLU())(cell.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
"""

FAULT = """
import torch.nn.functional as F
from torchclaims import breaks

@breaks("toy-relu-clips")
def relu_leaks(patch):
    "ReLU lets a thousandth through."
    patch(F, "relu", lambda original: lambda x, inplace=False: original(x) + 1e-3 * x)
"""


def write_room(root: Path, claims: str = CLAIM, test: str = TEST, fault: str = FAULT, room: str = "test_toy") -> None:
    """Writes one room below ``root``."""
    folder = root / room
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claims.toml").write_text(claims)
    (folder / "test_relu.py").write_text(textwrap.dedent(test))
    (folder / "faults.py").write_text(textwrap.dedent(fault))
