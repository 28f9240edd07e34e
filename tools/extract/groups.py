"""The files that records go to, each of some of the videos, with a note of what it was made of.

A file and then its note are written once all of its videos are done, so that a killed run does again what has no note.
Batches do not reach from one file into the next: whichever run makes a file, its bytes are the same on the same kind of
processor with as many threads. On another the last bits of features may be others; the note says on what it was made.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from datareader.extraction.youtube8m import Made, SilentError
from datareader.features.index import FileIndex, build_index, cache_of, index_records, remove_indexes
from datareader.features.pickle_writing import write_pickle
from datareader.features.records import Expected
from datareader.features.tfrecord_writing import write_record
from datareader.lists import ListEntry
from dataset.text_files import write_lines
from tools.errors import DataError
from tools.extract.inputs import Video
from tools.files.atomic import atomic_write
from tools.files.sums import SumError, check_sums, sums_beside, write_sums
from tools.files.texts import NO_JSON

LIST = "features.list"
VIDEOS_A_FILE = 16
_SECOND = 10**9  # in ns


class Format(Enum):
    """What the files are, by what their names end in."""

    PICKLE = "pkl"
    TFRECORD = "tfrecord"


@dataclass(frozen=True)
class Group:
    """The videos of one file. number: from 0."""

    number: int
    videos: tuple[Video, ...]

    def path(self, folder: Path, form: Format) -> Path:
        return folder / f"features-{self.number:05}.{form.value}"

    def describe_inputs(self) -> list:
        """What the bytes of the file depend on, apart from settings, as JSON has it."""
        return [[video.entry.written or video.entry.path, video.labels, *video.fingerprint] for video in self.videos]


def plan_groups(videos: Sequence[Video], size: int) -> list[Group]:
    """All videos, up to ``size`` of them a file.

    Those with class ids are dealt out, so that a list that goes class by class makes files of all classes: training
    reads file by file. Others follow one another as they came.
    """
    count = -(-len(videos) // size)
    if any(video.labels is not None for video in videos):
        parts = [videos[number::count] for number in range(count)]
    else:
        parts = [videos[number * size : (number + 1) * size] for number in range(count)]
    return [Group(number, tuple(part)) for number, part in enumerate(parts)]


def is_finished(group: Group, path: Path) -> bool:
    """Whether a group's file is there as it was written of the same videos. Raises OSError."""
    inputs = json.loads(json.dumps(group.describe_inputs()))
    try:
        check_sums(sums_beside(path), path.parent, inputs=inputs)
    except (FileNotFoundError, SumError):
        return False
    return True


def write_group(group: Group, path: Path, form: Format, made: Iterable[Made | DataError], origin: dict) -> None:
    """Write a group's file and its note. origin: "weights", a digest of those that have made it, and on what.

    Raises OSError, and what ``made`` raises; there is no such file then, or the one that was there.
    """
    videos, silent, broken = [], [], []

    def records() -> Iterator[Made]:
        for item in made:
            if isinstance(item, DataError):
                (silent if isinstance(item, SilentError) else broken).append(str(item))
            else:
                record = item.record
                videos.append({"frames": record["nframes"], "labels": record.get("label"), "remark": item.remark})
                yield item

    note = sums_beside(path)
    note.unlink(missing_ok=True)
    with atomic_write(path) as file:
        if form is Format.PICKLE:
            write_pickle(file, (item.record for item in records()))
        else:
            for item in records():
                file.write(write_record(item.record, item.means))
        file.flush()
        changed = _time_of(group, videos)
        os.utime(file.fileno(), ns=(changed, changed))
    if not videos:
        path.unlink()
    names = [path.name] * bool(videos)
    facts = {**origin, "videos": videos, "silent": silent, "broken": broken}
    write_sums(note, path.parent, names, inputs=group.describe_inputs(), **facts)


def _time_of(group: Group, videos: list[dict]) -> int:
    """The time of change that a group's file gets, in ns: to the second that of its newest video, then a digest.

    Indexes of lists know a file by it: it is the same whenever the file is made, and another where its records are,
    which with other labels alone are as long as they were.
    """
    content = json.dumps([group.describe_inputs(), videos]).encode()
    digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
    newest = max(video.fingerprint[1] for video in group.videos)
    return newest - newest % _SECOND + digest % _SECOND


@dataclass(frozen=True)
class Note:
    """What there is to tell of a finished file.

    weights: the digest that ``write_group`` was told. frames, labels: of each of its records. remarks: on records.
    silent, broken: why videos have none.
    """

    weights: str
    frames: list[int]
    labels: list[list[int] | None]
    remarks: list[str]
    silent: list[str]
    broken: list[str]


def read_note(path: Path) -> Note:
    """Of a file that ``is_finished``. Raises DataError."""
    try:
        content = json.loads(sums_beside(path).read_bytes())
        videos = content["videos"]
        return Note(
            content["weights"],
            [video["frames"] for video in videos],
            [video["labels"] for video in videos],
            [video["remark"] for video in videos if video["remark"]],
            content["silent"],
            content["broken"],
        )
    except (OSError, *NO_JSON, KeyError, TypeError) as error:
        raise DataError(f"{sums_beside(path)} cannot be read: {error}") from None


def write_list(folder: Path, paths: Sequence[Path], expected: Callable[[bool], Expected | None]) -> Path | None:
    """Write the list of the files that hold records, and its index; None where there is none.

    paths: of all files, in order. expected: whether all records have labels -> what they are to be checked against,
    None where that is not known, so that the first training makes the index.
    """
    notes = {path: note for path in paths if (note := read_note(path)).frames}
    if not notes:
        return None
    list_path = folder / LIST
    remove_indexes(list_path)
    write_lines(list_path, [path.name for path in notes])
    checked = expected(all(None not in note.labels for note in notes.values()))

    def index(path: str) -> FileIndex:
        note = notes[Path(path)]
        return index_records(note.frames, [labels or [] for labels in note.labels])

    if checked and all(
        label < checked.num_classes for note in notes.values() for labels in note.labels for label in labels or []
    ):
        entries = [ListEntry(str(path), str(list_path)) for path in notes]
        build_index(str(list_path), entries, repr(checked), index, cache_of(str(list_path), checked))
    return list_path
