"""Files that are either as they were or completely written, whatever interrupts the writing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` once it is complete and on the disk."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes were writing with ``replacing``, for one file or all; no other may write now."""
    for path in folder.glob(".*.tmp-*"):
        stem, _, process = path.name[1:].rpartition(".tmp-")
        if process.isdigit() and name in (None, stem) and path.is_file():
            path.unlink()


def require_place(path: Path) -> None:
    """Raise OSError unless a file can be written at ``path``; makes its folder. Ask before long work.

    What a killed process was writing there is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    remove_unfinished(path.parent, path.name)
    probe = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    probe.touch()
    probe.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
