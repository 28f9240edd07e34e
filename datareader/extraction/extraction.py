"""From videos to their features: frames and sound are read ahead by threads, and networks see them in batches.

Batches hold what comes one after another in the order of the videos, whichever thread has read it, so that the same
videos give the same bytes however many threads there are. In memory are the features of a few videos, a row for each
second of them or whatever the pace is, and of frames and sound no more than a few batches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from datareader.clips.files import Clip
from datareader.clips.seconds import Pace, read_at_pace
from datareader.clips.video import RestartError
from datareader.extraction.batches import Batcher
from datareader.lists import ListEntry
from tools.errors import DataError
from tools.runtime.workers import read_ahead

_AHEAD = 8  # pictures of each video that wait in memory
_MOST_WAITING = 16  # videos; a batch of any size is full by then, unless few of them have sound


@dataclass(frozen=True)
class Sight:
    """How features are made of pictures.

    pace: which frames. see: those of a row, each (H, W, 3) uint8 RGB -> what the network takes of them. describe: a
    batch of those -> (N, D) features, N in order.
    """

    pace: Pace
    see: Callable[[list[np.ndarray]], np.ndarray]
    describe: Callable[[np.ndarray], np.ndarray]
    batch_size: int


@dataclass(frozen=True)
class Hearing:
    """How features are made of sound, a row for each that the pace of the pictures has.

    hear: a path -> (rows, ...) what the network takes, None where there is no sound. describe: as of pictures.
    """

    hear: Callable[[str], np.ndarray | None]
    describe: Callable[[np.ndarray], np.ndarray]
    batch_size: int


@dataclass
class Features:
    """Those of one video. pictures: (rows, D). sound: (rows, D), None where there is none; its rows may be others."""

    entry: ListEntry
    pictures: np.ndarray
    sound: np.ndarray | None


def extract(
    entries: Sequence[ListEntry],
    open_clip: Callable[[ListEntry], Clip],
    sight: Sight,
    hearing: Hearing | None,
    num_workers: int,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Iterator[Features | DataError]:
    """The features of each video in order, or why it has none.

    num_workers: threads that each read a video; 0 reads in the calling thread. on_rows: hears of rows as pictures are
    described.
    """
    streams = (_perceive(place, entry, open_clip, sight, hearing) for place, entry in enumerate(entries))
    seen = Batcher(sight.describe, sight.batch_size, on_rows)
    heard = Batcher(hearing.describe, hearing.batch_size) if hearing else None
    finished: dict[int, bool | DataError] = {}  # of each video that ended: whether it has sound, or what is wrong
    given = 0
    for item in read_ahead(streams, num_workers, _AHEAD):
        match item:
            case _Seen(place, rows, picture):
                seen.add(place, rows, picture)
            case _Heard(place, examples):
                for row, example in enumerate(examples):
                    heard.add(place, [row], example)
            case _Again(place):
                seen.forget(place)
            case _Ended(place, result):
                finished[place] = result
                if place - given >= _MOST_WAITING:  # by the order of videos alone, as batches have to be
                    for batcher in (seen, heard):
                        if batcher and batcher.awaits(given):
                            batcher.flush()
        while given in finished and not (seen.awaits(given) or (heard and heard.awaits(given))):
            yield _finish(entries[given], finished.pop(given), given, seen, heard)
            given += 1
    seen.flush()
    if heard:
        heard.flush()
    for place in range(given, len(entries)):
        yield _finish(entries[place], finished.pop(place), place, seen, heard)


@dataclass(frozen=True)
class _Seen:
    place: int
    rows: list[int]
    picture: np.ndarray


@dataclass(frozen=True)
class _Heard:
    place: int
    examples: np.ndarray


@dataclass(frozen=True)
class _Again:
    """What was seen of a video is void."""

    place: int


@dataclass(frozen=True)
class _Ended:
    """result: whether the video has sound, or why it has no features."""

    place: int
    result: bool | DataError


def _perceive(place: int, entry: ListEntry, open_clip, sight: Sight, hearing: Hearing | None) -> Iterator:
    """What there is to know of one video. The sound comes first, so that it is described while pictures are read."""
    try:
        source = open_clip(entry).open()
        examples = hearing.hear(entry.path) if hearing else None
        if examples is not None:
            yield _Heard(place, examples)
        while True:
            try:
                for rows, frames in read_at_pace(source, sight.pace):
                    yield _Seen(place, rows, sight.see(frames))
                break
            except RestartError:
                yield _Again(place)
        yield _Ended(place, examples is not None)
    except DataError as error:
        yield _Ended(place, error)


def _finish(
    entry: ListEntry, result: bool | DataError, place: int, seen: Batcher, heard: Batcher | None
) -> Features | DataError:
    pictures = seen.pop(place)
    sound = heard.pop(place) if heard else None
    if isinstance(result, DataError):
        return result
    return Features(entry, pictures, sound if result else None)
