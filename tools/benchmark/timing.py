"""What all benchmarks share: seconds, memory, and a table of figures."""

import json
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.files.atomic import atomic_write
from tools.runtime.tables import format_columns


def seconds(function: Callable) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def median_seconds(function: Callable, repeat: int) -> float:
    return statistics.median(seconds(function) for _ in range(repeat))


def compare(ours: Callable, plain: Callable, repeat: int) -> tuple[float, float, float]:
    """Median seconds of both, and the median ratio of the plain to ours, run in turn."""
    ours(), plain()
    pairs = [(seconds(ours), seconds(plain)) for _ in range(repeat)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def peak_memory_mb() -> float:
    """The most memory that this process has held, from Linux itself, as getrusage may give the parent's there."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)
    found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    return int(found[1]) / 1024


def show_figures(title: str, figures: dict[str, float], json_path: str | None, about: dict) -> None:
    """Print a table; with ``json_path`` also write it there, beside ``about``."""
    print(title)
    print(format_columns([(name, f"{value:12.4g}") for name, value in figures.items()]))
    if json_path:
        with atomic_write(Path(json_path)) as file:
            file.write(json.dumps({**about, "figures": figures}, indent=1).encode())
