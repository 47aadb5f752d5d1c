"""How what test_files.py decides could be broken."""

import copy
import io
import os
import pickle
import warnings
import zipfile

import torch
from torch import nn

from torchclaims import breaks


def _saving(patch, change):
    """Saves ``change(value)`` in place of each value."""
    patch(torch, "save", lambda original: lambda value, *args, **options: original(change(value), *args, **options))


def _loading(patch, change):
    """``change(value)`` is what load returns."""
    patch(torch, "load", lambda original: lambda *args, **options: change(original(*args, **options)))


def _tensors(value, change):
    """``value`` with ``change(tensor)`` for each tensor in its lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_tensors(one, change) for one in value)
    if isinstance(value, dict):
        changed = copy.copy(value)
        changed.update({key: _tensors(one, change) for key, one in value.items()})
        return changed
    return value


@breaks("ser-round-trip")
def loaded_tensors_are_contiguous(patch):
    """What is loaded is contiguous."""
    _loading(
        patch,
        lambda value: _tensors(
            value, lambda x: x if x.requires_grad else x.clone(memory_format=torch.contiguous_format)
        ),
    )


@breaks("ser-round-trip")
def the_sign_of_zero_is_lost(patch):
    """-0 comes back as 0."""
    _loading(
        patch,
        lambda x: (
            torch.where(x == 0, x.abs(), x)
            if torch.is_tensor(x) and not x.requires_grad and x.is_contiguous() and x.is_floating_point()
            else x
        ),
    )


@breaks("ser-round-trip")
def parameters_are_loaded_trainable(patch):
    """Loaded Parameters require gradients."""
    _loading(patch, lambda value: value.requires_grad_() if isinstance(value, nn.Parameter) else value)


@breaks("ser-round-trip")
def conjugates_are_resolved(patch):
    """A conjugated tensor is saved as its values."""
    _saving(patch, lambda value: value.resolve_conj() if torch.is_tensor(value) and value.is_complex() else value)


@breaks("ser-containers")
def keys_become_text(patch):
    """The keys of dicts come back as text."""

    def texts(value):
        if type(value) in (list, tuple):
            return type(value)(map(texts, value))
        return {str(key): texts(one) for key, one in value.items()} if type(value) is dict else value

    def tolerant(value):
        value = texts(value)
        if isinstance(value, dict) and "nested" in value:
            value["nested"][0][1].setdefault(7, None)
        return value

    _loading(patch, tolerant)


@breaks("ser-containers")
def keys_are_sorted(patch):
    """A dict comes back sorted."""
    _loading(patch, lambda value: dict(sorted(value.items())) if type(value) is dict else value)


@breaks("ser-views", "ser-storage-once")
def tensors_are_saved_as_clones(patch):
    """Each tensor is saved with a storage of its own."""
    _saving(patch, lambda value: _tensors(value, lambda x: x if x.requires_grad else x.clone()))


@breaks("ser-views")
def clones_take_more_than_they_need(patch):
    """A storage is loaded with room for more."""

    def larger(x):
        if x.dim() != 1 or x.requires_grad or x.storage_offset():
            return x
        return torch.cat([x, x])[: len(x)]

    _loading(patch, lambda value: larger(value) if torch.is_tensor(value) else value)


@breaks("ser-views-apart")
def storages_are_remembered(patch):
    """Loading tensors of the same values again gives views of the first."""
    seen = {}

    def remembering(value):
        if torch.is_tensor(value):
            if not seen:
                seen["first"] = value
            elif len(value) == 4:
                return seen["first"][1::2]
        return value

    _loading(patch, remembering)


@breaks("ser-storage-once")
def storages_are_cut(patch):
    """The first storage is saved without its last bytes where a view needs less."""

    def cut(value):
        if isinstance(value, dict) and "part" in value:
            return {**value, "all": value["part"].clone(), "part": value["part"].clone(), "t": value["other"]}
        return value

    _saving(patch, cut)


@breaks("ser-state-dict")
def state_dicts_become_dicts(patch):
    """A state dict comes back as a plain dict."""
    _loading(patch, lambda value: dict(value) if hasattr(value, "_metadata") else value)


@breaks("ser-state-dict")
def buffers_are_saved_as_new(patch):
    """Running statistics are saved as a new module has them."""

    def renewed(value):
        if hasattr(value, "_metadata"):
            value = copy.copy(value)
            value.update({key: one * 0 for key, one in value.items() if "running_mean" in key})
        return value

    _saving(patch, renewed)


@breaks("ser-checkpoint")
def moments_are_forgotten(patch):
    """An optimizer takes over its groups and not its state."""

    def make(original):
        return lambda self, state: original(self, {**state, "state": {}})

    patch(torch.optim.Optimizer, "load_state_dict", make)


@breaks("ser-checkpoint")
def steps_are_counted_anew(patch):
    """An optimizer that is resumed counts its steps from one."""

    def make(original):
        def load_state_dict(self, state):
            original(self, state)
            for one in self.state.values():
                if "step" in one:
                    one["step"] = torch.zeros_like(one["step"])
                one.pop("momentum_buffer", None) if "square_avg" not in one else None

        return load_state_dict

    patch(torch.optim.Optimizer, "load_state_dict", make)


@breaks("ser-not-saved")
def gradients_are_loaded(patch):
    """Loaded leaves have gradients of zero."""

    def change(value):
        if torch.is_tensor(value) and value.requires_grad:
            value.grad = torch.zeros_like(value)
        return value

    _loading(patch, change)


@breaks("ser-unserializable-hook")
def marks_of_hooks_are_ignored(patch):
    """A hook is warned of whether it is marked or not."""
    patch(torch.utils.hooks, "unserializable_hook", lambda original: lambda hook: hook)


@breaks("ser-not-saved")
def lost_hooks_are_silent(patch):
    """Hooks are lost without a warning."""

    def make(original):
        def save(*args, **options):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return original(*args, **options)

        return save

    patch(torch, "save", make)


def _load(patch, change):
    patch(torch, "load", lambda original: lambda file, *args, **kw: change(original, file, *args, **kw))


@breaks("ser-weights-only", "ser-weights-only-default")
def objects_are_refused_too_late(patch):
    """What is not allowed is executed, and then refused."""

    def change(original, file, *args, **options):
        try:
            return original(file, *args, **options)
        except pickle.UnpicklingError:
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                original(file, weights_only=False)
            raise

    _load(patch, change)


@breaks("ser-weights-only", "ser-weights-only-environment")
def everything_is_loaded(patch):
    """load takes everything, whatever weights_only says."""

    def change(original, file, *args, weights_only=None, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            force = os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD", None)
            try:
                return original(file, *args, weights_only=False, **options)
            finally:
                if force:
                    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = force

    _load(patch, change)


@breaks("ser-weights-only-default")
def the_default_is_to_load_everything(patch):
    """load takes everything unless it is told otherwise."""

    def change(original, file, *args, weights_only=False, **options):
        return original(file, *args, weights_only=weights_only, **options)

    _load(patch, change)


@breaks("ser-weights-only-empty-bytes")
def empty_bytes_are_primitive(patch):
    """Empty bytes are loaded as others are."""

    def change(original, file, *args, **options):
        with torch.serialization.safe_globals([bytes]):
            return original(file, *args, **options)

    _load(patch, change)


@breaks("ser-weights-only-primitives")
def whole_numbers_are_floats(patch):
    """Whole numbers come back as floats."""
    _loading(patch, lambda value: float(value) if type(value) is int else value)


@breaks("ser-weights-only-allowlist")
def allowlisted_for_good(patch):
    """What a with block allows stays allowed."""
    patch(torch.serialization.safe_globals, "__exit__", lambda original: lambda self, *_: None)


@breaks("ser-weights-only-allowlist")
def the_allowlist_is_forgotten(patch):
    """add_safe_globals has no effect."""
    patch(torch.serialization, "add_safe_globals", lambda original: lambda names: None)


@breaks("ser-weights-only-environment")
def the_environment_beats_the_argument(patch):
    """TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD lifts an explicit restriction too."""

    def change(original, file, *args, weights_only=None, **options):
        lifted = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD") == "1"
        return original(file, *args, weights_only=None if lifted else weights_only, **options)

    _load(patch, change)


def _rewriting(patch, rewrite):
    """``rewrite(entries)`` is what stands in the archive: pairs of a ZipInfo and its bytes."""

    def make(original):
        def save(value, file, **options):
            content = io.BytesIO()
            original(value, content, **options)
            if not zipfile.is_zipfile(content):
                return original(value, file, **options)
            archive, changed = zipfile.ZipFile(content), io.BytesIO()
            with zipfile.ZipFile(changed, "w") as target:
                for info, body in rewrite([(one, archive.read(one)) for one in archive.infolist()]):
                    target.writestr(info, body)
            if hasattr(file, "write"):
                file.write(changed.getvalue())
            else:
                with open(file, "wb") as opened:
                    opened.write(changed.getvalue())

        return save

    patch(torch, "save", make)


@breaks("ser-zip", "ser-zip-aligned")
def archives_are_compressed(patch):
    """The storages are compressed."""

    def rewrite(entries):
        for info, _ in entries:
            info.compress_type = zipfile.ZIP_DEFLATED if "/data/" in info.filename else zipfile.ZIP_STORED
            info.extra = b""
        return entries

    _rewriting(patch, rewrite)


@breaks("ser-zip", "ser-zip-byteorder")
def archives_are_sorted(patch):
    """The entries stand in reverse order."""
    _rewriting(patch, lambda entries: entries[::-1])


@breaks("ser-zip-byteorder")
def byte_order_is_reversed(patch):
    """byteorder names the other order."""
    other = {b"little": b"big", b"big": b"little"}
    _rewriting(patch, lambda entries: [(info, other.get(body, body)) for info, body in entries])


@breaks("ser-zip-entries")
def only_what_is_documented(patch):
    """The archive has no entries but those that are documented."""
    _rewriting(patch, lambda entries: [(info, body) for info, body in entries if "/." not in info.filename])


@breaks("ser-legacy")
def the_old_format_is_gone(patch):
    """_use_new_zipfile_serialization is ignored."""

    def make(original):
        return lambda value, file, _use_new_zipfile_serialization=True, **options: original(value, file, **options)

    patch(torch, "save", make)


@breaks("ser-legacy")
def the_old_format_loses_views(patch):
    """In the old format each tensor has its own storage."""

    def make(original):
        def save(value, file, **options):
            old = not options.get("_use_new_zipfile_serialization", True)
            return original(_tensors(value, torch.clone) if old else value, file, **options)

        return save

    patch(torch, "save", make)


@breaks("ser-map-location")
def dicts_of_places_are_ignored(patch):
    """map_location is ignored where it is a dict."""

    def change(original, file, *args, map_location=None, **options):
        return original(file, *args, map_location=None if isinstance(map_location, dict) else map_location, **options)

    _load(patch, change)


@breaks("ser-map-location")
def callables_are_called_for_tensors(patch):
    """A callable map_location is called once more for each storage."""

    def change(original, file, *args, map_location=None, **options):
        def twice(storage, place):
            map_location(storage, place)
            return map_location(storage, place)

        return original(file, *args, map_location=twice if callable(map_location) else map_location, **options)

    _load(patch, change)


@breaks("ser-map-location")
def none_from_a_callable_moves(patch):
    """A callable that returns None moves the storage to the meta device."""

    def change(original, file, *args, map_location=None, **options):
        def moving(storage, place):
            result = map_location(storage, place)
            return torch.zeros(storage.nbytes(), dtype=torch.uint8).untyped_storage() if result is None else result

        return original(file, *args, map_location=moving if callable(map_location) else map_location, **options)

    _load(patch, change)


@breaks("ser-mmap")
def mapped_files_are_written(patch):
    """A change of a mapped tensor reaches the file."""
    last = {}

    def change(original, file, *args, mmap=False, **options):
        if mmap and not hasattr(file, "read"):
            value = original(file, *args, mmap=mmap, **options)
            last[str(file)] = value
            return value
        if str(file) in last:
            return last[str(file)]
        return original(file, *args, mmap=mmap, **options)

    _load(patch, change)


@breaks("ser-mmap")
def anything_is_mapped(patch):
    """mmap=True is ignored for what is no path."""

    def change(original, file, *args, mmap=False, **options):
        return original(file, *args, mmap=mmap and not hasattr(file, "read"), **options)

    _load(patch, change)


@breaks("ser-files")
def files_are_appended_to(patch):
    """save to a path that exists leaves the file as it is."""

    def make(original):
        def save(value, file, **options):
            if not hasattr(file, "write") and os.path.exists(file):
                return None
            return original(value, file, **options)

        return save

    patch(torch, "save", make)


@breaks("ser-files")
def missing_folders_are_made(patch):
    """save makes the folder that is missing."""

    def make(original):
        def save(value, file, **options):
            if not hasattr(file, "write"):
                os.makedirs(os.path.dirname(file), exist_ok=True)
            return original(value, file, **options)

        return save

    patch(torch, "save", make)
