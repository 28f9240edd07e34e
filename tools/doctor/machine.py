"""What a machine has: versions, processor, memory, disks, and folders one may write to. Imports nothing of weight."""

import os
import platform
import shutil
from pathlib import Path

from tools.runtime.packages import find_installed

PACKAGES = {  # what they are called here -> in requirements.txt
    "NumPy": "numpy",
    "OpenCV": "opencv-python-headless",
    "PyAV": "av",
    "Pillow": "Pillow",
    "Paddle": "paddlepaddle",
}


def find_version(package: str) -> str | None:
    """The version of one of PACKAGES, with its distribution's name; None where it is not installed."""
    installed = find_installed(PACKAGES[package])
    return installed and f"{installed[1]} ({installed[0]})"


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def existing_parent(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def refuses_writing(folder: Path) -> str:
    """Why nothing can be written in a folder, or "". One that is not there is not made; its parent is asked."""
    place = existing_parent(folder)
    probe = place / f".write-probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(existing_parent(folder)).free
