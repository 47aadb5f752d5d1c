"""What torch.save writes and torch.load gives back."""

import collections
import io
import os
import struct
import sys
import warnings
import zipfile
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from torch import nn

from torchclaims import claim
from torchclaims.tolerance import assert_same


def saved(value, **options):
    """A file in memory, at its beginning."""
    file = io.BytesIO()
    torch.save(value, file, **options)
    file.seek(0)
    return file


def round_trip(value):
    return torch.load(saved(value), weights_only=True)


def matrix(cell):
    return cell.tensor(np.arange(6.0).reshape(2, 3))


LAYOUTS = {
    "contiguous": matrix,
    "transposed": lambda cell: matrix(cell).t(),
    "column": lambda cell: matrix(cell)[:, 1],
    "slice": lambda cell: matrix(cell)[1:, ::2],
    "expanded": lambda cell: cell.tensor([[1.0], [2.0]]).expand(2, 4),
    "no dimension": lambda cell: cell.tensor(2.5),
    "no element": lambda cell: cell.tensor(np.zeros((2, 0, 3))),
    "empty slice": lambda cell: matrix(cell)[1:1],
    "one": lambda cell: cell.tensor([[[1.0]]]),
    "special values": lambda cell: cell.tensor([np.nan, np.inf, -np.inf, -0.0, 1e-45, 5e-324]),
    "channels last": lambda cell: cell.tensor(np.arange(24.0).reshape(2, 3, 2, 2)).to(
        memory_format=torch.channels_last
    ),
    "integers": lambda cell: matrix(cell).long(),
    "booleans": lambda cell: matrix(cell) > 2,
    "leaf": lambda cell: matrix(cell).requires_grad_(),
}


@claim("ser-round-trip")
@pytest.mark.parametrize("requires_grad", [False, True], ids=["", "requires grad"])
@pytest.mark.parametrize("case", LAYOUTS)
def test_tensors(case, requires_grad, cell):
    tensor = LAYOUTS[case](cell).detach()
    tensor.requires_grad_(requires_grad and tensor.is_floating_point())
    seen = round_trip(tensor)
    assert seen is not tensor
    assert (seen.dtype, seen.shape, seen.stride(), seen.storage_offset(), seen.requires_grad) == (
        tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.requires_grad,
    )  # fmt: skip
    assert_same(seen.detach(), tensor.detach(), what="values")
    if tensor.is_floating_point():
        assert torch.equal(torch.signbit(seen), torch.signbit(tensor))
    assert tensor.numel() == 0 or seen.data_ptr() != tensor.data_ptr()


@claim("ser-round-trip")
def test_conjugated_tensors(cell):
    real = cell.tensor([1.0, -2.0]).float()
    tensor = torch.complex(real, real * 3).conj()
    for one in (tensor, tensor.imag):
        seen = round_trip(one)
        assert (seen.is_conj(), seen.is_neg()) == (one.is_conj(), one.is_neg())
        assert_same(seen.resolve_conj().resolve_neg(), one.resolve_conj().resolve_neg(), what="values")


@claim("ser-round-trip")
@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters(requires_grad, cell):
    seen = round_trip(nn.Parameter(matrix(cell), requires_grad))
    assert (type(seen), seen.requires_grad, seen.is_leaf) == (nn.Parameter, requires_grad, True)
    assert_same(seen.detach(), matrix(cell), what="values")


@claim("ser-containers")
def test_containers(cell):
    a, b, c = (cell.tensor([value]) for value in (1.0, 2.0, 3.0))
    value = {"size": torch.Size([2, 3]), "nested": [(b, {"c": c, 7: "text"}), None, True], "a": a, "π": -1.5}
    seen = round_trip(value)
    assert list(seen) == list(value)
    assert (type(seen["nested"]), type(seen["nested"][0]), type(seen["size"])) == (list, tuple, torch.Size)
    assert (seen["nested"][1:], seen["nested"][0][1][7], seen["size"], seen["π"]) == (
        [None, True],
        "text",
        (2, 3),
        -1.5,
    )
    for loaded, original in ((seen["a"], a), (seen["nested"][0][0], b), (seen["nested"][0][1]["c"], c)):
        assert_same(loaded, original, what="tensor")


@claim("ser-views")
def test_views_share_their_storage():
    numbers = torch.arange(1, 10)
    loaded_numbers, loaded_evens = round_trip([numbers, numbers[1::2]])
    loaded_evens *= 2
    assert loaded_numbers.tolist() == [1, 4, 3, 8, 5, 12, 7, 16, 9]
    assert numbers.tolist() == list(range(1, 10))


