"""From videos to their features: frames and sound are read ahead by threads, and networks see them in batches.

Batches hold what comes one after another in the order of the videos, whichever thread has read it, so that the same
videos give the same bytes however many threads there are. Memory does not grow with the length of a video.
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
    video_id: str
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
    finished: dict[int, _Video | DataError] = {}
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
class _Video:
    video_id: str
    has_sound: bool


@dataclass(frozen=True)
class _Ended:
    place: int
    result: _Video | DataError


def _perceive(place: int, entry: ListEntry, open_clip, sight: Sight, hearing: Hearing | None) -> Iterator:
    """What there is to know of one video. The sound comes first, so that it is described while pictures are read."""
    try:
        clip = open_clip(entry)
        source = clip.open()
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
        yield _Ended(place, _Video(clip.video_id, examples is not None))
    except DataError as error:
        yield _Ended(place, error)


def _finish(
    entry: ListEntry, result: _Video | DataError, place: int, seen: Batcher, heard: Batcher | None
) -> Features | DataError:
    pictures = seen.pop(place)
    sound = heard.pop(place) if heard else None
    if isinstance(result, DataError):
        return result
    return Features(entry, result.video_id, pictures, sound if result.has_sound else None)
