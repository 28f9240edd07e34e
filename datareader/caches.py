"""What is remembered beside a list, in a NumPy archive: it saves time, and nothing else depends on it."""

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import numpy as np

from tools.files.locks import HeldLock

Content = TypeVar("Content")

# What a cache that is missing, damaged or made by hand can raise.
_UNUSABLE = (
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_cache(
    path: Path, parse: Callable[[dict[str, np.ndarray]], Content], without: Collection[str] = ()
) -> Content | None:
    """What ``parse`` makes of the arrays in a cache, but for those ``without``; None where none can be used."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as cache:
            return parse({name: cache[name] for name in cache.files if name not in without})
    except _UNUSABLE:
        return None


def lock_beside(path: Path) -> contextlib.AbstractContextManager:
    """One process at a time fills a cache, as far as there can be a lock beside it; the others of a run wait for it."""
    try:
        return HeldLock(path.with_name(f".{path.name}.lock"), wait=True)
    except OSError:  # in a folder to read only each does the work itself, which costs time alone
        return contextlib.nullcontext()
