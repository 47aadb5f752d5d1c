"""Sequences of unlike lengths: padded, packed and taken apart again."""

import numpy as np
import pytest
import torch
from torch.nn.utils import rnn

from torchclaims import claim

LENGTHS = [[3, 2, 1], [1, 3, 2], [2, 2], [1], [4, 1, 4, 2, 3]]


def sequences(cell, lengths, requires_grad=False):
    """Sequences of these lengths, of two features a step, each element its own."""
    ends = np.cumsum(lengths)
    return [
        cell.tensor(np.arange(2.0 * (end - length), 2.0 * end).reshape(length, 2) + 1, requires_grad=requires_grad)
        for length, end in zip(lengths, ends, strict=True)
    ]


@claim("rnn-pad-sequence")
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_padding(lengths, batch_first, cell):
    parts = sequences(cell, lengths)
    expected = np.full((len(lengths), max(lengths), 2), -7.0)
    for row, part in zip(expected, parts, strict=True):
        row[: len(part)] = part.tolist()
    padded = rnn.pad_sequence(parts, batch_first=batch_first, padding_value=-7.0)
    assert padded.tolist() == (expected if batch_first else expected.swapaxes(0, 1)).tolist()
    back = rnn.unpad_sequence(padded, torch.tensor(lengths), batch_first=batch_first)
    assert [one.tolist() for one in back] == [one.tolist() for one in parts]


@claim("rnn-pad-sequence")
def test_padding_is_zero_by_default(cell):
    assert rnn.pad_sequence([cell.tensor([1.0]), cell.tensor([2.0, 3.0])]).tolist() == [[1, 2], [0, 3]]


@claim("rnn-pack-order")
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_packing(lengths, batch_first, cell):
    parts = sequences(cell, lengths)
    padded = rnn.pad_sequence(parts, batch_first=batch_first, padding_value=-7.0)
    packed = rnn.pack_padded_sequence(padded, lengths, batch_first=batch_first, enforce_sorted=False)
    sizes = [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert packed.batch_sizes.tolist() == sizes
    order = packed.sorted_indices.tolist()
    assert [lengths[one] for one in order] == sorted(lengths, reverse=True)
    assert [order[one] for one in packed.unsorted_indices] == list(range(len(lengths)))
    steps = [parts[one][step].tolist() for step in range(max(lengths)) for one in order if len(parts[one]) > step]
    assert packed.data.tolist() == steps


@claim("rnn-pack-round-trip")
@pytest.mark.parametrize("total", [None, 6], ids=["", "total length"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_there_and_back(lengths, batch_first, total, cell):
    parts = sequences(cell, lengths, requires_grad=True)
    packed = rnn.pack_sequence(parts, enforce_sorted=False)
    padded, seen = rnn.pad_packed_sequence(packed, batch_first=batch_first, padding_value=-7.0, total_length=total)
    assert seen.tolist() == lengths
    rows = padded if batch_first else padded.transpose(0, 1)
    assert rows.shape == (len(lengths), total or max(lengths), 2)
    for row, part in zip(rows, parts, strict=True):
        assert row[: len(part)].tolist() == part.tolist()
        assert (row[len(part) :] == -7).all()
    rows.backward(rows.detach() * 10)
    assert [part.grad.tolist() for part in parts] == [(part * 10).tolist() for part in parts]
    assert [one.tolist() for one in rnn.unpack_sequence(packed)] == [part.tolist() for part in parts]


@claim("rnn-pack-sorted")
@pytest.mark.parametrize("lengths", [[1, 2], [3, 1, 2]], ids=str)
def test_sorted_by_default(lengths, cell):
    parts = sequences(cell, lengths)
    padded = rnn.pad_sequence(parts)
    for pack in (lambda: rnn.pack_sequence(parts), lambda: rnn.pack_padded_sequence(padded, lengths)):
        with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
            pack()
    packed = rnn.pack_sequence(sequences(cell, sorted(lengths, reverse=True)))
    assert (packed.sorted_indices, packed.unsorted_indices) == (None, None)


@claim("rnn-pack-refused")
def test_what_cannot_be_packed(cell):
    with pytest.raises(RuntimeError, match="Length of all samples has to be greater than 0"):
        rnn.pack_padded_sequence(cell.tensor(np.ones((2, 2))), [1, 0])
    packed = rnn.pack_sequence(sequences(cell, [3, 1]))
    with pytest.raises(ValueError, match=r"total_length=2 and max sequence length being 3"):
        rnn.pad_packed_sequence(packed, total_length=2)
