"""Documented: assign is False by default, which copies. Seen: not after the same state was loaded with assign=True."""

import torch

source, first, second = (torch.nn.Linear(1, 1) for _ in range(3))
state = source.state_dict()
first.load_state_dict(state, assign=True)
second.load_state_dict(state)
shared = second.weight.data_ptr() == source.weight.data_ptr()
print("documented: second has its own memory; seen:", "it shares the source's" if shared else "it has")
raise SystemExit(shared)
