"""What the benchmarks share: timing in pairs, and a table of figures."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tools.files.atomic import atomic_write


def seconds(function: Callable) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(ours: Callable, plain: Callable, repeat: int) -> tuple[float, float, float]:
    """Median seconds of both, and the median ratio of the plain to ours, run in turn."""
    ours(), plain()
    pairs = [(seconds(ours), seconds(plain)) for _ in range(repeat)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def show_figures(title: str, figures: dict[str, float], json_path: str | None, about: dict) -> None:
    """Print a table; with ``json_path`` also write it there, beside ``about``."""
    width = max(map(len, figures))
    print(title)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:12.4g}")
    if json_path:
        with atomic_write(Path(json_path)) as file:
            file.write(json.dumps({**about, "figures": figures}, indent=1).encode())
