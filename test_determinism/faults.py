"""How seeds, deterministic algorithms and accuracy could be broken; where PyTorch deviates, how it could be mended."""

import torch
from torch import nn

from torchclaims import breaks

HIGH = 2**64 - 1


def through(change):
    return lambda original: lambda *args, **kwargs: change(original, *args, **kwargs)


@breaks("det-seed", "det-seed-repeats", "det-random-seed")
def seeds_are_ignored(patch):
    """manual_seed seeds at random."""

    def broken(original, seed):
        torch.default_generator.seed()
        return torch.default_generator

    patch(torch, "manual_seed", through(broken))


@breaks("det-seed-repeats")
def dropout_draws_elsewhere(patch):
    """dropout draws from a generator that no seed reaches."""
    hidden = torch.Generator()

    def broken(original, x, *args):
        return x * torch.bernoulli(torch.full_like(x, 0.5), generator=hidden) * 2

    patch(nn.functional, "dropout", through(broken))


@breaks("det-seed-range")
def seeds_have_32_bits(patch):
    """Seeds are cut to 32 bits."""
    patch(torch, "manual_seed", lambda original: lambda seed: original(seed & 0xFFFF_FFFF))


@breaks("det-seed-out-of-range")
def seeds_wrap(patch):
    """Seeds out of range wrap around."""
    patch(torch, "manual_seed", lambda original: lambda seed: original(seed % 2**64))


@breaks("det-seed-negative")
def negative_seeds_follow_the_formula(patch):
    """Mended: negative seeds are mapped as documented."""
    patch(torch, "manual_seed", lambda original: lambda seed: original(HIGH + seed if seed < 0 else seed))


@breaks("det-generator")
def states_are_shared(patch):
    """rand draws from the global generator."""
    patch(torch, "rand", lambda original: lambda *size, **options: original(*size))


@breaks("det-rng-state")
def half_a_normal_is_lost(patch):
    """set_rng_state advances the generator."""

    def broken(original, state):
        original(state)
        torch.default_generator.manual_seed(torch.default_generator.initial_seed())

    patch(torch, "set_rng_state", through(broken))


@breaks("det-fork")
def forks_stay_where_they_are(patch):
    """fork_rng forks nothing."""
    from contextlib import nullcontext

    patch(torch.random, "fork_rng", lambda original: lambda *args, **options: nullcontext())


@breaks("det-fork")
def forks_ignore_enabled(patch):
    """fork_rng forks even when it is not enabled."""
    patch(torch.random, "fork_rng", lambda original: lambda devices=None, enabled=True: original(devices=devices))


@breaks("det-random-seed")
def seed_is_constant(patch):
    """torch.seed() always seeds with the same number."""
    patch(torch, "seed", lambda original: lambda: torch.manual_seed(7).initial_seed())


@breaks("det-flag-errors")
def flag_is_not_set(patch):
    """use_deterministic_algorithms sets nothing."""
    patch(torch, "use_deterministic_algorithms", lambda original: lambda mode, warn_only=False: None)


@breaks("det-flag-errors")
def warn_only_is_silent(patch):
    """warn_only turns the flag off."""

    def broken(original, mode, *, warn_only=False):
        original(mode and not warn_only)

    patch(torch, "use_deterministic_algorithms", through(broken))


@breaks("det-flag-works")
def repeated_places_are_added_once(patch):
    """index_add, scatter_add and put_ add once to each place."""

    def broken(original, self, dim, index, values):
        keep = torch.ones_like(values)
        keep[-1] = 0
        return original(self, dim, index, values * keep)

    patch(torch.Tensor, "index_add", through(broken))
    patch(torch.Tensor, "scatter_add", through(broken))


@breaks("det-flag-reads")
def warn_reads_as_error(patch):
    """get_deterministic_debug_mode knows no warning."""
    patch(torch, "get_deterministic_debug_mode", lambda original: lambda: original() and 2)


@breaks("det-fill")
def resized_memory_is_zero(patch):
    """resize_ fills with zeros."""

    def broken(original, self, *size):
        old = self.numel()
        result = original(self, *size)
        result.flatten()[old:].zero_()
        return result

    patch(torch.Tensor, "resize_", through(broken))


@breaks("det-fill-off")
def memory_is_filled_anyway(patch):
    """resize_ always fills what it adds."""

    def broken(original, self, *size):
        old = self.numel()
        result = original(self, *size)
        result.flatten()[old:].fill_(99)
        return result

    patch(torch.Tensor, "resize_", through(broken))


@breaks("acc-batch-slice")
def batches_are_rounded(patch):
    """Batched products drop their last summand."""

    def broken(original, self, other):
        return original(self, other) if self.dim() < 3 else original(self * 0.99, other)

    patch(torch.Tensor, "__matmul__", through(broken))


@breaks("acc-overflow")
def norms_scale_first(patch):
    """norm scales by the largest element."""

    def broken(original, self):
        largest = self.abs().max()
        return original(self / largest) * largest

    patch(torch.Tensor, "norm", through(broken))


@breaks("acc-digits")
def sums_keep_more_digits(patch):
    """Sums are kept in double precision and rounded away from 1."""

    def broken(original, self, other):
        result = original(self, other)
        return torch.nextafter(result, result + 1) if isinstance(other, float) and (result == 1).all() else result

    patch(torch.Tensor, "__add__", through(broken))


@breaks("acc-row-sum", "acc-row-sum-as-printed")
def sums_run_along_columns(patch):
    """sum(-1) sums columns."""

    def broken(original, self, *dim):
        return original(self, 0) if dim and self.dim() > 1 else original(self, *dim)

    patch(torch.Tensor, "sum", through(broken))
