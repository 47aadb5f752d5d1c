"""The user's global state is as it was after each test, and a leak is the test's error."""

import random

import numpy as np
import pytest
import torch

from torchclaims import hygiene

LEAKS = {
    "torch.set_num_threads(torch.get_num_threads() + 1)": "torch.get_num_threads was",
    "torch.set_default_dtype(torch.float64)": "torch.get_default_dtype was torch.float32",
    "torch.set_grad_enabled(False)": "torch.is_grad_enabled was True",
    "torch.use_deterministic_algorithms(True, warn_only=True)": "torch.are_deterministic_algorithms_enabled was",
    "torch.autograd.set_detect_anomaly(True)": "torch.is_anomaly_enabled was False",
    "torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark": "torch.backends.cudnn.benchmark was",
    "torch.set_float32_matmul_precision('medium')": "torch.get_float32_matmul_precision was",
    "torch.set_default_device('meta')": "default device was",
    "torch.nn.modules.module.register_module_forward_hook(print)": "a global hook of register_module_forward_hook",
    "torch.nn.modules.module.register_module_full_backward_hook(print)": "a global hook of register_module_full_back",
}


@pytest.mark.parametrize("statement", LEAKS)
def test_a_leak_is_an_error_and_is_mended(pytester, run, statement):
    pytester.makepyfile(test_leak=f"import torch\ndef test_leaks():\n    {statement}\n\ndef test_after():\n    pass\n")
    before = hygiene.Snapshot.take()
    result = run("test_leak.py")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"*the test changed global state: {LEAKS[statement]}*"])
    assert hygiene.Snapshot.take().settings == before.settings


DRAWS = """
import random
import numpy as np, torch
def test_draws():
    print("drew", torch.rand(1).item(), np.random.rand(), random.random())
"""


def drawn(run, *arguments):
    return [line for line in run("test_draws.py", "-s", *arguments).outlines if "drew" in line]


def test_generators_are_seeded_and_put_back(pytester, run):
    pytester.makepyfile(test_draws=DRAWS)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    runs = [drawn(run) for _ in range(2)]
    assert runs[0] == runs[1] != []
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1:] == (np.random.get_state()[1].tolist(), random.getstate())


def test_seeds_repeat_and_random_ones_are_told(pytester, run):
    pytester.makepyfile(test_draws=DRAWS)
    assert drawn(run) == drawn(run, "--seed", "1") != drawn(run, "--seed", "2")
    result = run("test_draws.py", "-s", "--seed", "random")
    (said,) = (line for line in result.outlines if line.startswith("seed ") and "repeat this run" in line)
    assert drawn(run, "--seed", said.split()[1]) == [line for line in result.outlines if "drew" in line] != drawn(run)
