"""Files and folders that are either as they were or completely written, whatever interrupts the writing.

What is being written has a name of its own beside the place it is for, and is locked. What has such a name and no lock
was left by a process that was killed. The name has a random part, and is made only where nothing has it: where others
can write too, nobody can put a link there beforehand that leads what is written, or removed, somewhere else.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # not Unix
    LOCK_EX = LOCK_NB = 0

    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


try:
    from os import O_NOFOLLOW, O_NONBLOCK
except ImportError:  # not Unix
    O_NOFOLLOW = O_NONBLOCK = 0

_LONGEST = 220  # bytes of a name that a temporary one repeats, so that it has at most 255 with what is added
_TEMPORARY = re.compile(r"\.(.+)\.tmp-([0-9]+)(?:-[0-9a-f]{8})?", re.DOTALL)  # earlier versions had no random part


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
    with _open_locked(temporary) as file:
        try:
            yield file
            _sync(file)
            os.replace(temporary, path)  # still locked, or it could be taken for one that was left
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def atomic_write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files so that each takes its place only once all of them are complete and on the disk, in this order.

    Where one cannot be written, all are as they were.
    """
    if folder := next((path for path in contents if path.is_dir()), None):
        raise IsADirectoryError(f"{folder} is a folder")
    with contextlib.ExitStack() as stack:
        for path, content in reversed(contents.items()):  # what is entered last is left first
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            _sync(file)


@contextlib.contextmanager
def atomic_folder(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A folder to fill that takes the name ``path`` once it is complete; one that is not is removed.

    The files in it are synced by whoever writes them, as ``atomic_write`` does; the folder is synced here.
    aside: where to move what has the name, at the last moment. Without it the name has to be free.
    """
    with temporary_folder(path) as temporary:
        yield temporary
        sync_folder(temporary)
        if aside and path.exists():
            path.rename(aside)
        temporary.rename(path)  # still locked, or it could be taken for one that was left
    sync_folder(path.parent)


@contextlib.contextmanager
def temporary_folder(path: Path, mode: int = 0o777) -> Iterator[Path]:
    """A folder beside ``path`` to work in, which is removed afterwards unless it has been renamed.

    What killed processes left there for ``path`` is removed first. mode: of the folder, less what the umask takes.
    """
    remove_unfinished(path.parent, path.name)
    temporary = temporary_path(path)
    with _make_locked(temporary, mode):
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def temporary_path(path: Path) -> Path:
    """What a file or folder is called until it is complete: another name at each call."""
    return path.with_name(f".{_stem(path.name)}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


def _stem(name: str) -> str:
    """What a temporary name has of another: all of it, unless that would make it longer than a name can be."""
    content = os.fsencode(name)
    fits = len(content) <= _LONGEST or len(content) > 255  # the latter has no place, which is to be told at once
    return name if fits else content[:_LONGEST].decode(errors="ignore")


def remove_unfinished(folder: Path, name: str | None = None, *, begins: str = "") -> None:
    """Remove what killed processes were writing with the functions above, for one file or folder or all.

    begins: for those whose names begin so. What others are writing stays.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:  # not there, or not to be listed: whoever writes there next says so if it matters
        return
    for entry in entries:
        match = _TEMPORARY.fullmatch(entry.name)
        if match and match[1].startswith(begins) and (name is None or match[1] in (name, _stem(name))):
            _remove_unless_locked(Path(entry.path), entry.is_dir(follow_symlinks=False), int(match[2][:20]))


def _remove_unless_locked(path: Path, is_folder: bool, process: int) -> None:
    # No link is followed, which none of ours is, and no pipe waited for.
    flags = os.O_RDONLY if is_folder else os.O_RDWR
    try:
        handle = os.open(path, flags | O_NOFOLLOW | O_NONBLOCK)
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
            shutil.rmtree(path, ignore_errors=True) if is_folder else path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _open_locked(path: Path) -> BinaryIO:
    """A new file, locked until it is closed or this process ends."""
    while True:
        file = open(path, "wb", opener=open_new)  # noqa: SIM115
        _lock(file.fileno())
        if _is_at(file.fileno(), path):
            return file
        file.close()  # another process has taken it for one that was left, before it was locked


def open_new(path: str, flags: int) -> int:
    """Open a file that is not there yet; whatever has the name, a link too, is a FileExistsError."""
    return os.open(path, flags | os.O_EXCL | O_NOFOLLOW, 0o666)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _make_locked(path: Path, mode: int) -> Iterator[None]:
    """A new folder, locked meanwhile."""
    while True:
        path.mkdir(mode)
        handle = os.open(path, os.O_RDONLY | O_NOFOLLOW)
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
        return os.path.samestat(os.fstat(handle), path.lstat())
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
    probe_folder(folder, path.name)


def probe_folder(folder: Path, name: str) -> None:
    """Raise OSError unless a file of this name could be written in a folder."""
    probe = temporary_path(folder / name)
    with open(probe, "wb", opener=open_new):
        probe.unlink(missing_ok=True)  # another process may have taken it for one that was left


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
