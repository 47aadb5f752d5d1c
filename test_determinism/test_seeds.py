"""Seeds and generators: what they repeat, what they take, and what they leave alone."""

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same

LOW, HIGH = -(2**63), 2**64 - 1


@pytest.fixture(autouse=True)
def generator_as_it_was():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def train(cell, seed):
    """The weights that two epochs of a small network with dropout leave."""
    torch.manual_seed(seed)
    net = cell.place(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = cell.tensor(torch.randn(16, 5).tolist())
    for _ in range(2):
        for index in torch.randperm(16).split(4):
            optimizer.zero_grad()
            net(x[index.to(x.device)]).square().mean().backward()
            optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@claim("det-seed")
def test_training_repeats(cell):
    first = train(cell, 3)
    assert_same(train(cell, 3), first, what="weights of the second training with one seed")
    assert not torch.equal(train(cell, 4), first), "another seed gave the same training"


DRAWS = {
    "rand": lambda: torch.rand(33),
    "randn": lambda: torch.randn(33),
    "randint": lambda: torch.randint(1 << 30, (9,)),
    "randperm": lambda: torch.randperm(50),
    "bernoulli": lambda: torch.bernoulli(torch.full((99,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(99), 50),
    "dropout": lambda: nn.functional.dropout(torch.ones(99)),
    "normal_": lambda: torch.empty(5).normal_(),
    "exponential_": lambda: torch.empty(5).exponential_(),
    "svd_lowrank": lambda: torch.svd_lowrank(torch.arange(30.0).reshape(5, 6).cos(), q=2)[0],
    "xavier": lambda: nn.init.xavier_normal_(torch.empty(4, 4)),
}


@claim("det-seed-repeats")
@pytest.mark.parametrize("name", DRAWS)
def test_draws_repeat(name):
    seen = []
    for _ in range(2):
        assert isinstance(torch.manual_seed(11), torch.Generator)
        seen.append([DRAWS[name](), DRAWS[name]()])
    assert_same(seen[1][0], seen[0][0], what="the first draw after the seed")
    assert_same(seen[1][1], seen[0][1], what="the second")
    assert not torch.equal(seen[0][0], seen[0][1]), "a second draw repeats the first"


@claim("det-seed-range")
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32, 2**63, HIGH, LOW, -1, -2, LOW + 1])
def test_seed_taken(seed):
    generator = torch.Generator()
    assert generator.manual_seed(seed) is generator
    assert torch.manual_seed(seed).initial_seed() == generator.initial_seed() == torch.initial_seed()
    assert 0 <= generator.initial_seed() <= HIGH
    if seed >= 0:
        assert generator.initial_seed() == seed
    assert_same(torch.rand(5, generator=generator), torch.rand(5), what="draws by generator and globally")


@claim("det-seed-out-of-range")
@pytest.mark.parametrize("seed", [LOW - 1, HIGH + 1])
@pytest.mark.parametrize("way", ["global", "generator"])
def test_seed_refused(seed, way):
    torch.manual_seed(5)
    generator = torch.Generator().manual_seed(5)
    with pytest.raises(RuntimeError, match="Overflow"):
        (torch.manual_seed if way == "global" else generator.manual_seed)(seed)
    assert torch.initial_seed() == generator.initial_seed() == 5


@claim("det-seed-negative")
@pytest.mark.parametrize("seed", [-1, -2, -(2**40), LOW])
@pytest.mark.parametrize("way", ["global", "generator"])
def test_negative_seed(seed, way):
    generator = torch.manual_seed(seed) if way == "global" else torch.Generator().manual_seed(seed)
    seen = generator.initial_seed()
    assert seen == HIGH + seed, f"{seed} became {seen:#x}, {seen - HIGH - seed} more than documented"


@claim("det-generator")
def test_generator_of_its_own():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    own = torch.rand(4, generator=generator)
    torch.rand(4, generator=generator)
    assert_same(own, expected, what="draw of a generator with the global seed")
    assert_same(torch.rand(4), expected, what="global draw beside a generator's")
    state = generator.get_state()
    assert state.dtype == torch.uint8
    first = torch.randn(7, generator=generator)
    assert not torch.equal(generator.get_state(), state)
    generator.set_state(state)
    assert_same(torch.randn(7, generator=generator), first, what="draw from a restored state")
    other = torch.Generator()
    other.set_state(state)
    assert_same(torch.randn(7, generator=other), first, what="draw of another generator in that state")
    assert other.initial_seed() == 1


@claim("det-rng-state")
@pytest.mark.parametrize("before", [0, 1, 2, 3, 700])
def test_rng_state(before):
    torch.manual_seed(2)
    for _ in range(before):
        torch.randn(1)
    state = torch.get_rng_state()
    assert state.dtype == torch.uint8
    kept = state.clone()
    draws = [torch.randn(3), torch.rand(5), torch.randn(17)]
    assert_same(state, kept, what="the state that was taken")
    torch.set_rng_state(state)
    for again, draw in zip([torch.randn(3), torch.rand(5), torch.randn(17)], draws, strict=True):
        assert_same(again, draw, what="draw from a restored state")


@claim("det-fork")
def test_fork():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with torch.random.fork_rng(devices=[]):
        assert_same(torch.rand(3), expected, what="draw inside the fork")
        torch.manual_seed(9)
        torch.rand(50)
    assert_same(torch.rand(3), expected, what="draw after the fork")
    torch.manual_seed(3)

    def interrupted():
        with torch.random.fork_rng(devices=[]):
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert_same(torch.rand(3), expected, what="draw after a fork that an exception left")
    torch.manual_seed(3)
    with torch.random.fork_rng(devices=[], enabled=False):
        torch.rand(3)
    assert not torch.equal(torch.rand(3), expected)


@claim("det-random-seed")
def test_random_seed():
    seeds = [torch.seed() for _ in range(4)]
    assert torch.initial_seed() == seeds[-1]
    first = torch.rand(3)
    # Four draws of 64 bits agree somewhere with a probability of 3e-19.
    assert len(set(seeds)) == 4
    assert all(isinstance(seed, int) and 0 <= seed <= HIGH for seed in seeds)
    torch.manual_seed(seeds[-1])
    assert_same(torch.rand(3), first, what="draw by the seed that was returned")
    generator = torch.Generator()
    assert generator.seed() == generator.initial_seed()
    assert np.isin(generator.initial_seed(), seeds).sum() == 0
