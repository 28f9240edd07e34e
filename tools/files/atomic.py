"""Files and folders that are either as they were or completely written, whatever interrupts the writing."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` once it is complete and on the disk; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A folder to fill that takes the name ``path`` once it is complete; one that is not is removed.

    The files in it are synced by whoever writes them, as ``atomic_write`` does; the folder is synced here.
    aside: where to move what has the name, at the last moment. Without it the name has to be free.
    """
    temporary = temporary_path(path)
    try:
        temporary.mkdir()
        yield temporary
        sync_folder(temporary)
        if aside and path.exists():
            path.rename(aside)
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_path(path: Path) -> Path:
    """What this process calls a file or folder until it is complete; others know by it that it may be removed."""
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")


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
    try:  # killed, and its parent has not asked for its end yet, which in a container without an init may never happen
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):  # not Linux, or gone meanwhile
        return True


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written at ``path``, whose folder may still be to make. Ask before long work.

    What a killed process was writing there is removed. Nothing is made: work that fails leaves no empty folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
    if folder == path.parent:
        remove_unfinished(folder, path.name)
    probe = temporary_path(folder / path.name)
    probe.touch()
    probe.unlink(missing_ok=True)  # another machine may have taken it for one that was left


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
