"""Reports on disk: written whole or not at all, and found unwritable before a run starts."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path


class ReportError(Exception):
    """A report that cannot be read, made or written; the message is one line."""


def check_writable(option: str, path: Path) -> None:
    """Makes sure, before a run starts, that its report can be written.

    Raises:
        ReportError: ``path`` is no regular file, or its folder does not exist or cannot be written to.
    """
    if path.exists() and not path.is_file():
        raise ReportError(f"{option}: {path} is not a regular file; name a file to write")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
        if path.exists():
            path.open("ab").close()
    except OSError as error:
        raise ReportError(f"{option}: cannot write {path}: {error.strerror}; name a file that you may write") from None


def append(option: str, path: Path, text: str) -> None:
    """Adds ``text`` to the end of ``path``, whole or not at all.

    Raises:
        ReportError: the file cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(text.encode()) < len(text.encode()):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except BaseException:
                with suppress(OSError):
                    file.truncate(before)
                raise
    except OSError as error:
        raise ReportError(f"{option}: cannot add to {path}: {error.strerror}; it is as it was before") from None


def write(option: str, path: Path, text: str) -> None:
    """Writes ``text`` whole or not at all: an existing file stays as it was until the new one is complete.

    Raises:
        ReportError: the file cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            try:
                file.write(text)
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ReportError(
            f"{option}: cannot write {path}: {error.strerror}; what was there before is unchanged"
        ) from None
