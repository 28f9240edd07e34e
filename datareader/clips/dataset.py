"""Clips in batches: those of a list, or any others that stand alone."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock

import cv2
import numpy as np

from datareader.balancing import make_draws
from datareader.clips.files import open_clip
from datareader.clips.frozen_views import FrozenViews, OpenSet, identify
from datareader.clips.look import look_over
from datareader.clips.settings import ClipSettings, build_clip_settings
from datareader.clips.video import FrameCountError, FrameSource
from datareader.clips.views import decode_views
from datareader.dataset import Batch
from datareader.labels import RecordLabels, describe_classes, label_rows, warn_of_classes
from datareader.lists import ListEntry, load_list
from datareader.sampling import sample_span_frames
from datareader.transforms import normalize
from tools.errors import DataError
from tools.registry import READERS


class ClipDataset:
    """Clips in the order of their entries, of a list or of files alone.

    All files are looked at when it is made, and clips are opened when a batch needs them. One that cannot be read is
    skipped and listed in ``broken``, up to ``skip_broken`` of them; one more raises DataError. No other clip takes its
    place.

    name: what messages call the clips as a whole, such as their list. cache: where the look at many files is
    remembered, None for nowhere. labels: (N,) int64 class ids, -1 for clips that have none or are broken.
    balanced: epochs of training have all classes equally often. frozen: the views that a frozen backbone sees, None
    where the whole network is trained.
    """

    def __init__(
        self,
        entries: Sequence[ListEntry],
        settings: ClipSettings,
        *,
        name: str,
        training: bool,
        skip_broken: int,
        cache: str | None = None,
        balanced: bool = False,
    ):
        self.entries = entries
        self.settings = settings
        self.name = name
        self.training = training
        self.skip_broken = skip_broken
        self.protocol = settings.describe()
        self.on_broken = lambda text: None
        self.frozen: FrozenViews | None = None
        self._lock = Lock()
        looked = look_over(entries, settings, name, cache)
        self.labels = looked.labels
        self._notices = looked.notices
        self._broken = {number: str(error.at(entries[number].where)) for number, error in looked.broken.items()}
        if len(self._broken) > skip_broken:
            first, *others = self._broken.values()
            more = f" (and {len(others)} more in {name})" if others else ""
            any_usable = len(self._broken) < len(entries)
            hint = f"; --skip-broken {len(self._broken)} would skip such" if any_usable else ""
            raise DataError(f"{first}{more}{hint}")
        self._draws = make_draws(self, settings.num_classes) if balanced else None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def broken(self) -> list[str]:
        """What is wrong with each clip that was skipped so far, in the order of the entries."""
        with self._lock:
            return [self._broken[place] for place in sorted(self._broken)]

    @property
    def notices(self) -> list[str]:
        """How many clips each class has, what looks wrong with that and with what is remembered, and what is drawn."""
        counts = self.class_counts()
        classes = [] if counts is None else [describe_classes(counts), *warn_of_classes(counts)]
        return [
            *self._notices,
            *classes,
            *([self._draws.describe(len(self) - len(self._broken))] if self._draws else []),
        ]

    def checksum(self) -> int:
        """A number that changes when the files, their order or their labels do."""
        checksum, between = 0, ""
        for entry in self.entries:  # one by one, as a text of all takes several times the memory of the list
            checksum, between = zlib.crc32(f"{between}{entry.path} {entry.label}".encode(), checksum), "\n"
        return self._draws.checksum(checksum) if self._draws else checksum

    def order(self, seed: int, epoch: int, count: int) -> np.ndarray:
        """Numbers of the clips of one epoch, shuffled in training; balanced, ``count`` of them."""
        if not self.training:
            return np.arange(len(self))
        rng = np.random.default_rng([seed, epoch])
        if self._draws:
            return self._draws.tell_apart(rng.permutation(self._draws.draw(count, seed, epoch)))
        return rng.permutation(len(self))

    @staticmethod
    def arrange_batches(order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order that clips are read in: as it is."""
        return order

    def class_counts(self) -> np.ndarray | None:
        """(num_classes,) int64: how many clips each class has; None where labels are not needed."""
        return self.record_labels().count(self.settings.num_classes) if self.settings.labels_needed else None

    def record_labels(self) -> RecordLabels:
        """The class id of each clip, none of one that is broken or has no label."""
        known = self.labels >= 0
        return label_rows(known, self.labels[known].astype(np.int32))

    def files_of(self, clips: np.ndarray) -> np.ndarray:
        """Numbers of the files that hold these clips: each has its own."""
        files = clips % len(self)
        return files[np.sort(np.unique(files, return_index=True)[1])]

    @contextmanager
    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> Iterator[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch`` for these batches of clip numbers; safe to call from threads."""
        cv2.setNumThreads(0)  # the reading threads are as many as they should be
        frozen = self.frozen
        if frozen:
            yield lambda i: frozen.make_batch(self, batches[i], epoch)
        else:
            yield lambda i: self._make_batch(batches[i], seed, epoch)

    def pictures(self, entry: ListEntry, count: int) -> dict[int, np.ndarray]:
        """Number -> (H, W, 3) uint8 RGB of the frames in the middle of ``count`` equal parts of a clip, as they are."""
        with self._look_at(entry) as source:
            while True:
                numbers = sample_span_frames(source.num_frames, count)
                with suppress(FrameCountError):  # a damaged file: sample again from the frames that it has
                    return dict(sorted(source.frames(numbers), key=lambda found: found[0]))

    def pictures_at(self, entry: ListEntry, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """(number, (H, W, 3) uint8 RGB) of these frames of a clip as they are, in the order of decoding."""
        with self._look_at(entry) as source:
            while True:
                there = np.array([number for number in numbers if number < source.num_frames], np.int64)
                with suppress(FrameCountError):
                    yield from source.frames(there)
                    return

    @contextmanager
    def _look_at(self, entry: ListEntry) -> Iterator[FrameSource]:
        """The frames of a clip, whose label does not matter."""
        try:
            yield open_clip(entry, replace(self.settings, labels_needed=False)).open()
        except DataError as error:
            raise error.at(entry.where) from None

    def freeze(self, open_set: OpenSet | None, num_views: int, seed: int, width: int) -> None:
        """From the next epoch on give batches of clips that a frozen backbone describes; see ``FrozenBatch``.

        open_set: gives what is kept of clips that are seen so; None for nothing. Each segment is described by ``width``
        numbers. num_views, seed: see ``FrozenViews``.
        """
        num_views = num_views if self.training else 0
        settings = self.settings
        assert settings.num_clips == settings.num_crops == 1, "one view of a clip is described"
        shape = settings.seg_num, width
        kept = open_set(identify(settings, num_views, seed), shape) if open_set else None
        self.frozen = FrozenViews(kept, num_views, seed, width)

    def unfreeze(self) -> None:
        """From the next epoch on give batches of frames again."""
        self.frozen = None

    def to_float(self, batch: Batch) -> Batch:
        """The batch with its frames normalised, for networks on the CPU."""
        (frames,) = batch.inputs
        return replace(batch, inputs=(normalize(frames, self.settings.image_mean, self.settings.image_std),))

    def _make_batch(self, numbers: np.ndarray, seed: int, epoch: int) -> Batch:
        settings = self.settings
        views = 1 if self.training else settings.num_clips * settings.num_crops
        frames = np.empty((len(numbers), views, *settings.shape), np.uint8)
        clips, sources, entries = [], [], []
        for number in numbers.tolist():
            place = number % len(self)
            entry = self.entries[place]
            try:
                if self.is_broken(place):
                    continue
                clip = open_clip(entry, settings)
                rng = np.random.default_rng([seed, epoch, number]) if self.training else None
                decode_views(frames[len(clips)], clip, settings, rng)
            except DataError as error:
                self.skip(place, error)
                continue
            clips.append(clip)
            sources.append(entry.source)
            entries.append(entry)
        labels = None  # or -1 for a clip that has none beside one that has
        if any(clip.label is not None for clip in clips):
            labels = np.array([-1 if clip.label is None else clip.label for clip in clips], np.int64)
        return Batch(
            ids=[clip.video_id for clip in clips],
            sources=sources,
            entries=entries,
            inputs=(frames[: len(clips)].reshape(-1, *settings.shape),),
            labels=labels,
            views=views,
        )

    def is_broken(self, place: int) -> bool:
        """Whether a clip was found to be broken so far."""
        return place in self._broken

    def skip(self, place: int, error: DataError) -> None:
        """Count a clip as broken, and tell of it. Raises DataError where too many are."""
        text = str(error.at(self.entries[place].where))
        with self._lock:
            if len(self._broken) >= self.skip_broken:
                more = f"; {len(self._broken)} were skipped before it" if self._broken else ""
                raise DataError(f"{text}{more}; --skip-broken N skips up to N such clips") from None
            self._broken[place] = text
        self.on_broken(text)


@READERS.register("clips")
def build_clip_reader(config, section: str, *, training: bool, skip_broken: int) -> ClipDataset:
    """The clips of ``[section] filelist``."""
    list_path = config[section].filelist
    entries, settings = load_list(list_path, labelled=True), build_clip_settings(config, section)
    return ClipDataset(
        entries,
        settings,
        name=list_path,
        training=training,
        skip_broken=skip_broken,
        cache=f"{list_path}.looked.npz",
        balanced=training and config.TRAIN.sampling == "balanced",
    )
