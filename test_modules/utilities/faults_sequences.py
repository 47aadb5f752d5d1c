"""How what test_sequences.py decides could be broken."""

import torch
from torch.nn.utils import rnn

from torchclaims import breaks


def _replacing(patch, name, change):
    patch(rnn, name, lambda original: lambda *args, **options: change(original, *args, **options))


@breaks("rnn-pad-sequence")
def padding_is_zero(patch):
    """pad_sequence ignores padding_value."""
    _replacing(patch, "pad_sequence", lambda original, parts, padding_value=0.0, **options: original(parts, **options))


@breaks("rnn-pad-sequence")
def lengths_are_cut(patch):
    """unpad_sequence drops the last step of the longest sequence."""

    def change(original, padded, lengths, batch_first=False):
        return original(padded, torch.minimum(lengths, lengths.max() - 1), batch_first=batch_first)

    _replacing(patch, "unpad_sequence", change)


@breaks("rnn-pack-order")
def steps_are_packed_by_sequence(patch):
    """The data of a PackedSequence stands in reverse order within its steps."""

    def change(original, *args, **options):
        packed = original(*args, **options)
        steps = packed.data.split(packed.batch_sizes.tolist())
        return packed._replace(data=torch.cat([step.flip(0) for step in steps]))

    _replacing(patch, "pack_padded_sequence", change)


@breaks("rnn-pack-order")
def indices_are_swapped(patch):
    """sorted_indices and unsorted_indices are swapped."""

    def change(original, *args, **options):
        packed = original(*args, **options)
        return packed._replace(sorted_indices=packed.unsorted_indices, unsorted_indices=packed.sorted_indices)

    _replacing(patch, "pack_padded_sequence", change)


@breaks("rnn-pack-round-trip")
def sequences_come_back_sorted(patch):
    """pad_packed_sequence leaves the sequences in sorted order."""

    def change(original, packed, **options):
        return original(packed._replace(sorted_indices=None, unsorted_indices=None), **options)

    _replacing(patch, "pad_packed_sequence", change)


@breaks("rnn-pack-round-trip")
def the_total_length_is_ignored(patch):
    """pad_packed_sequence ignores total_length."""
    _replacing(
        patch,
        "pad_packed_sequence",
        lambda original, packed, total_length=None, **options: original(packed, **options),
    )


@breaks("rnn-pack-sorted")
def everything_is_sorted(patch):
    """pack_sequence sorts by default."""
    _replacing(
        patch,
        "pack_sequence",
        lambda original, parts, enforce_sorted=False: original(parts, enforce_sorted=False),
    )


@breaks("rnn-pack-sorted")
def sorted_sequences_have_indices(patch):
    """Sequences that are sorted get indices as well."""

    def change(original, parts, enforce_sorted=True):
        if enforce_sorted:
            original(parts)
        return original(parts, enforce_sorted=False)

    _replacing(patch, "pack_sequence", change)


@breaks("rnn-pack-refused")
def empty_sequences_are_packed(patch):
    """A length of zero counts as one."""

    def change(original, padded, lengths, **options):
        return original(padded, [max(one, 1) for one in lengths], **options)

    _replacing(patch, "pack_padded_sequence", change)


@breaks("rnn-pack-refused")
def short_totals_are_raised(patch):
    """A total length that is too short is ignored."""

    def change(original, packed, total_length=None, **options):
        return original(packed, total_length=max(total_length or 0, len(packed.batch_sizes)), **options)

    _replacing(patch, "pad_packed_sequence", change)
