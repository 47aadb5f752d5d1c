"""SGD refuses a parameter that gets its first gradient later than the others, but only in its fused implementation."""

import torch

deviates = False
for fused in (False, True):
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.SGD([first, second], lr=0.5, momentum=0.5, fused=fused)
    first.grad = torch.ones(2)
    optimizer.step()
    second.grad = torch.ones(2)
    try:
        optimizer.step()
        seen = str(second.tolist())
    except TypeError as error:
        seen, deviates = f"TypeError: {error}", True
    print(f"documented, fused={fused}: the second parameter is [0.5, 0.5]; seen: {seen}")
raise SystemExit(int(deviates))
