"""The sound of a video as samples of one channel, in time with its picture. With PyAV."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from datareader.clips.pyav import decode_packet, open_container
from datareader.youtube8m.resample import mix_down
from tools.errors import DataError, DataIssue

_JITTER_SEC = Fraction(1, 50)  # by which the times of packets may be wrong; half of a frame
_BACK_SEC = 1  # a frame that is so much before another begins a film anew
_BLOCK = 1 << 16  # samples of silence at once


class Sound(NamedTuple):
    """The sound of a video while it is open.

    rate: samples a second. blocks: gives (n,) float64 samples, from the time of the first frame on; where some are
    missing there is silence.
    """

    rate: int
    blocks: Iterator[np.ndarray]


@contextmanager
def open_sound(path: str) -> Iterator[Sound | None]:
    """The best track of sound of a video, or None where it has none.

    Raises DataError; that of a block does not name the file.
    """
    with open_container(path) as (container, stream):
        track = container.streams.best("audio")
        if track is None or track.codec_context is None:
            yield None
            return
        decoder = track.codec_context
        if not decoder.sample_rate:
            yield None  # FFmpeg has found no sound in the track
            return
        start = stream.start_time * stream.time_base if stream.start_time is not None else Fraction(0)
        yield Sound(decoder.sample_rate, _read(container, track, start, decoder.sample_rate))


def _read(container, track, start_sec: Fraction, rate: int) -> Iterator[np.ndarray]:
    """Blocks in time: what comes before the picture, or a second time, is left out. Raises DataError."""
    clock = _SampleClock(rate)
    for frame in _decode(container, track):
        if frame.sample_rate != rate:
            raise DataError(
                f"the sound changes from {rate} to {frame.sample_rate} samples a second; convert it",
                DataIssue.FORMAT,
            )
        said = None if frame.pts is None else round((frame.pts * frame.time_base - start_sec) * rate)
        first, samples = clock.place(said), to_mono(frame)
        while clock.position < first:
            silence = np.zeros(min(first - clock.position, _BLOCK))
            clock.position += len(silence)
            yield silence
        samples = samples[clock.position - first :]
        clock.position += len(samples)
        if len(samples):
            yield samples


class _SampleClock:
    """Tells which sample of a sound the next frame begins with. position: how many came so far."""

    def __init__(self, rate: int):
        self.position = 0
        self._jitter, self._back = _JITTER_SEC * rate, _BACK_SEC * rate
        self._moved = 0  # by how many samples frames come later than they say

    def place(self, said: int | None) -> int:
        """The frame follows on, unless its own time is clearly another. A film that was put together may begin anew."""
        if said is None:
            return self.position
        said += self._moved
        if self.position and self.position - said > self._back:
            self._moved += self.position - said
            return self.position
        return self.position if self.position and abs(said - self.position) <= self._jitter else said


def _decode(container, track) -> Iterator:
    """The frames of a track; damaged packets are passed over, and a container that is damaged ends there."""
    decoder = track.codec_context
    with suppress(av.error.FFmpegError):
        for packet in container.demux(track):
            if packet.size:
                yield from decode_packet(decoder, packet)
    yield from decode_packet(decoder, None)


def to_mono(frame) -> np.ndarray:
    """(n,) float64: the mean of all channels of decoded sound, -1 to 1. Raises DataError for what is no number."""
    content = _samples_of(frame)  # (channels, n), or (1, n * channels) where they take turns
    return mix_down(content.T if frame.format.is_planar else content.reshape(-1, frame.layout.nb_channels))


def _samples_of(frame) -> np.ndarray:
    if frame.format.name not in ("s64", "s64p"):
        return frame.to_ndarray()
    # PyAV makes no arrays of these, which pcm_s64le in AVI and MOV is decoded to (seen in 18.1.0).
    count = frame.samples if frame.format.is_planar else frame.samples * frame.layout.nb_channels
    return np.stack([np.frombuffer(plane, np.int64, count) for plane in frame.planes])
