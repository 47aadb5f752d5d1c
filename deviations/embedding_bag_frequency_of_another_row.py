"""The dense backward on the CPU divides the gradient of the k-th used row by the count of the k-th index in order,
which is another row's."""

import torch

layer = torch.nn.EmbeddingBag(3, 1, mode="sum", scale_grad_by_freq=True)
layer(torch.tensor([[1, 1, 2]])).sum().backward()
seen = layer.weight.grad.flatten().tolist()
wrong = seen != [0.0, 1.0, 1.0]
print("documented:", "each gradient is divided by how often its own index occurs: [0, 1, 1]")
print("seen:      ", seen)
raise SystemExit(int(wrong))
