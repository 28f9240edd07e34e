"""Locks between runs: one holder at a time, until it lets go or its process ends, however that ends.

A lock is an empty file. It stays when nobody holds the lock, for whoever comes next.
"""

import errno
from pathlib import Path

from filelock import FileLock, Timeout

# As filelock 3.30.0 to 4.3.1 do it. Earlier ones have no fallback_to_soft, let go of a lock when a child that was
# forked meanwhile drops its copy, and some delete the file. Left as they are on purpose: each object is a holder of
# its own (no singleton), so that a second one is refused in this process as in another, and the umask alone decides
# who else may open the file (no mode).
_OPTIONS = {
    # One holder, whichever thread lets go; by default another thread's release() would do nothing and say nothing.
    "thread_local": False,
    # A file system without locks is an OSError. The substitute, a marker file, would outlive a killed process.
    "fallback_to_soft": False,
}


class HeldLock:
    """A lock that is held from the start, until ``release``, the end of a ``with`` block or of the process.

    path: of the file; its folder is made. wait: until another holder lets go, by trying every 0.05 s; RuntimeError
    for one in this thread, which never would. Without it, BlockingIOError for another holder, here or in another
    process. Any other OSError: there can be no lock, as in a folder to read only or without locks in the file system.
    """

    def __init__(self, path: Path, *, wait: bool = False):
        self._lock = FileLock(path, **_OPTIONS)
        try:
            self._lock.acquire(blocking=wait)
        except Timeout:
            raise BlockingIOError(errno.EAGAIN, "another run holds the lock", str(path)) from None

    def release(self) -> None:
        """Let go; once is enough, again does no harm."""
        self._lock.release()

    def __enter__(self) -> "HeldLock":
        return self

    def __exit__(self, *error) -> None:
        self.release()