@claim("ser-views")
@pytest.mark.parametrize(("clone", "count"), [(False, 999), (True, 5)], ids=["view", "clone"])
def test_a_view_takes_its_storage_along(clone, count):
    small = torch.arange(1, 1000)[0:5]
    seen = round_trip(small.clone() if clone else small)
    assert seen.tolist() == [1, 2, 3, 4, 5]
    assert seen.untyped_storage().nbytes() == count * 8


@claim("ser-views")
def test_tied_parameters_stay_tied(cell):
    layer = cell.place(nn.Linear(2, 2, bias=False))
    seen = round_trip(nn.Sequential(layer, layer).state_dict())
    assert list(seen) == ["0.weight", "1.weight"]
    seen["0.weight"].zero_()
    assert not seen["1.weight"].any()
    assert layer.weight.any()


@claim("ser-views-apart")
def test_separate_calls_share_nothing():
    numbers = torch.arange(1, 10)
    first, second = round_trip(numbers), round_trip(numbers[1::2])
    second *= 2
    assert first.tolist() == list(range(1, 10))
    whole, part = round_trip([numbers, numbers[1::2].clone()])
    part *= 2
    assert whole.tolist() == list(range(1, 10))


@claim("ser-storage-once")
def test_bytes_of_storages(cell):
    base = cell.tensor(np.arange(50.0))
    archive = zipfile.ZipFile(
        saved({"all": base, "part": base[10:20], "t": base.view(5, 10).t(), "other": base[:3].clone()})
    )
    sizes = [entry.file_size for entry in archive.infolist() if "/data/" in entry.filename]
    assert sizes == [50 * base.element_size(), 3 * base.element_size()]


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Sequential(nn.Linear(4, 2, bias=False)))


@claim("ser-state-dict")
def test_a_state_dict_rebuilds_its_module(cell, rng):
    net, new = cell.place(network()), cell.place(network())
    batch = cell.tensor(rng.normal(size=(8, 3)))
    net(batch)
    state = round_trip(net.state_dict())
    assert type(state) is collections.OrderedDict
    assert list(state) == list(net.state_dict())
    assert state._metadata == net.state_dict()._metadata
    assert {type(one) for one in state.values()} == {torch.Tensor}
    assert not any(one.requires_grad for one in state.values())
    result = new.load_state_dict(state)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert str(result) == "<All keys matched successfully>"
    for mode in (False, True):
        assert_same(new.train(mode)(batch), net.train(mode)(batch), what="output")


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, momentum=0.5, centered=True),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.1),
}


