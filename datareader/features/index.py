"""How many records each file of a list holds, of which classes, and which are broken: found once, then cached.

The cache stands beside the list and names files as seen from there, so it holds for every way to write
their paths and moves with them. A file whose size or time of change differs from what the cache remembers
is scanned again, and so is everything when what is expected of the records (widths, number of classes)
changes. The labels of single records stand in it too, and are read when they are asked for: those of all
of YouTube-8M take as much memory as all else.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datareader.caches import load_cache, lock_beside
from datareader.features.records import Expected, Record, load_file, parse_record
from datareader.labels import RecordLabels, join_labels, label_rows, pack_labels
from datareader.lists import ListEntry
from tools.errors import DataError, DataIssue
from tools.files.atomic import atomic_write
from tools.runtime.cpu import usable_cores
from tools.runtime.log import progress_bar
from tools.runtime.workers import map_in_order

_SUFFIXES = {True: ".index.npz", False: ".unlabelled.index.npz"}  # by whether labels are needed
FORMAT = "4"  # 1 named files as the list did, 2 knew neither faults nor classes, 3 no labels of records


class RecordProblem(NamedTuple):
    """What is wrong with a record; -1 stands for the file as a whole, or for what has no number."""

    record: int
    issue: DataIssue
    text: str


@dataclass(frozen=True)
class FileIndex:
    """The records of one file.

    num_frames: (records,) int32; 0 for a broken record, which is never read again.
    labels: of the records, none of a broken one; None where they were not asked for.
    class_counts: (classes, 2) int32, class ids in order and how many usable records have them.
    num_segmented: records with labels of segments, which are not used.
    """

    num_frames: np.ndarray
    labels: RecordLabels | None
    problems: tuple[RecordProblem, ...]
    class_counts: np.ndarray
    num_segmented: int


def index_records(
    num_frames: Sequence[int],
    labels: Iterable[Iterable[int]],
    problems: Iterable[RecordProblem] = (),
    num_segmented: int = 0,
) -> FileIndex:
    """The index of a file whose records have so many frames and these class ids."""
    packed, lengths = pack_labels(labels), np.array(num_frames, np.int32)
    return FileIndex(lengths, packed, tuple(problems), _count_pairs(packed.class_ids), num_segmented)


def _count_pairs(class_ids: np.ndarray) -> np.ndarray:
    """As ``class_counts``."""
    return np.stack(np.unique(class_ids, return_counts=True), axis=1).astype(np.int32)


def cache_of(list_path: str, expected: Expected) -> str:
    """Where the index of a list is kept."""
    return list_path + _SUFFIXES[expected.labels_needed]


def remove_indexes(list_path: Path) -> None:
    """Of a list whose files are written anew: where times are whole seconds, it could take them for the old."""
    for suffix in _SUFFIXES.values():
        list_path.with_name(list_path.name + suffix).unlink(missing_ok=True)


def scan_file(path: str, expected: Expected, on_record: Callable[[Record], None] = lambda record: None) -> FileIndex:
    """What an index says of a file, all of whose records are checked. on_record: called with each usable one."""
    try:
        raws, damaged = load_file(path)
    except DataError as error:
        return index_records([], [], [RecordProblem(-1, error.issue, str(error))])
    problems = [RecordProblem(-1, DataIssue.DAMAGED, text) for text in damaged]
    num_frames, labels = [], []
    for i, raw in enumerate(raws):
        found = check_record(raw, expected, path, i)
        if isinstance(found, RecordProblem):
            problems.append(found)
            num_frames.append(0)
            labels.append([])
            continue
        on_record(found)
        num_frames.append(len(found.streams[0]))
        labels.append(sorted(found.classes()))
    return index_records(num_frames, labels, problems, sum("segments" in raw for raw in raws))


def describe_segments(num_segmented: int) -> list[str]:
    """A line on records with labels of segments, if there are any."""
    if not num_segmented:
        return []
    return [
        f"{num_segmented:,} records have labels of segments (YouTube-8M of 2019), which are not used: a record has "
        "the labels of its whole video"
    ]


def check_record(raw: dict, expected: Expected, path: str, number: int) -> Record | RecordProblem:
    """One record of a file, or what is wrong with it."""
    try:
        return parse_record(raw, expected, f"{path} record {number}")
    except DataError as error:
        return RecordProblem(number, error.issue, str(error))


def build_index(
    list_path: str,
    entries: Sequence[ListEntry],
    expected: str,
    scan: Callable[[str], FileIndex],
    cache: str,
    *,
    with_labels: bool = False,
) -> tuple[list[FileIndex], list[str]]:
    """One FileIndex an entry, in list order, and lines worth logging.

    expected: what ``scan`` checks records against, as text; part of the cache's identity.
    scan: path -> FileIndex; called from threads, for new and changed files only. cache: its path.
    with_labels: whether each FileIndex has its ``labels``; where there can be no cache, all have them in any case.
    """
    cache_path = Path(cache)
    names = {entry.path: os.path.relpath(entry.path, cache_path.parent) for entry in entries}  # in the cache
    fingerprints = {path: _fingerprint(path) for path in names}

    def look_up(with_labels: bool, again: bool = False) -> tuple[dict, list[str]]:
        """What the cache knows, and the paths that it does not know as they are."""
        without = () if with_labels else _LABELS
        known = load_cache(cache_path, lambda table: _parse_cache(table, expected), without, again) or {}
        return known, [
            path for path, fingerprint in fingerprints.items() if known.get(names[path], (None,))[0] != fingerprint
        ]

    known, new = look_up(with_labels)
    notices = []
    if new:
        with lock_beside(cache_path):
            known, new = look_up(with_labels=True, again=True)  # another process may have scanned them meanwhile
            scanned = map_in_order(scan, new, usable_cores())
            with progress_bar(len(new), 0, f"indexing {list_path}", unit="file") as bar:
                for path, index in zip(new, scanned, strict=True):
                    known[names[path]] = (fingerprints[path], index)
                    bar.update()
            try:
                if new:
                    _save_cache(cache_path, expected, {name: known[name] for name in names.values()})
            except OSError as error:
                notices.append(f"{cache_path} cannot be written ({error}); the next run will scan the files again")
                with_labels = True
    if not with_labels:
        known = {name: (fingerprint, replace(index, labels=None)) for name, (fingerprint, index) in known.items()}
    index = [known[names[entry.path]][1] for entry in entries]
    return index, notices + describe_segments(sum(file.num_segmented for file in index))


def _fingerprint(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


_LABELS = ("label_counts", "label_ids")  # how many class ids each record has, and the ids


def _parse_cache(table: dict[str, np.ndarray], expected: str) -> dict:
    """path -> (fingerprint, FileIndex); empty where it is one of another kind."""
    if str(table["format"]) != FORMAT or str(table["expected"]) != expected:
        return {}
    counts, num_frames = table["counts"], table["num_frames"]
    if counts.sum() != len(num_frames) or counts.dtype.kind != "i" or num_frames.dtype != np.int32:
        return {}
    frames = np.split(num_frames, np.cumsum(counts)[:-1])
    problems = [[] for _ in frames]
    columns = (table[f"problem_{name}"] for name in ("file", "record", "fault", "text"))
    for file, record, fault, text in zip(*columns, strict=True):
        problems[file].append(RecordProblem(int(record), DataIssue(fault), str(text)))
    for lengths, found in zip(frames, problems, strict=True):
        if np.flatnonzero(lengths <= 0).tolist() != sorted(problem.record for problem in found if problem.record >= 0):
            return {}
    class_counts, class_rows = table["class_counts"], table["class_rows"]
    if class_rows.sum() != len(class_counts) or class_counts.shape[1:] != (2,) or class_counts.dtype != np.int32:
        return {}
    classes = np.split(class_counts, np.cumsum(class_rows)[:-1])
    labels = _split_labels(table, counts, classes) if _LABELS[0] in table else [None] * len(frames)
    fingerprints = [(int(size), int(changed)) for size, changed in table["stamps"]]
    columns = (frames, labels, map(tuple, problems), classes, table["num_segmented"].tolist())
    files = (FileIndex(*columns) for columns in zip(*columns, strict=True))
    return dict(zip(map(str, table["paths"]), zip(fingerprints, files, strict=True), strict=True))


def _split_labels(table: dict[str, np.ndarray], counts: np.ndarray, classes: list[np.ndarray]) -> list[RecordLabels]:
    """The labels of each file. counts: its records. classes: its ``class_counts``. Raises ValueError for others."""
    label_counts, label_ids = (table[name] for name in _LABELS)
    edges = np.concatenate([[0], np.cumsum(counts)])
    starts = label_rows(label_counts, label_ids).starts
    if len(starts) != edges[-1] + 1 or starts[-1] != len(label_ids) or label_ids.dtype != np.int32:
        raise ValueError("the labels are not those of the records")
    labels = []
    for first, end, pairs in zip(edges[:-1], edges[1:], classes, strict=True):
        ids = label_ids[starts[first] : starts[end]]
        if not np.array_equal(_count_pairs(ids), pairs):
            raise ValueError("the labels are not those that were counted")
        labels.append(label_rows(label_counts[first:end], ids))
    return labels


def _save_cache(cache_path: Path, expected: str, known: dict) -> None:
    indexes = [index for _, index in known.values()]
    labels = join_labels([index.labels for index in indexes])
    problems = [(i, *problem) for i, index in enumerate(indexes) for problem in index.problems]
    with atomic_write(cache_path) as file:
        np.savez(
            file,
            format=FORMAT,
            expected=expected,
            paths=np.array(list(known), dtype=str),
            stamps=np.array([fingerprint for fingerprint, _ in known.values()], dtype=np.int64),
            counts=np.array([len(index.num_frames) for index in indexes], dtype=np.int64),
            num_frames=np.concatenate([index.num_frames for index in indexes]).astype(np.int32),
            label_counts=np.diff(labels.starts).astype(np.int32),
            label_ids=labels.class_ids,
            problem_file=np.array([file for file, *_ in problems], dtype=np.int64),
            problem_record=np.array([record for _, record, _, _ in problems], dtype=np.int64),
            problem_fault=np.array([issue.value for _, _, issue, _ in problems], dtype=str),
            problem_text=np.array([text for *_, text in problems], dtype=str),
            num_segmented=np.array([index.num_segmented for index in indexes], dtype=np.int64),
            class_rows=np.array([len(index.class_counts) for index in indexes], dtype=np.int64),
            class_counts=np.concatenate([index.class_counts for index in indexes]).astype(np.int32),
        )
