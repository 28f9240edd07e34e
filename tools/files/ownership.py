"""Whether another user could have written what lies on the disk; the administrator, who can write all, counts not."""

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def describe_other_writers(path: Path) -> str:
    """How another user could change a file, or what is in a folder; "" where none could. Raises OSError.

    Into a folder with the sticky bit, as of /tmp, others can put something, which is theirs, but change nothing.
    """
    if os.name != "posix":  # no owners and modes of this kind
        return ""
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user (number {status.st_uid})"
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS and not sticky:
        return f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return ""


def close_to_others(path: Path) -> None:
    """Take from the group and all others the right to write a file or folder of ours. Raises OSError."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
