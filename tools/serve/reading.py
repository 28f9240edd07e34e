"""Uploads as the inputs of a network, by the same readers as infer.py's. Runs in a process of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol

import numpy as np

from datareader.clips.dataset import ClipDataset
from datareader.clips.files import require_film
from datareader.clips.settings import ClipSettings, build_clip_settings
from datareader.clips.window_loader import WindowLoader
from datareader.dataset import Batch
from datareader.features.inputs import RaggedFrames, SegmentFrames, choose_inputs
from datareader.features.records import Expected, Record, expect_records, load_file, parse_record
from datareader.kinds import DataKind, find_data_kind
from datareader.lists import ListEntry
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from datareader.transforms import normalize
from tools.errors import DataError, DataIssue
from tools.pages.pictures import encode_picture
from tools.serve.wire import Part, Task

MOST_PICTURES = 60  # in an answer
_WINDOWS_AT_ONCE, _RECORDS_AT_ONCE = 8, 16
_LONGEST_ID = 1000  # characters


class Reader(Protocol):
    """How a model's uploads are read. kind: of data, as ``ModelSpec.data``. Can be sent to another process."""

    kind: DataKind

    def read(self, task: Task) -> Iterator[Part]:
        """A file's parts, in order. Raises DataError."""

    def to_float(self, batch: Batch) -> Batch:
        """The batch as a network on the CPU takes it."""


@dataclass(frozen=True)
class ClipReader:
    """Videos and pickles of JPEG frames, whole or in windows."""

    settings: ClipSettings
    kind: DataKind = "clips"

    def read(self, task: Task) -> Iterator[Part]:
        entry = ListEntry(task.path, written=task.path)
        # One that is broken is skipped, so that its error does not advise a flag that a server has not.
        dataset = ClipDataset([entry], self.settings, name=task.path, training=False, skip_broken=1)
        if not dataset.broken and task.windows:
            require_film(entry, "window_sec takes videos")
            yield from self._read_windows(dataset, task)
        elif not dataset.broken:
            for batch in EvaluationLoader(dataset, 1, num_workers=0, as_float=False).epoch():
                require_short_ids(batch.ids, task)
                yield Part(batch, self._draw(batch)[0] if task.pictures else [])
        if dataset.broken:
            raise DataError(dataset.broken[0])

    def _read_windows(self, dataset: ClipDataset, task: Task) -> Iterator[Part]:
        shard = Shard()
        loader = WindowLoader(dataset, task.windows, _WINDOWS_AT_ONCE, num_workers=0, as_float=False, shard=shard)
        number = 0
        for batch in loader.epoch():
            number = 0 if batch.begins else number
            require_room(len(loader), task, "windows", "ask for longer ones")
            every = ceil(len(loader) / MOST_PICTURES)
            pictures = []
            if task.pictures:
                drawn = [(number + i) % every == 0 for i in range(len(batch))]
                pictures = [found[len(found) // 2] if found else "" for found in self._draw(batch, drawn)]
            yield Part(batch, pictures)
            number += len(batch)

    def _draw(self, batch: Batch, drawn: list[bool] | None = None) -> list[list[str]]:
        """Of each record, a picture of the middle frame of each segment as the network sees it, of its first view."""
        settings = self.settings
        size = settings.target_size
        shape = (len(batch), batch.views, settings.seg_num, settings.seglen, 3, size, size)
        frames = batch.inputs[0].reshape(shape)[:, 0, :, settings.seglen // 2]  # (N, S, 3, H, W)
        places = np.linspace(0, settings.seg_num - 1, min(settings.seg_num, MOST_PICTURES)).round().astype(int)
        return [
            [encode_picture(record[place].transpose(1, 2, 0)) for place in places] if drawn is None or drawn[i] else []
            for i, record in enumerate(frames)
        ]

    def to_float(self, batch: Batch) -> Batch:
        (frames,) = batch.inputs
        return replace(batch, inputs=(normalize(frames, self.settings.image_mean, self.settings.image_std),))


@dataclass(frozen=True)
class FeatureReader:
    """Records of frame features, of a pickle or a TFRecord shard."""

    model: str
    expected: Expected
    arrange: SegmentFrames | RaggedFrames
    kind: DataKind = "features"

    def read(self, task: Task) -> Iterator[Part]:
        if find_data_kind(task.path) == "clips":
            raise DataError(
                f"{task.path} is a video or its frames; {self.model} takes records of YouTube-8M features, which "
                "python -m tools.extract makes of videos",
                DataIssue.FORMAT,
            )
        raws, damaged = load_file(task.path)
        if damaged:
            raise DataError(damaged[0], DataIssue.DAMAGED)
        if not raws:
            raise DataError(f"{task.path} holds no records", DataIssue.EMPTY)
        require_room(len(raws), task, "videos", "send fewer at once")
        for first in range(0, len(raws), _RECORDS_AT_ONCE):
            records = [
                parse_record(raw, self.expected, f"{task.path} record {number}")
                for number, raw in enumerate(raws[first : first + _RECORDS_AT_ONCE], start=first)
            ]
            require_short_ids([record.video_id for record in records], task)
            yield Part(self._make_batch(records))

    def _make_batch(self, records: list[Record]) -> Batch:
        return Batch(
            ids=[record.video_id for record in records],
            sources=[record.where for record in records],
            entries=[],
            inputs=self.arrange(records, []),
            labels=None,
        )

    def to_float(self, batch: Batch) -> Batch:
        return replace(batch, inputs=self.arrange.to_float(batch.inputs))


def require_room(count: int, task: Task, what: str, advice: str) -> None:
    """Raise DataError where an answer would be too long."""
    if count > task.most_parts:
        raise DataError(
            f"{task.path} has {count:,} {what}; an answer has room for {task.most_parts:,}: {advice}, or ask for fewer "
            "classes by topk"
        )


def require_short_ids(ids: list[str], task: Task) -> None:
    """Raise DataError where an id is so long that an answer would be mostly that."""
    longest = max(map(len, ids), default=0)
    if longest > _LONGEST_ID:
        raise DataError(
            f"{task.path} has an id of {longest:,} characters; give its videos ids of at most {_LONGEST_ID:,}"
        )


def build_reader(spec, model: str, config) -> Reader:
    """What reads uploads for a model. Raises ConfigError."""
    if spec.data == "clips":
        return ClipReader(build_clip_settings(config, "INFER"))
    return FeatureReader(model, expect_records(config, "INFER"), choose_inputs(spec.reader, config))


def has_right_kind(path: str, kind: DataKind) -> bool:
    """Whether a file that was refused is of the kind that the model takes, by its content."""
    try:
        return find_data_kind(path) == kind
    except OSError:
        return False
