"""The gradient scaler on CPUs. Scales and gradients are powers of two, which no step rounds."""

from math import inf, isfinite, nan

import pytest
import torch
from torch import nn

from torchclaims import claim


def scaler_with(**options):
    return torch.amp.GradScaler("cpu", **{"init_scale": 8.0, **options})


def parameter_with(optimizer_options=None):
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    return p, torch.optim.SGD([p], **(optimizer_options or {"lr": 0.5}))


def step(scaler, p, optimizer, factor=1.0):
    optimizer.zero_grad()
    scaler.scale((p * factor).sum()).backward()
    result = scaler.step(optimizer)
    scaler.update()
    return result


@claim("scaler-scale")
def test_scaling():
    assert torch.amp.GradScaler("cpu").get_scale() == 2.0**16
    scaler, (p, _) = scaler_with(), parameter_with()
    loss = (p * 3).sum()
    scaled = scaler.scale(loss)
    assert scaled.item() == loss.item() * 8
    scaled.backward()
    assert p.grad.tolist() == [24.0, 24.0]
    first, (second, third) = scaler.scale([torch.tensor(1.0), (torch.tensor(2.0), torch.tensor(0.5))])
    assert [one.item() for one in (first, second, third)] == [8.0, 16.0, 4.0]


@claim("scaler-step")
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_steps_and_skipped_steps(bad):
    scaler, (p, optimizer) = scaler_with(), parameter_with({"lr": 0.5, "momentum": 0.5})
    step(scaler, p, optimizer, 2.0)
    assert p.tolist() == [0.0, 1.0]
    optimizer.zero_grad()
    scaler.scale((p * torch.tensor([1.0, bad])).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert p.tolist() == [0.0, 1.0]
    assert optimizer.state[p]["momentum_buffer"].tolist() == [2.0, 2.0]
    step(scaler, p, optimizer, 2.0)
    assert p.tolist() == [-1.5, -0.5]


FUSED = {
    "SGD": (torch.optim.SGD, {}),
    "SGD, dampened": (torch.optim.SGD, {"momentum": 0.5, "dampening": 0.5}),
    "Adam": (torch.optim.Adam, {}),
    "AdamW": (torch.optim.AdamW, {}),
    "Adagrad": (torch.optim.Adagrad, {}),
}


@claim("scaler-skips-fused")
@pytest.mark.parametrize("factors", [[nan, 0.75, 0.25], [0.75, inf, 0.25]], ids=["first", "second"])
@pytest.mark.parametrize("name", FUSED)
def test_a_step_left_out_of_a_fused_implementation(name, factors):
    make, options = FUSED[name]
    seen = []
    for given in (factors, [factor for factor in factors if isfinite(factor)]):
        p = nn.Parameter(torch.tensor([1.0, 2.0]))
        scaler, optimizer = scaler_with(), make([p], lr=0.5, fused=True, **options)
        for factor in given:
            step(scaler, p, optimizer, factor)
        seen.append(p.tolist())
    assert seen[0] == seen[1], f"after a step that was left out the parameter is {seen[0]}, without it {seen[1]}"


@claim("scaler-step")
def test_no_step_without_gradients():
    scaler, (p, optimizer) = scaler_with(), parameter_with()
    scaler.scale(torch.ones(()))
    with pytest.raises(AssertionError, match="No inf checks were recorded"):
        scaler.step(optimizer)
    assert p.tolist() == [1.0, 2.0]


@claim("scaler-update")
def test_growth_and_backoff():
    scaler, (p, optimizer) = scaler_with(growth_factor=4.0, backoff_factor=0.25, growth_interval=3), parameter_with()
    seen = []
    for factor in [1, 1, float("inf"), 1, 1, 1, 1, float("nan"), float("inf"), 1, 1, 1]:
        step(scaler, p, optimizer, factor)
        seen.append(scaler.get_scale())
    assert seen == [8, 8, 2, 2, 2, 8, 8, 2, 0.5, 0.5, 0.5, 2]


@claim("scaler-update")
@pytest.mark.parametrize("skipped", [0, 1])
def test_one_of_two_optimizers_that_skips(skipped):
    scaler, pairs = scaler_with(), [parameter_with(), parameter_with()]
    for number, (p, optimizer) in enumerate(pairs):
        scaler.scale((p * (float("inf") if number == skipped else 1.0)).sum()).backward()
        scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 4.0


@claim("scaler-update")
def test_defaults():
    scaler = torch.amp.GradScaler("cpu")
    factors = scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()
    assert factors == (2.0, 0.5, 2000)


@claim("scaler-update")
@pytest.mark.parametrize("given", [16.0, torch.tensor(16.0)], ids=["number", "tensor"])
def test_a_scale_of_ones_own(given):
    scaler, (p, optimizer) = scaler_with(), parameter_with()
    step(scaler, p, optimizer)
    scaler.update(given)
    assert scaler.get_scale() == 16.0


@claim("scaler-unscale")
def test_unscaling():
    scaler, (p, optimizer) = scaler_with(), parameter_with()
    scaler.scale((p * 3).sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_value_(p, 2.0)
    scaler.step(optimizer)
    assert p.tolist() == [0.0, 1.0]
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [1.0, 1.0]


@claim("scaler-disabled")
def test_disabled():
    scaler, (p, optimizer) = scaler_with(enabled=False), parameter_with()
    loss = p.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [1.0, 1.0]
    assert scaler.step(optimizer, lambda: 7.0) == 7.0
    assert p.tolist() == [0.5, 1.5]
    scaler.update()
    assert (scaler.get_scale(), scaler.is_enabled(), scaler.state_dict()) == (1.0, False, {})
    scaler.load_state_dict({"anything": 1})
    assert scaler_with().is_enabled()


@claim("scaler-state")
@pytest.mark.parametrize("steps_before", [0, 1])
def test_state(steps_before):
    first, (p, optimizer) = scaler_with(growth_factor=4.0, backoff_factor=0.25, growth_interval=3), parameter_with()
    for _ in range(2):
        step(first, p, optimizer)
    second = torch.amp.GradScaler("cpu")
    for _ in range(steps_before):
        step(second, p, optimizer)
    second.load_state_dict(first.state_dict())
    seen = []
    for factor in (1, float("inf"), 1):
        step(second, p, optimizer, factor)
        seen.append(second.get_scale())
    assert seen == [32.0, 8.0, 8.0]
    assert second.get_growth_interval() == 3
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        second.load_state_dict({})