@claim("ser-checkpoint")
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on(kind, cell, rng):
    batches = [cell.tensor(rng.normal(size=(4, 3))) for _ in range(4)]

    def train(net, optimizer, batches):
        for batch in batches:
            optimizer.zero_grad()
            net(batch).square().sum().backward()
            optimizer.step()

    net, new = cell.place(network()), cell.place(network())
    optimizer = OPTIMIZERS[kind](net.parameters())
    train(net, optimizer, batches[:2])
    checkpoint = round_trip({"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 2})
    train(net, optimizer, batches[2:])
    resumed = OPTIMIZERS[kind](new.parameters())
    new.load_state_dict(checkpoint["model"])
    resumed.load_state_dict(checkpoint["optimizer"])
    train(new, resumed, batches[checkpoint["epoch"] :])
    for name, one in net.state_dict().items():
        assert_same(new.state_dict()[name], one, what=name)


@claim("ser-not-saved")
def test_gradients_are_not_saved(cell):
    for leaf in (cell.tensor([1.0], requires_grad=True), nn.Parameter(cell.tensor([1.0]))):
        leaf.grad = torch.ones_like(leaf)
        seen = round_trip(leaf)
        assert (seen.grad, seen.requires_grad) == (None, True)


@claim("ser-not-saved")
def test_history_is_not_saved(cell):
    seen = round_trip(cell.tensor([1.0], requires_grad=True) * 2)
    assert (seen.grad_fn, seen.is_leaf, seen.requires_grad, seen.tolist()) == (None, True, True, [2])


@claim("ser-not-saved")
def test_lost_hooks_are_warned_of(cell):
    leaf = cell.tensor([1.0], requires_grad=True)
    leaf.register_hook(lambda grad: grad * 10)
    with pytest.warns(UserWarning, match=r"backward hook .* on tensor will not be serialized"):
        seen = round_trip(leaf)
    seen.backward()
    assert seen.grad.tolist() == [1]


@claim("ser-unserializable-hook")
def test_hooks_that_are_meant_to_be_lost(cell):
    silent = cell.tensor([1.0], requires_grad=True)
    silent.register_hook(torch.utils.hooks.unserializable_hook(lambda grad: grad))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        saved(silent)
    messages = [str(one.message) for one in seen if "serialized" in str(one.message)]
    assert not messages, f"expected no warning, seen {messages[0]}"


class Trap:
    """Pickled, it asks whoever loads it to call a function."""

    fired: list[str] = []  # noqa: RUF012

    def __reduce__(self):
        return spring, ("fired",)


def spring(word):
    Trap.fired.append(word)


REFUSED = {
    "module": lambda: nn.Linear(1, 1),
    "module in a dict": lambda: {"model": nn.ReLU()},
    "class": lambda: nn.ReLU,
    "function": lambda: torch.nn.functional.relu,
    "object": Trap,
    "object beside tensors": lambda: [torch.ones(1), Trap()],
}


@claim("ser-weights-only")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    file = saved(REFUSED[case]())
    Trap.fired.clear()
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)
    assert Trap.fired == []
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(file, weights_only=False)
    assert Trap.fired == ["fired"] * ("object" in case)


@claim("ser-weights-only-default")
@pytest.mark.parametrize("case", REFUSED)
def test_the_default_refuses(case):
    Trap.fired.clear()
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        torch.load(saved(REFUSED[case]()))
    assert Trap.fired == []


@claim("ser-weights-only-default")
def test_the_default_takes_state_dicts(cell):
    state = cell.place(nn.Linear(1, 1)).state_dict()
    assert_same(torch.load(saved(state))["weight"], state["weight"], what="weight")


PRIMITIVES = [
    0,
    -1,
    2**70,
    1.5,
    float("inf"),
    True,
    None,
    "",
    "é",
    b"bytes",
    1j,
    (1, (2,)),
    [],
    {1: {"a": b"x" * 300}},
]


def loaded(value):
    try:
        return torch.load(saved(value), weights_only=True)
    except UnpicklingError as error:
        raise AssertionError(f"expected {value!r}, seen {' '.join(str(error).split())}") from None


@claim("ser-weights-only-primitives")
@pytest.mark.parametrize("value", PRIMITIVES, ids=lambda value: ascii(value)[:20])
def test_primitive_types(value):
    seen = loaded(value)
    assert (type(seen), seen) == (type(value), value)


@claim("ser-weights-only-empty-bytes")
def test_empty_bytes():
    assert loaded({"value": b""}) == {"value": b""}


@claim("ser-weights-only-allowlist")
def test_the_allowlist():
    file = saved(nn.ReLU())
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == ["torch.nn.modules.activation.ReLU"]
    parts = [nn.ReLU, set, collections.OrderedDict]

    def load():
        file.seek(0)
        return torch.load(file, weights_only=True)

    before = torch.serialization.get_safe_globals()
    try:
        with torch.serialization.safe_globals(parts):
            assert type(load()) is nn.ReLU
            assert torch.serialization.get_unsafe_globals_in_checkpoint(saved(nn.ReLU())) == []
        with pytest.raises(UnpicklingError, match="Weights only load failed"):
            load()
        torch.serialization.add_safe_globals(parts)
        assert nn.ReLU in torch.serialization.get_safe_globals()
        assert type(load()) is nn.ReLU
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        load()


@claim("ser-weights-only-environment")
def test_the_environment_restricts(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        torch.load(saved(nn.ReLU()), weights_only=False)


@claim("ser-weights-only-environment")
def test_the_environment_lifts_the_default(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert type(torch.load(saved(nn.ReLU()))) is nn.ReLU
    with pytest.raises(UnpicklingError, match="Weights only load failed"):
        torch.load(saved(nn.ReLU()), weights_only=True)


def archive_of(value, folder, name="my.model.pt"):
    torch.save(value, folder / name)
    return zipfile.ZipFile(folder / name)


@claim("ser-zip")
def test_the_archive(tmp_path, cell):
    a, b = cell.tensor([1.0, 2.0]).cpu(), torch.arange(7)
    with archive_of({"a": a, "b": b, "again": a}, tmp_path) as archive:
        entries = archive.infolist()
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        folders = {entry.filename.partition("/")[0] for entry in entries}
        assert len(folders) == 1
        names = [entry.filename.partition("/")[2] for entry in entries]
        wanted = ["data.pkl", "data/0", "data/1", "version"]
        assert [name for name in names if name in wanted] == wanted
        assert [name for name in names if name.startswith("data/")] == ["data/0", "data/1"]
        (folder,) = folders
        assert archive.read(f"{folder}/data/0") == struct.pack(f"=2{'f' if a.dtype == torch.float32 else 'd'}", 1, 2)
        assert archive.read(f"{folder}/data/1") == struct.pack("=7q", *range(7))
        assert int(archive.read(f"{folder}/version")) >= 1
        assert archive.testzip() is None


@claim("ser-zip-byteorder")
def test_the_order_of_bytes(tmp_path):
    with archive_of([torch.ones(1)], tmp_path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        (name,) = [name for name in archive.namelist() if name.endswith("/byteorder")]
        assert names.index("data.pkl") < names.index("byteorder") < names.index("data/0")
        assert archive.read(name).decode() == sys.byteorder


@claim("ser-zip-entries")
def test_nothing_else_is_in_the_archive(tmp_path):
    with archive_of([torch.ones(1)], tmp_path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    others = [name for name in names if name not in ("data.pkl", "byteorder", "data/0", "version")]
    assert not others, f"expected nothing else, seen {' '.join(others)}"


@claim("ser-zip-aligned")
def test_contents_are_aligned():
    file = saved({str(count): torch.ones(count) for count in (1, 3, 16, 17, 100)})
    content = file.getvalue()
    for entry in zipfile.ZipFile(file).infolist():
        name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
        begin = entry.header_offset + 30 + name + extra
        assert begin % 64 == 0, entry.filename


@claim("ser-legacy")
def test_the_format_of_old(cell):
    numbers = matrix(cell)
    file = saved([numbers, numbers[1], "text"], _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(file)
    assert zipfile.is_zipfile(saved(1))
    file.seek(0)
    whole, row, text = torch.load(file, weights_only=True)
    assert_same(whole, numbers, what="values")
    row.zero_()
    assert not whole[1].any()
    assert text == "text"


@claim("ser-map-location")
@pytest.mark.parametrize("place", ["meta", torch.device("meta"), {"cpu": "meta"}], ids=repr)
def test_places(place):
    assert torch.load(saved([torch.ones(2)]), map_location=place, weights_only=True)[0].is_meta


@claim("ser-map-location")
@pytest.mark.parametrize("place", [None, "cpu", torch.device("cpu"), {"cuda:0": "meta"}, {}], ids=repr)
def test_places_that_change_nothing(place):
    (seen,) = torch.load(saved([torch.ones(2)]), map_location=place, weights_only=True)
    assert (seen.device.type, seen.tolist()) == ("cpu", [1, 1])


@claim("ser-map-location")
@pytest.mark.parametrize("returns", ["None", "the storage", "another"])
def test_a_callable_places_storages(returns):
    calls = []

    def place(storage, location):
        calls.append((storage.nbytes(), location))
        return {"None": None, "the storage": storage, "another": torch.zeros(2).untyped_storage()}[returns]

    numbers = torch.ones(2)
    seen = torch.load(saved([numbers, numbers[1:], torch.ones(2)]), map_location=place, weights_only=True)
    assert calls == [(8, "cpu"), (8, "cpu")]
    assert [one.tolist() for one in seen] == ([[0, 0], [0], [0, 0]] if returns == "another" else [[1, 1], [1], [1, 1]])


@claim("ser-mmap")
def test_a_mapped_file(tmp_path, cell):
    path, values = tmp_path / "values.pt", matrix(cell)
    torch.save({"values": values}, path)
    for name in (path, str(path)):
        seen = torch.load(name, mmap=True, weights_only=True, map_location="cpu")["values"]
        assert_same(seen.to(values.device), values, what="values")
        seen.zero_()
        del seen
    assert_same(torch.load(path, weights_only=True)["values"], values, what="what stands in the file")
    with pytest.raises(ValueError, match=r"f must be a (file path|string filename|file name|string)"):
        torch.load(saved(values), mmap=True, weights_only=True)


@claim("ser-files")
@pytest.mark.parametrize("as_path", [str, lambda path: path, os.fspath], ids=["text", "path", "fspath"])
def test_paths(as_path, tmp_path, cell):
    path = as_path(tmp_path / "values.pt")
    torch.save(matrix(cell), path)
    assert_same(torch.load(path, weights_only=True), matrix(cell), what="values")
    torch.save([1], path)
    assert torch.load(path, weights_only=True) == [1]


@claim("ser-files")
def test_open_files(tmp_path, cell):
    path = tmp_path / "values.pt"
    with open(path, "wb") as file:
        torch.save(matrix(cell), file)
    with open(path, "rb") as file:
        assert_same(torch.load(file, weights_only=True), matrix(cell), what="values")


@claim("ser-files")
def test_missing_places(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "none.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        torch.save(1, tmp_path / "none" / "none.pt")
    assert list(tmp_path.iterdir()) == []
