"""What a run runs on, in words: versions, processor, threads. Imports nothing of weight."""

import os
import platform
from pathlib import Path

from tools.runtime.cpu import usable_cores
from tools.runtime.packages import VERSION, find_installed

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


def describe_environment() -> dict[str, str]:
    """Name -> text, of this process. The number of threads is what ``tune_cpu`` or the user has set."""
    cores = usable_cores()
    return {
        "project": VERSION,
        "Python": platform.python_version(),
        **{package: version for package in PACKAGES if (version := find_version(package))},
        "system": platform.platform(),
        "processor": f"{processor_name()}, {cores} core{'s' * (cores > 1)} usable",
        "threads": os.environ.get("OMP_NUM_THREADS", "as Paddle chooses"),
    }
