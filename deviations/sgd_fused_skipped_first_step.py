"""A first step that GradScaler leaves out makes fused SGD take what the memory holds for its momentum."""

import torch

deviates = False
for fused in (False, True):
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.5, dampening=0.5, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for factor in (float("inf"), 0.75):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    print(f"documented, fused={fused}: one step of 0.5 * 0.75, to [0.625, 1.625]; seen: {p.tolist()}")
    deviates |= p.tolist() != [0.625, 1.625]
raise SystemExit(int(deviates))
