"""How many records each file of a list holds, and which of them are broken: found once, then cached.

The cache stands beside the list and names files as seen from there, so it holds for every way to write
their paths and moves with them. A file whose size or time of change differs from what the cache remembers
is scanned again, and so is everything when what is expected of the records (widths, number of classes)
changes.
"""

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datareader.lists import ListEntry
from datareader.loader import map_in_order
from tools.cpu import usable_cores
from tools.safe_files import replacing

FORMAT = "2"  # 1 named files as the list did


@dataclass(frozen=True)
class FileIndex:
    """The records of one file.

    num_frames: (records,) int32; 0 for a broken record, which is never read again.
    problems: (record number, text); a record number of -1 stands for the file as a whole, or for what has
    no number.
    """

    num_frames: np.ndarray
    problems: tuple[tuple[int, str], ...] = ()


def build_index(
    list_path: str, entries: list[ListEntry], expected: str, scan: Callable[[str], FileIndex], cache: str
) -> tuple[list[FileIndex], list[str]]:
    """One FileIndex an entry, in list order, and lines worth logging.

    expected: what ``scan`` checks records against, as text; part of the cache's identity.
    scan: path -> FileIndex; called from threads, for new and changed files only. cache: its path.
    """
    cache_path = Path(cache)
    known = _load_cache(cache_path, expected)
    names = {entry.path: os.path.relpath(entry.path, cache_path.parent) for entry in entries}  # in the cache
    stamps = {path: _stamp(path) for path in names}
    new = [path for path, stamp in stamps.items() if known.get(names[path], (None,))[0] != stamp]
    notices = []
    if new:
        scanned = map_in_order(scan, new, usable_cores())
        bar = tqdm(scanned, total=len(new), desc=f"indexing {list_path}", unit="file", disable=None)
        for path, index in zip(new, bar, strict=True):
            known[names[path]] = (stamps[path], index)
        try:
            _save_cache(cache_path, expected, {name: known[name] for name in names.values()})
        except OSError as error:
            notices.append(f"{cache_path} cannot be written ({error}); the next run will scan the files again")
    return [known[names[entry.path]][1] for entry in entries], notices


def _stamp(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def _load_cache(cache_path: Path, expected: str) -> dict:
    """path -> (stamp, FileIndex); empty when there is no cache, or one of another kind or damaged."""
    try:
        with open(cache_path, "rb") as file, np.load(file, allow_pickle=False) as cache:
            return _parse_cache({name: cache[name] for name in cache.files}, expected)
    except _UNUSABLE:
        return {}  # a cache is only ever a saving of time: scan again


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


def _parse_cache(table: dict[str, np.ndarray], expected: str) -> dict:
    if str(table["format"]) != FORMAT or str(table["expected"]) != expected:
        return {}
    counts, num_frames = table["counts"], table["num_frames"]
    if counts.sum() != len(num_frames) or counts.dtype.kind != "i" or num_frames.dtype != np.int32:
        return {}
    frames = np.split(num_frames, np.cumsum(counts)[:-1])
    problems = [[] for _ in frames]
    for file, record, text in zip(table["problem_file"], table["problem_record"], table["problem_text"], strict=True):
        problems[file].append((int(record), str(text)))
    for lengths, texts in zip(frames, problems, strict=True):
        if np.flatnonzero(lengths <= 0).tolist() != sorted(record for record, _ in texts if record >= 0):
            return {}
    stamps = [(int(size), int(changed)) for size, changed in table["stamps"]]
    rows = zip(table["paths"], stamps, frames, problems, strict=True)
    return {str(path): (stamp, FileIndex(lengths, tuple(texts))) for path, stamp, lengths, texts in rows}


def _save_cache(cache_path: Path, expected: str, known: dict) -> None:
    indexes = [index for _, index in known.values()]
    problems = [(i, record, text) for i, index in enumerate(indexes) for record, text in index.problems]
    with replacing(cache_path) as file:
        np.savez(
            file,
            format=FORMAT,
            expected=expected,
            paths=np.array(list(known), dtype=str),
            stamps=np.array([stamp for stamp, _ in known.values()], dtype=np.int64),
            counts=np.array([len(index.num_frames) for index in indexes], dtype=np.int64),
            num_frames=np.concatenate([index.num_frames for index in indexes]).astype(np.int32),
            problem_file=np.array([file for file, _, _ in problems], dtype=np.int64),
            problem_record=np.array([record for _, record, _ in problems], dtype=np.int64),
            problem_text=np.array([text for _, _, text in problems], dtype=str),
        )
