"""What a machine has: disks, and folders one may write to. Imports nothing of weight."""

import os
import shutil
from pathlib import Path

from tools.files.atomic import probe_folder


def existing_parent(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def refuses_writing(folder: Path) -> str:
    """Why nothing can be written in a folder, or "". One that is not there is not made; its parent is asked."""
    place = existing_parent(folder)
    try:
        probe_folder(place, "probe")
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(existing_parent(folder)).free
