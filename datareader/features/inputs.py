"""Records as the inputs of a network."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from datareader.dataset import Batch
from datareader.features.records import Record
from datareader.lists import ListEntry
from datareader.sampling import sample_span_frames
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED, dequantize


class SegmentFrames:
    """Inputs of AttentionCluster: seg_num frames a video, one a span, in training at random."""

    is_random = True

    def __init__(self, seg_num: int):
        self.seg_num = seg_num

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """One (N, seg_num, D) array a feature, uint8, or float32 where a record is stored otherwise.

        generators: one a record in training, else None.
        """
        features = [unify(streams) for streams in zip(*(record.streams for record in records), strict=True)]
        batch = [np.empty((len(records), self.seg_num, part[0].shape[1]), part[0].dtype) for part in features]
        for i, record in enumerate(records):
            rng = generators[i] if generators else None
            frames = sample_span_frames(len(record.streams[0]), self.seg_num, rng)
            for streams, out in zip(features, batch, strict=True):
                np.take(streams[i], frames, axis=0, out=out[i], mode="clip")  # all are there; "raise" would copy
        return tuple(batch)

    @staticmethod
    def to_float(inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(as_float(part) for part in inputs)


class RaggedFrames:
    """Inputs of the networks over all frames: lengths, then the frames of all videos one after another.

    tables: (256,) float32 a feature, the value of each stored byte.
    """

    is_random = False

    def __init__(self, tables: list[np.ndarray]):
        self.tables = tables

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """(N,) int64 lengths and one (sum of lengths, D) array a feature, uint8 or float32 as of SegmentFrames."""
        lengths = np.array([len(record.streams[0]) for record in records], dtype=np.int64)
        features = zip(*(record.streams for record in records), strict=True)
        parts = (unify(streams, table) for streams, table in zip(features, self.tables, strict=True))
        return lengths, *map(np.concatenate, parts)

    def to_float(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        lengths, *streams = inputs
        return lengths, *(as_float(part, table) for part, table in zip(streams, self.tables, strict=True))


class FeatureInputs:
    """What all data sets of features have in common.

    arrange: makes the network's inputs, as the two above do.
    """

    protocol = ""  # there is one way only to score these
    arrange: SegmentFrames | RaggedFrames

    @staticmethod
    def pictures(entry: ListEntry, count: int) -> dict[int, np.ndarray]:
        """Features have no frames to look at."""
        return {}

    @staticmethod
    def pictures_at(entry: ListEntry, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Features have no frames to look at."""
        return iter(())

    def to_float(self, batch: Batch) -> Batch:
        """The batch with its features dequantised, for networks on the CPU."""
        return replace(batch, inputs=self.arrange.to_float(batch.inputs))


def unify(streams: Sequence[np.ndarray], table: np.ndarray = DEQUANTIZED) -> Sequence[np.ndarray]:
    """Streams of several records, as they are where all are uint8, else all as float32."""
    if all(stream.dtype == np.uint8 for stream in streams):
        return streams
    return [as_float(stream, table) for stream in streams]


def as_float(stream: np.ndarray, table: np.ndarray = DEQUANTIZED) -> np.ndarray:
    """Stored bytes dequantised; float32 as it is."""
    return dequantize(stream, table) if stream.dtype == np.uint8 else stream


def choose_inputs(reader: str, config) -> SegmentFrames | RaggedFrames:
    """The inputs that a reader makes, by the name it is registered with.

    ``feature_segments``: MODEL.seg_num frames of each record. ``feature_frames``: all of them.
    ``feature_frames_unbiased_rgb``: the same, with rgb dequantised without its half step, for a network that whitens
    it.
    """
    if reader == "feature_segments":
        return SegmentFrames(config.MODEL.seg_num)
    unbiased = "rgb" if reader == "feature_frames_unbiased_rgb" else None
    return RaggedFrames(
        [DEQUANTIZED_UNBIASED if name == unbiased else DEQUANTIZED for name in config.MODEL.feature_names]
    )
