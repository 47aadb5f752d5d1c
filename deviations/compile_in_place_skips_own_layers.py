import torch

calls = []


def backend(graph, example_inputs):
    calls.append(graph)
    return graph.forward


module = torch.nn.Sequential(torch.nn.Linear(2, 2))
module.compile(backend=backend)
module(torch.ones(1, 2))
print("documented: Module.compile compiles this module's forward, here one graph")
print(f"seen: {len(calls)} graphs")
raise SystemExit(len(calls) != 1)
