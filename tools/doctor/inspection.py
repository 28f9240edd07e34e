"""What is wrong with the files of a list, all of it, and what they hold: for ``tools.doctor``.

An inspector asks the functions that training asks, so that the two cannot disagree; this module goes through
a list with one and looks for files that stand in it, or in two lists, more than once.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from datareader.lists import EntryFinder, ListEntry, read_lines
from tools.errors import DataError, DataIssue
from tools.registry import Registry
from tools.runtime.workers import QUICK, map_files

INSPECTORS = Registry("inspector")  # kind of data, as ``ModelSpec`` has it -> (config, section) -> Inspector


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    kind: a DataIssue's value, one of DUPLICATES, or a few words. where: list and line.
    record: its number in the file, if any.
    skippable: counts against --skip-broken; other faults stop a run in any case.
    is_fault: False for what stops no run.
    """

    kind: str
    where: str
    path: str
    text: str
    record: int | None = None
    skippable: bool = True
    is_fault: bool = True


@dataclass(slots=True)
class FileReport:
    """What is known of one line of a list.

    entry: None where there is no such file. key: the same number for one file under all its names.
    num_frames: of the usable records, as far as they are known. seconds: their durations, likewise.
    class_counts: class id -> number of usable records; None where labels were not looked at.
    video_keys, content_keys: (usable records,) uint64, the same number for the same video id or the same frames;
    record_numbers: theirs in the file, None where the file is one video.
    """

    number: int
    line: str
    where: str
    entry: ListEntry | None = None
    size: int = 0
    key: int = 0
    num_records: int = 0
    num_usable: int = 0
    findings: list[Finding] = field(default_factory=list)
    num_frames: np.ndarray | None = None
    seconds: np.ndarray | None = None
    class_counts: dict[int, int] | None = None
    video_keys: np.ndarray | None = None
    content_keys: np.ndarray | None = None
    record_numbers: np.ndarray | None = None

    @property
    def path(self) -> str:
        return self.entry.path if self.entry else ""

    def add_issue(self, issue: DataIssue, text: str, record: int | None = None, *, skippable: bool = True) -> None:
        """text: what is wrong, without list and line, as ``DataError.text`` has it."""
        self.findings.append(Finding(issue.value, self.where, self.path, f"{self.where}: {text}", record, skippable))

    def add_note(self, kind: str, text: str) -> None:
        """Add what is worth knowing and stops no run."""
        self.findings.append(Finding(kind, self.where, self.path, f"{self.where}: {text}", is_fault=False))


class Inspector(Protocol):
    """What knows the files of one kind of data. Inspectors that are equal, and so hash alike, read a list alike.

    labelled: whether a line of a list may end with a label, as ``load_list`` takes it.
    one_record_a_file: whether a data set counts its files before it has read them, as each is one record.
    labels_needed: whether what reads the section asks for labels.
    """

    labelled: bool
    one_record_a_file: bool

    @property
    def labels_needed(self) -> bool: ...

    def inspect(self, list_path: str, reports: list[FileReport], deep: bool) -> list[str]:
        """Complete the reports, all of them on files that are there; lines worth printing.

        deep: read every record, instead of judging files by what is quick to read.
        """

    def read(self, report: FileReport) -> int:
        """Read a file as training does; how many usable records it holds. Raises DataError."""


def inspect_list(list_path: str, inspector: Inspector, deep: bool) -> tuple[list[FileReport], list[str]]:
    """A report on each line of a list, in its order, and lines worth printing.

    Raises DataError for a list that is missing, unreadable or empty.
    """
    lines, finder = read_lines(list_path), EntryFinder(list_path, inspector.labelled)

    def find(numbered: tuple[int, str]) -> FileReport:
        number, line = numbered
        report = FileReport(number, line, f"{list_path} line {number}")
        try:
            report.entry = finder.find(line, number)
            status = Path(report.entry.path).stat()
            report.size, report.key = status.st_size, hash_key(f"{status.st_dev} {status.st_ino}".encode())
        except DataError as error:
            report.add_issue(error.issue, error.text, skippable=False)
        except OSError as error:  # it was there a moment ago
            report.entry = None
            report.add_issue(DataIssue.UNREADABLE, f"{line} cannot be looked up: {error}", skippable=False)
        return report

    reports = list(map_files(find, lines, f"looking up {list_path}", QUICK))
    return reports, inspector.inspect(list_path, [report for report in reports if report.entry], deep)


