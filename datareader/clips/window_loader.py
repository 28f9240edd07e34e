"""Windows of videos in batches, read ahead by a thread."""

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import count, takewhile

import cv2
import numpy as np

from datareader.clips.dataset import ClipDataset
from datareader.clips.files import Clip, open_clip, require_film
from datareader.clips.timeline import Window, Windows, read_windows
from datareader.dataset import Batch
from datareader.lists import ListEntry
from datareader.sharding import Shard
from tools.errors import DataError
from tools.runtime.workers import map_in_order


def refuse_untimed(reader: Callable[..., ClipDataset]) -> Callable[..., ClipDataset]:
    """The same reader, which raises DataError for a clip that is no video: the frames of others have no times."""

    @wraps(reader)
    def read(*arguments, **options) -> ClipDataset:
        dataset = reader(*arguments, **options)
        _require_times(dataset)
        return dataset

    return read


def _require_times(dataset: ClipDataset) -> None:
    for place, entry in enumerate(dataset.entries):
        if not dataset.is_broken(place):
            require_film(entry, "--window-sec takes videos")


class WindowLoader:
    """Batches of windows of clips that are videos, each of one video, as many as it has and no more.

    num_workers: 0 reads in the calling thread, any other number in one thread. as_float, shard: as of ``Loader``; a
    process reads whole videos. unit: what ``len`` counts.
    """

    unit = "window"

    def __init__(
        self,
        dataset: ClipDataset,
        windows: Windows,
        batch_size: int,
        *,
        num_workers: int,
        as_float: bool,
        shard: Shard,
    ):
        self.dataset = dataset
        self.windows = windows
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.as_float = as_float
        self._places = shard.of_batches(len(dataset))
        self._counts: dict[int, int] = {}  # of windows, by the place of a video that was opened

    def __len__(self) -> int:
        """Windows of this process as far as is known: videos that were not opened yet count as those that were."""
        counts = list(self._counts.values())  # a thread adds to them
        return round(sum(counts) * len(self._places) / max(len(counts), 1))

    def epoch(self) -> Iterator[Batch]:
        """This process's batches, video by video."""
        batches = self._read_all()
        ahead = map_in_order(lambda _: next(batches, None), count(), min(self.num_workers, 1))
        return takewhile(lambda batch: batch is not None, ahead)

    def _read_all(self) -> Iterator[Batch]:
        cv2.setNumThreads(0)
        for place in self._places:
            try:
                if not self.dataset.is_broken(place):
                    yield from self._read_video(place)
            except DataError as error:
                self.dataset.skip(place, error)
            self._counts.setdefault(place, 0)

    def _read_video(self, place: int) -> Iterator[Batch]:
        entry, settings = self.dataset.entries[place], self.dataset.settings
        clip, windows = open_clip(entry, settings), []
        for window in read_windows(clip.open(), self.windows, settings):
            if window.number == 0:
                windows, self._counts[place] = [], window.count
            windows.append(window)
            if len(windows) == self.batch_size or window.number + 1 == window.count:
                batch = _make_batch(clip, entry, windows)
                yield self.dataset.to_float(batch) if self.as_float else batch
                windows = []


def _make_batch(clip: Clip, entry: ListEntry, windows: list[Window]) -> Batch:
    return Batch(
        ids=[clip.video_id] * len(windows),
        sources=[entry.source] * len(windows),
        entries=[entry] * len(windows),
        inputs=(np.concatenate([window.views for window in windows]),),
        labels=None,
        views=len(windows[0].views),
        spans=[window.span for window in windows],
        begins=windows[0].number == 0,
        ends=windows[-1].number + 1 == windows[-1].count,
    )
