"""Files that are either as they were or completely written, whatever interrupts the writing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
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
    """Remove what killed processes were writing with ``atomic_write``, for one file or all.

    What another process of this machine is writing stays.
    """
    for path in folder.glob(".*.tmp-*"):
        stem, _, process = path.name[1:].rpartition(".tmp-")
        if process.isdigit() and name in (None, stem) and path.is_file() and not _is_another(int(process)):
            path.unlink(missing_ok=True)


def _is_another(process: int) -> bool:
    """Whether a process of this number is at work, other than this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written at ``path``; makes its folder. Ask before long work.

    What a killed process was writing there is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    remove_unfinished(path.parent, path.name)
    probe = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    probe.touch()
    probe.unlink(missing_ok=True)  # another machine may have taken it for one that was left


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