def hash_key(*parts: bytes) -> int:
    """A number of 64 bits for bytes; of ten million, two would share one in one case of 400,000."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def measure_reading(
    inspector: Inspector, reports: list[FileReport], at_most: int = 24, limit_sec: float = 1
) -> tuple[int, float]:
    """Read some files, spread over a list, as training does: (records read, seconds for them), 0 where there are none.

    What proves to be broken is added to its report.
    """
    usable = [report for report in reports if report.num_usable]
    if not usable:
        return 0, 0.0
    places = np.unique(np.linspace(0, len(usable) - 1, at_most).astype(int))
    records, seconds = 0, 0.0
    for place in np.random.default_rng(0).permutation(places):
        report, began = usable[place], time.perf_counter()
        try:
            records += inspector.read(report)
            seconds += time.perf_counter() - began
        except DataError as error:
            report.add_issue(error.issue, error.text)
            report.num_usable = 0
        if seconds > limit_sec:
            break
    return records, seconds


# Duplicates

DUPLICATES = {"key": "same file", "video_keys": "same video id", "content_keys": "same content"}


def find_duplicates(
    lists: dict[str, list[FileReport]], trained: str = "TRAIN", evaluated: tuple[str, ...] = ("VALID", "TEST")
) -> dict[str, list[Finding]]:
    """Files and records that stand in one list twice, or in a list for evaluation and in the one for training.

    lists: section -> reports. Each duplicate is named once, with the strongest reason: the same file, then the same
    video id, then the same content. Returns findings for each section.
    """
    found = {}
    for section, reports in lists.items():
        sides = [None]
        if section in evaluated and trained in lists:
            sides.append(lists[trained])
        found[section] = []
        for side in sides:
            told = set()
            for attribute, kind in DUPLICATES.items():
                found[section] += _duplicates(reports, side, attribute, kind, told)
    return found


def _duplicates(
    reports: list[FileReport], others: list[FileReport] | None, attribute: str, kind: str, told: set
) -> Iterator[Finding]:
    """Of ``reports``, what is among ``others`` too; or, without them, what came before in the same list."""
    keys, owners, places = _gather(reports, attribute)
    if others is None:
        _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
        hits = np.flatnonzero(firsts[inverse] != np.arange(len(keys))) if len(keys) else []
        side, originals = reports, owners[firsts[inverse[hits]]] if len(hits) else []
    else:
        other_keys, other_owners, _ = _gather(others, attribute)
        unique, firsts = np.unique(other_keys, return_index=True)
        hits = np.flatnonzero(np.isin(keys, unique))
        side, originals = others, other_owners[firsts[np.searchsorted(unique, keys[hits])]] if len(hits) else []
    for i, owner in zip(hits, originals, strict=True):
        report, original = reports[owners[i]], side[owner]
        record = None if attribute == "key" or report.record_numbers is None else int(report.record_numbers[places[i]])
        if (report.number, None) in told or (report.number, record) in told:
            continue
        told.add((report.number, record))
        name = report.path if record is None else f"{report.path} record {record}"
        verb = "is" if attribute == "key" else "has"
        text = f"{report.where}: {name} {verb} the {kind} as in {original.where}, {original.path}"
        yield Finding(kind, report.where, report.path, text, record, is_fault=False)


def _gather(reports: list[FileReport], attribute: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All keys of a kind: (keys, whose they are, their places there)."""
    parts = [(i, getattr(report, attribute)) for i, report in enumerate(reports) if report.entry]
    parts = [(i, np.atleast_1d(np.asarray(keys, np.uint64))) for i, keys in parts if keys is not None]
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = np.concatenate([part for _, part in parts])
    owners = np.concatenate([np.full(len(part), i) for i, part in parts])
    return keys, owners, np.concatenate([np.arange(len(part)) for _, part in parts])


# What a list holds


def count_classes(reports: Iterable[FileReport]) -> Counter | None:
    """Class id -> usable records; None where no labels were looked at."""
    counts, known = Counter(), False
    for report in reports:
        if report.class_counts is not None:
            known = True
            counts.update(report.class_counts)
    return counts if known else None


def spread(reports: Iterable[FileReport], attribute: str) -> dict | None:
    """Number, minimum, median, maximum and sum of the reports' ``num_frames`` or ``seconds``; None without any."""
    parts = [getattr(report, attribute) for report in reports]
    parts = [part for part in parts if part is not None and len(part)]
    if not parts:
        return None
    values = np.concatenate(parts)
    low, middle, high = (float(value) for value in np.percentile(values, (0, 50, 100)))
    return {"known": len(values), "min": low, "median": middle, "max": high, "sum": float(values.sum())}
