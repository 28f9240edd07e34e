"""What is remembered beside a list, in a NumPy archive: it saves time, and nothing else depends on it."""

import contextlib
import logging
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import numpy as np

from tools.files.arrays import NO_ARCHIVE, NoArrayError, read_member
from tools.files.locks import HeldLock
from tools.runtime.text import printable, shorten

Content = TypeVar("Content")

# What a cache that is missing, damaged or made by hand can raise.
_UNUSABLE = (*NO_ARCHIVE, NoArrayError)

log = logging.getLogger(__name__)


def load_cache(
    path: Path,
    parse: Callable[[dict[str, np.ndarray]], Content],
    without: Collection[str] = (),
    quiet: bool = False,
) -> Content | None:
    """What ``parse`` makes of the arrays in a cache, but for those ``without``; None where none can be used.

    quiet: whether the log hears nothing of one that is there and damaged, as it has heard of it.
    """
    try:
        with zipfile.ZipFile(path) as cache:
            _require_as_written(cache, path)
            names = {item.filename.removesuffix(".npy"): item for item in cache.infolist()}
            return parse({name: read_member(cache, item) for name, item in names.items() if name not in without})
    except FileNotFoundError:
        return None
    except _UNUSABLE as error:
        if not quiet:
            log.info(f"{path} is damaged ({shorten(printable(error), 200)}): it is made anew")
        return None


def _require_as_written(cache: zipfile.ZipFile, path: Path) -> None:
    """Raise ValueError unless arrays stand in a cache as they are, so that together they are no larger than it is."""
    if any(item.compress_type != zipfile.ZIP_STORED for item in cache.infolist()):
        raise ValueError("its arrays are compressed, which those of caches are not")
    if sum(item.file_size for item in cache.infolist()) > path.stat().st_size:
        raise ValueError("its arrays are larger than itself")


def lock_beside(path: Path) -> contextlib.AbstractContextManager:
    """One process at a time fills a cache, as far as there can be a lock beside it; the others of a run wait for it."""
    try:
        return HeldLock(path.with_name(f".{path.name}.lock"), wait=True)
    except OSError:  # in a folder to read only each does the work itself, which costs time alone
        return contextlib.nullcontext()
