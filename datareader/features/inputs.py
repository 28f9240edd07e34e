"""Records as the inputs of a network."""

import numpy as np

from datareader.features.records import Record
from datareader.sampling import sample_span_frames
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED, dequantize


class SegmentFrames:
    """Inputs of AttentionCluster: seg_num frames a video, one a span, in training at random."""

    is_random = True

    def __init__(self, seg_num: int):
        self.seg_num = seg_num

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """One (N, seg_num, D) uint8 array a feature. generators: one a record in training, else None."""
        widths = [stream.shape[1] for stream in records[0].streams]
        batch = [np.empty((len(records), self.seg_num, width), np.uint8) for width in widths]
        for i, record in enumerate(records):
            rng = generators[i] if generators else None
            frames = sample_span_frames(len(record.streams[0]), self.seg_num, rng)
            for stream, out in zip(record.streams, batch, strict=True):
                np.take(stream, frames, axis=0, out=out[i])
        return tuple(batch)

    @staticmethod
    def to_float(inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(dequantize(part) for part in inputs)


class RaggedFrames:
    """Inputs of the networks over all frames: lengths, then the frames of all videos one after another.

    tables: (256,) float32 a feature, the value of each stored byte.
    """

    is_random = False

    def __init__(self, tables: list[np.ndarray]):
        self.tables = tables

    def __call__(self, records: list[Record], generators) -> tuple[np.ndarray, ...]:
        """(N,) int64 lengths and one (sum of lengths, D) uint8 array a feature."""
        lengths = np.array([len(record.streams[0]) for record in records], dtype=np.int64)
        return lengths, *(np.concatenate(parts) for parts in zip(*(record.streams for record in records), strict=True))

    def to_float(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        lengths, *streams = inputs
        return lengths, *(dequantize(part, table) for part, table in zip(streams, self.tables, strict=True))


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
