"""Clips for a network whose backbone is frozen: each is seen in views that stay the same, and described once.

What describes them comes later, as networks are not known here: a batch holds what is kept of its views, and the frames
of the others.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from datareader.clips.decoding import name_decoder
from datareader.clips.files import open_clip
from datareader.clips.settings import ClipSettings
from datareader.clips.views import decode_views
from datareader.dataset import Batch
from datareader.lists import ListEntry
from datareader.transforms import empty_aligned
from tools.errors import DataError
from tools.files.kept_arrays import ArraySet, Named

OpenSet = Callable[[bytes, tuple[int, ...]], ArraySet]  # identity and shape -> what is kept
_FORMAT = "1"  # another one where frames come to the network in another way than they did


class Clips(Protocol):
    """What is needed of a data set of clips; see ``ClipDataset``."""

    entries: Sequence[ListEntry]
    settings: ClipSettings
    training: bool
    labels: np.ndarray

    def is_broken(self, place: int) -> bool: ...

    def skip(self, place: int, error: DataError) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FrozenBatch(Batch):
    """Clips, of which some are described. ``inputs`` hold the frames of the others: (M, S, 3 * L, H, W).

    described: (N, S, D) float32; rows of the others hold anything. others: (M,) int64, their rows. keys: under which
    they are to be kept; b"" for one that is not. kept: where; None for nowhere.
    """

    described: np.ndarray
    others: np.ndarray
    keys: list[bytes]
    kept: ArraySet | None

    def complete(self, described: np.ndarray) -> Batch:
        """The batch with what describes its clips for its only input.

        described: (M, S, D) float32 of the others, which is kept.
        """
        self.described[self.others] = described
        if self.kept:
            new = zip(self.keys, self.others.tolist(), described, strict=True)
            self.kept.keep({key: Named(self.ids[row], values) for key, row, values in new if key})
        return Batch(self.ids, self.sources, self.entries, (self.described,), self.labels)


class FrozenViews:
    """The views of a data set's clips.

    kept: what describes them, from an earlier epoch or run; None for nothing. num_views: random views of a clip in
    training, which take turns epoch by epoch; 0 for the one of a test. seed: of what is random in them, which depends
    besides on the turn and the path as the list has it: it is the same on all machines. width: numbers that describe a
    segment.
    """

    def __init__(self, kept: ArraySet | None, num_views: int, seed: int, width: int):
        self.kept, self.num_views, self.seed, self.width = kept, num_views, seed, width

    def make_batch(self, clips: Clips, numbers: np.ndarray, epoch: int) -> FrozenBatch:
        """The batch of these numbers of clips. Raises DataError for a broken one that may not be skipped."""
        settings, count = clips.settings, len(clips.entries)
        places = [number % count for number in numbers.tolist()]
        turns = [self._turn(epoch + number // count) if clips.training else None for number in numbers.tolist()]
        keys = [_key(clips.entries[place], turn) for place, turn in zip(places, turns, strict=True)]
        found = self.kept.find([key for key in keys if key]) if self.kept else {}
        frames = np.empty((len(numbers), *settings.shape), np.uint8)
        described = empty_aligned((len(numbers), settings.seg_num, self.width), np.float32)
        rows, others = [], []  # (entry, id, label) of each clip; (row, key) of those that are not described
        for place, turn, key in zip(places, turns, keys, strict=True):
            entry, known = clips.entries[place], found.get(key)
            if clips.is_broken(place):
                continue
            if known:
                described[len(rows)] = known.values
                rows.append((entry, known.name, int(clips.labels[place])))
                continue
            try:
                clip = open_clip(entry, settings)
                decode_views(frames[len(others)][None], clip, settings, self._choices(entry, turn))
            except DataError as error:
                clips.skip(place, error)
                continue
            others.append((len(rows), key))
            rows.append((entry, clip.video_id, clip.label))
        labels = [label for _, _, label in rows]
        return FrozenBatch(
            ids=[video_id for _, video_id, _ in rows],
            sources=[entry.source for entry, _, _ in rows],
            entries=[entry for entry, _, _ in rows],
            inputs=(frames[: len(others)],),
            labels=None if None in labels else np.array(labels, np.int64),
            described=described[: len(rows)],
            others=np.array([row for row, _ in others], np.int64),
            keys=[key for _, key in others],
            kept=self.kept,
        )

    def _choices(self, entry: ListEntry, turn: int | None) -> np.random.Generator | None:
        """What is random in a view; None where nothing is."""
        if turn is None:
            return None
        path = hashlib.blake2b(_written(entry), digest_size=16)
        return np.random.default_rng([self.seed, turn, *_numbers(path)])

    def _turn(self, epoch: int) -> int | None:
        return epoch % self.num_views if self.num_views else None


def identify(settings: ClipSettings, num_views: int, seed: int) -> bytes:
    """All that what describes a clip depends on here, besides its file and the turn."""
    seen = settings.describe_view(), settings.image_mean, settings.image_std
    seen += name_decoder(), cv2.__version__  # which scales, and decodes what lies in pickles and folders
    return repr((_FORMAT, *seen, (num_views > 0) * (seed + 1))).encode()


def fingerprint(entry: ListEntry) -> tuple[int, ...]:
    """Numbers below 2**64 that change when a clip's file, or one of a folder of frames, does; none where it is gone."""
    total = hashlib.blake2b(f"{entry.num_frames}".encode(), digest_size=16)
    try:
        _add(total, entry.path)
        if os.path.isdir(entry.path):  # noqa: PTH112 (a frame written over does not change its folder)
            with os.scandir(entry.path) as found:
                for name in sorted(one.path for one in found):
                    _add(total, name)
    except OSError:
        return ()
    return _numbers(total)


def _numbers(total) -> tuple[int, int]:
    digest = total.digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _add(total, path: str) -> None:
    status = os.stat(path)  # noqa: PTH116 (of many frames)
    facts = os.path.abspath(path), status.st_ino, status.st_size, status.st_mtime_ns  # noqa: PTH100
    total.update(repr(facts).encode("utf-8", "surrogateescape"))


def _written(entry: ListEntry) -> bytes:
    return entry.written.encode("utf-8", "surrogateescape")


def _key(entry: ListEntry, turn: int | None) -> bytes:
    """Under which a view is kept; b"" for one of a file that is gone."""
    of_file, chosen_by = fingerprint(entry), None if turn is None else (turn, _written(entry))
    return repr((of_file, chosen_by)).encode() if of_file else b""
