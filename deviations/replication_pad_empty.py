"""Of ReplicationPad2d is documented that the output dimensions must remain positive."""

import torch

try:
    seen = tuple(torch.nn.ReplicationPad2d((-2, -2, 0, 0))(torch.ones(1, 1, 4, 4)).shape)
except RuntimeError as error:
    print(f"documented: the output dimensions must remain positive; seen: {error}")
    raise SystemExit(0) from None
print(f"documented: the output dimensions must remain positive; seen: an output of shape {seen}")
raise SystemExit(1)
