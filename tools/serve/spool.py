"""Where uploads lie while they are read: a folder of this user alone, removed at the end or at the next start."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from tools.errors import ConfigError
from tools.files.locks import HeldLock

_LOCK = ".lock"


class Spool:
    """Context manager: a folder of this server's own. Those of servers that were killed are removed when it is made.

    Raises ConfigError where there can be none.
    """

    def __init__(self):
        self._base = Path(tempfile.gettempdir()) / f"paddle-video-serve-{os.geteuid()}"
        self._folder = self._base / secrets.token_hex(16)

    def __enter__(self) -> "Spool":
        try:
            _make_private(self._base)
            self._remove_leftovers()
            # Before the folder, so that no folder of a server that lives is ever without a lock that is held.
            self._lock = HeldLock(self._lock_of(self._folder))
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"uploads cannot be kept in {self._base}: {error}; set TMPDIR to another folder"
            ) from None
        return self

    def __exit__(self, *error) -> None:
        self.remove()
        self._lock.release()

    def remove(self) -> None:
        """All uploads with their folder, and its lock's file, which nobody else looks for."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock_of(self._folder).unlink(missing_ok=True)

    def new_path(self) -> Path:
        """A file that is not there yet. Raises OSError where its folder was removed and cannot be made anew."""
        if not self._folder.is_dir():  # what tidies temporary folders was here
            _make_private(self._base)
            self._hold_again()
            self._folder.mkdir(mode=0o700)
        return self._folder / secrets.token_hex(16)

    def _hold_again(self) -> None:
        """Hold the lock that others see: where its file was removed too, they take the folder for one of the dead."""
        path = self._lock_of(self._folder)
        if not path.exists():
            before, self._lock = self._lock, HeldLock(path)
            before.release()

    def _remove_leftovers(self) -> None:
        for folder in [path for path in self._base.iterdir() if path.is_dir()]:
            lock = self._lock_of(folder)
            try:
                held = HeldLock(lock)
            except BlockingIOError:  # that server lives
                continue
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            held.release()

    @staticmethod
    def _lock_of(folder: Path) -> Path:
        return folder.with_name(folder.name + _LOCK)


def _make_private(folder: Path) -> None:
    """Make a folder that others can neither list nor write. Raises OSError, and ConfigError for one that is theirs."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(
            f"{folder} is no folder that only this user can open; remove it, or set TMPDIR to another folder"
        )
