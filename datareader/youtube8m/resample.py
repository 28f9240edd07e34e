"""Sound at 16 kHz in one channel, as VGGish takes it, made of blocks of any length and as long as a video is.

The resampler is that of MediaPipe, which makes the features of YouTube-8M: QResampler of Google's multichannel audio
tools, a sinc under a Kaiser window.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from tools.errors import DataError, DataIssue

RATE_HZ = 16000
SLOWEST_HZ, FASTEST_HZ = 1000, 768_000  # the work grows with both, which are only numbers in a file
_CUTOFF, _BETA, _RADIUS = 0.9, 6.0, 5  # of the lower rate's half; of the window; in periods of the lower rate
_PRODUCTS_AT_ONCE = 2**19  # 4 MB of them
_FULL_SCALE = {
    "uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31, "int64": 2.0**63, "float32": 1.0, "float64": 1.0
}  # fmt: skip


def mix_down(samples: np.ndarray) -> np.ndarray:
    """(n, channels) uint8, int16, int32, int64, float32 or float64 as decoded -> (n,) float64, the channels' mean.

    Full scale becomes 1; of uint8, 128 is silence. Raises ValueError for another array, DataError for samples that are
    no numbers of float32.
    """
    if samples.ndim != 2 or not samples.shape[1] or samples.dtype.name not in _FULL_SCALE:
        kinds = ", ".join(_FULL_SCALE)
        raise ValueError(f"sound is (n, channels) of {kinds}, not {samples.shape} {samples.dtype}")
    if samples.dtype.kind == "f" and not (np.abs(samples) <= np.finfo(np.float32).max).all():
        raise DataError("the sound holds samples that are infinite or no numbers", DataIssue.DAMAGED)
    silence = 128 if samples.dtype == np.uint8 else 0
    return (samples.mean(axis=1, dtype=np.float64) - silence) / _FULL_SCALE[samples.dtype.name]


def resample(blocks: Iterable[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    """Blocks (n,) float64 at rate_hz, one after another -> blocks (m,) float64 at 16 kHz.

    The result does not depend on where one block ends and the next begins, to the bit. It is ceil((n + r) * 16000 /
    rate_hz) samples long for n > 0 samples, where r is the filter's radius, as QResampler's is when it is flushed;
    blocks at 16 kHz pass as they are. Raises DataError for a rate that is not within SLOWEST_HZ and FASTEST_HZ.
    """
    if not SLOWEST_HZ <= rate_hz <= FASTEST_HZ:
        raise DataError(
            f"the sound has {rate_hz} samples a second; rates from {SLOWEST_HZ} to {FASTEST_HZ} Hz are understood",
            DataIssue.FORMAT,
        )
    if rate_hz == RATE_HZ:
        return iter(blocks)
    return _Resampling(rate_hz).run(blocks)


class _Resampling:
    """Output n lies at input n * a / b, where a / b are the two rates without common factors.

    It is the sum of the inputs k within the radius, each times ``filter_weights`` at n * a / b - k. All places are
    whole numbers of b-ths of an input, so nothing is lost in however long a sound.
    """

    def __init__(self, rate_hz: int):
        common = math.gcd(rate_hz, RATE_HZ)
        self.a, self.b = rate_hz // common, RATE_HZ // common
        self.radius = _RADIUS * max(self.a, self.b)  # in b-ths
        self.taps = 2 * self.radius // self.b + 1
        self.at_once = max(_PRODUCTS_AT_ONCE // self.taps, 1)
        parts = [np.arange(self.b)[start : start + self.at_once] for start in range(0, self.b, self.at_once)]
        self.table = np.concatenate([self._compute_weights(part) for part in parts])  # (b, taps), at most 62 MB

    def run(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        silence = np.zeros(-(-self.radius // self.b))
        first, kept = -len(silence), silence  # kept[0] is input ``first``
        made = 0
        for block in blocks:
            kept = np.concatenate([kept, block])
            last = first + len(kept) - self.taps  # the last input with which a whole row of them begins
            ready = (last * self.b + self.radius) // self.a + 1
            yield from self._compute(made, ready, kept, first)
            made = max(made, ready)
            drop = max(self._first_input(made) - first, 0)
            first, kept = first + drop, kept[drop:]
        end = first + len(kept)
        if end > 0:
            total = -(-(end + len(silence)) * self.b // self.a)
            yield from self._compute(made, total, np.concatenate([kept, *[silence] * 3]), first)

    def _first_input(self, output):
        return -((self.radius - output * self.a) // self.b)

    def _compute(self, begin: int, end: int, kept: np.ndarray, first: int) -> Iterator[np.ndarray]:
        for start in range(begin, end, self.at_once):
            outputs = np.arange(start, min(start + self.at_once, end))
            places = self._first_input(outputs) - first
            products = np.lib.stride_tricks.sliding_window_view(kept, self.taps)[places]
            products *= self.table[(self.radius - outputs * self.a) % self.b]
            yield products.sum(axis=1)

    def _compute_weights(self, late: np.ndarray) -> np.ndarray:
        """Of outputs whose first input is so many b-ths within the radius: (m,) int64 -> (m, taps)."""
        distances = self.radius - late[:, None] - np.arange(self.taps) * self.b
        return filter_weights(distances / self.b, self.a / self.b)


def filter_weights(distance: np.ndarray, ratio: float) -> np.ndarray:
    """What an input counts at so many input samples from an output. ratio: of the input's rate to the output's."""
    longer = max(1.0, ratio)
    window = np.sqrt(np.clip(1 - (distance / (_RADIUS * longer)) ** 2, 0, None))
    weights = _CUTOFF / longer * np.sinc(_CUTOFF / longer * distance) * np.i0(_BETA * window) / np.i0(_BETA)
    return np.where(np.abs(distance) <= _RADIUS * longer, weights, 0.0)
