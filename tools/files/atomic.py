"""Files and folders that are either as they were or completely written, whatever interrupts the writing.

What is being written has a name of its own beside the place it is for, and is locked. What has such a name and no lock
was left by a process that was killed.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # not Unix
    LOCK_EX = LOCK_NB = 0

    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@contextlib.contextmanager
def atomic_write(path: Path, *, among_many: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` once it is complete and on the disk; makes its folder.

    What killed processes left of it is removed first, unless it is one ``among_many`` in a folder that would be listed
    for each of them: whoever writes those calls ``remove_unfinished`` once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not among_many:
        remove_unfinished(path.parent, path.name)
    temporary = temporary_path(path)
    try:
        with _open_locked(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)  # still locked, or it could be taken for one that was left
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A folder to fill that takes the name ``path`` once it is complete; one that is not is removed.

    The files in it are synced by whoever writes them, as ``atomic_write`` does; the folder is synced here.
    aside: where to move what has the name, at the last moment. Without it the name has to be free.
    """
    remove_unfinished(path.parent, path.name)
    temporary = temporary_path(path)
    try:
        with _make_locked(temporary):
            yield temporary
            sync_folder(temporary)
            if aside and path.exists():
                path.rename(aside)
            temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_path(path: Path) -> Path:
    """What this process calls a file or folder until it is complete."""
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes were writing with the functions above, for one file or folder or all.

    What others are writing stays.
    """
    for path in folder.glob(".*.tmp-*"):
        stem, _, process = path.name[1:].rpartition(".tmp-")
        if process.isdigit() and name in (None, stem):
            _remove_unless_locked(path, int(process))


def _remove_unless_locked(path: Path, process: int) -> None:
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:  # it is gone, or not ours
        return
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # a file system without locks
            if _is_another(process):
                return
        if _is_at(handle, path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _open_locked(path: Path) -> BinaryIO:
    """A new file, locked until it is closed or this process ends."""
    while True:
        file = open(path, "wb")  # noqa: SIM115
        _lock(file.fileno())
        if _is_at(file.fileno(), path):
            return file
        file.close()  # another process has taken it for one that was left, before it was locked


@contextlib.contextmanager
def _make_locked(path: Path) -> Iterator[None]:
    """A new folder, locked meanwhile."""
    while True:
        path.mkdir()
        handle = os.open(path, os.O_RDONLY)
        try:
            _lock(handle)
            if _is_at(handle, path):
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks, where the process number in the name has to do
        flock(handle, LOCK_EX)


def _is_at(handle: int, path: Path) -> bool:
    """Whether what is open is what has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


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
    probe.unlink(missing_ok=True)  # another process may have taken it for one that was left


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
