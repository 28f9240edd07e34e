"""Videos as a data set of the models on features: each is described when its turn comes."""

import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from datareader.clips.files import open_film
from datareader.dataset import Batch
from datareader.extraction.extraction import Hearing, Sight, extract
from datareader.extraction.youtube8m import Silent, make_record
from datareader.features.inputs import FeatureInputs, RaggedFrames, SegmentFrames, choose_inputs
from datareader.features.records import Expected, Record, expect_records, parse_record
from datareader.labels import RecordLabels, join_labels, pack_labels
from datareader.lists import ListEntry
from tools.errors import ConfigError, DataError

log = logging.getLogger(__name__)


class DescribedVideos(FeatureInputs):
    """The videos of a command line, for inference, as ``datareader/dataset.py`` says of data sets.

    open_senses: gives what describes frames and sound, once it is needed. num_workers: threads that read ahead.
    skip_broken: how many broken videos may be skipped. Batches are read in order, by one thread.
    """

    def __init__(
        self,
        entries: list[ListEntry],
        expected: Expected,
        arrange: "SegmentFrames | RaggedFrames",
        open_senses: Callable[[], tuple[Sight, Hearing]],
        *,
        name: str,
        num_workers: int,
        skip_broken: int,
    ):
        self.entries, self.expected, self.arrange, self.name = entries, expected, arrange, name
        self.broken: list[str] = []
        self.notices: list[str] = []  # on videos that were read, such as those without sound
        self.on_broken = lambda text: None
        self._open_senses, self._num_workers, self._skip_broken = open_senses, num_workers, skip_broken

    def __len__(self) -> int:
        return len(self.entries)

    def checksum(self) -> int:
        """A number that changes with the videos' paths and their order."""
        return zlib.crc32("\n".join(entry.path for entry in self.entries).encode("utf-8", "surrogateescape"))

    def order(self, seed: int, epoch: int, count: int) -> np.ndarray:
        """All of them in order."""
        return np.arange(len(self))

    @staticmethod
    def arrange_batches(order: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """The order that videos are read in: as it is."""
        return order

    @staticmethod
    def class_counts() -> None:
        """Videos of a command line have no labels."""

    def record_labels(self) -> RecordLabels:
        """None of any video."""
        return join_labels([pack_labels([[]] * len(self))])

    @staticmethod
    def files_of(records: np.ndarray) -> np.ndarray:
        """Each video is a file."""
        return records

    @contextmanager
    def open(self, batches: list[np.ndarray], seed: int, epoch: int) -> Iterator[Callable[[int], Batch]]:
        """Give ``fetch(i) -> Batch``, to be called for each batch in turn."""
        places = np.concatenate([*batches, np.empty(0, np.int64)]).tolist()
        records = self._describe(places)
        try:
            yield lambda i: self._make_batch([next(records) for _ in batches[i]])
        finally:
            records.close()

    def _describe(self, places: list[int]) -> Iterator[tuple[ListEntry, Record | None]]:
        """The record of each video, None of one that is skipped. Raises DataError."""
        entries = [self.entries[place] for place in places]
        described = extract(entries, open_film, *self._open_senses(), self._num_workers)
        for entry, found in zip(entries, described, strict=True):
            try:
                if isinstance(found, DataError):
                    raise found
                made = make_record(found, None, Silent.ZERO)
                record = parse_record(made.record, self.expected, entry.path)
            except DataError as error:
                self._skip(error)
                yield entry, None
                continue
            if made.remark:
                self.notices.append(made.remark)
                log.info(made.remark)
            yield entry, record

    def _skip(self, error: DataError) -> None:
        self.broken.append(str(error))
        if len(self.broken) > self._skip_broken:
            raise DataError(f"{error}; --skip-broken {len(self.broken)} would skip such")
        self.on_broken(str(error))

    def _make_batch(self, found: list[tuple[ListEntry, Record | None]]) -> Batch:
        usable = [(entry, record) for entry, record in found if record is not None]
        entries, records = [entry for entry, _ in usable], [record for _, record in usable]
        return Batch(
            ids=[record.video_id for record in records],
            sources=[record.where for record in records],
            entries=entries,
            inputs=self.arrange(records, []) if records else (),
            labels=None,
        )


def describe_videos(
    config,
    section: str,
    *,
    training: bool,
    skip_broken: int,
    reader: str,
    entries: list[ListEntry],
    open_senses: Callable[[], tuple[Sight, Hearing]],
) -> DescribedVideos:
    """Takes the place of a reader of records, whose name is ``reader``; the list in the config is not read.

    Raises ConfigError for a model on features of other widths.
    """
    assert not training, "videos of a command line have no labels"
    expected = expect_records(config, section)
    if (expected.feature_names, expected.feature_dims) != (("rgb", "audio"), (1024, 128)):
        streams = " and ".join(map("{} of {}".format, expected.feature_names, expected.feature_dims))
        raise ConfigError(
            f"{config.where('MODEL')}: the features are {streams}; those that --video makes are rgb of 1024 and audio "
            "of 128, as YouTube-8M has them. python -m tools.extract --weights makes those of a backbone; --filelist "
            "takes them"
        )
    return DescribedVideos(
        entries,
        expected,
        choose_inputs(reader, config),
        open_senses,
        name="--video",
        num_workers=config[section].num_reader_threads,
        skip_broken=skip_broken,
    )
