"""Docstring of torch.Tensor.share_memory_: tensors in shared memory cannot be resized. Made larger, they crash."""

import subprocess
import sys

print("documented: tensors in shared memory cannot be resized")
code = "import torch; torch.ones(4).share_memory_().resize_(10)"
child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
print("seen:      ", child.stderr or f"no error; the interpreter ended with {child.returncode}")
raise SystemExit("RuntimeError" not in child.stderr)
