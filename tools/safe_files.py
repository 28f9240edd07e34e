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


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes were writing with ``replacing``; no other may be writing now."""
    for path in folder.glob(".*.tmp-*"):
        if path.name.rpartition("-")[2].isdigit() and path.is_file():
            path.unlink()


def require_place(path: Path) -> None:
    """Raise OSError unless a file can be written at ``path``; makes its folder. Ask before long work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
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
