"""Sound as the pictures that VGGish takes: the logarithm of its mel spectrum, cut into examples of 0.96 s.

Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017 (arXiv:1609.09430), section 3.1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from datareader.youtube8m.resample import RATE_HZ

FRAME, STEP = 400, 160  # samples of 16 kHz: 25 ms, every 10 ms
BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
EXAMPLE = 96  # rows of an example
_FFT = 512
_OFFSET = 0.01  # added before the logarithm
_ROWS_AT_ONCE = 1024  # 4 MB of frames


@dataclass(frozen=True)
class ExampleRule:
    """Where examples begin and what becomes of the sound's end.

    step: rows from one example to the next. keeps_tail: rows that fill no example make one with zeros behind them, and
    the sound is lengthened by silence so that all of its samples are in a row; without it they are dropped.
    """

    step: int
    keeps_tail: bool


# MediaPipe's: an example for each second, its first 0.96 s, beside the frame of that second.
YOUTUBE8M = ExampleRule(step=100, keeps_tail=True)
# That of VGGish's own program, for which its published check values are.
VGGISH = ExampleRule(step=EXAMPLE, keeps_tail=False)


def make_examples(blocks: Iterable[np.ndarray], rule: ExampleRule = YOUTUBE8M) -> Iterator[np.ndarray]:
    """Blocks (n,) float64 at 16 kHz, of any length, one after another -> examples (96, 64) float32."""
    kept = np.empty((0, BANDS))
    begins = 0  # of the next example, from the first row of kept
    for rows in log_mel(blocks, rule.keeps_tail):
        kept = np.concatenate([kept, rows])
        while begins + EXAMPLE <= len(kept):
            yield kept[begins : begins + EXAMPLE].astype(np.float32)
            begins += rule.step
        drop = min(begins, len(kept))
        begins, kept = begins - drop, kept[drop:]
    if rule.keeps_tail and len(kept):
        example = np.zeros((EXAMPLE, BANDS), np.float32)
        example[: len(kept)] = kept
        yield example


def log_mel(blocks: Iterable[np.ndarray], keeps_tail: bool = False) -> Iterator[np.ndarray]:
    """Blocks (n,) float64 at 16 kHz -> blocks of rows (m, 64) float64, a row for each 10 ms.

    Row i is of samples 160 i to 160 i + 399. keeps_tail: of a last row silence may be a part, so that every sample is
    in one.
    """
    kept = np.empty(0)
    overlap = 0  # samples at the beginning of kept that are in a row already
    for block in blocks:
        kept = np.concatenate([kept, block])
        if len(kept) >= FRAME:
            num_rows = 1 + (len(kept) - FRAME) // STEP
            yield from _compute_rows(kept, num_rows)
            kept, overlap = kept[num_rows * STEP :], FRAME - STEP
    if keeps_tail and len(kept) > overlap:
        yield from _compute_rows(np.concatenate([kept, np.zeros(FRAME - len(kept))]), 1)


def _compute_rows(samples: np.ndarray, num_rows: int) -> Iterator[np.ndarray]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP][:num_rows]
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        yield np.log(compute_magnitudes(frames[start : start + _ROWS_AT_ONCE]) @ mel_weights() + _OFFSET)


def compute_magnitudes(frames: np.ndarray) -> np.ndarray:
    """(m, 400) -> (m, 257) float64, of the spectrum: not their squares."""
    return np.abs(np.fft.rfft(frames * hann_window(), _FFT))


@cache
def hann_window() -> np.ndarray:
    """(400,) float64, of one period: the value after the last would be the first again."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)


@cache
def mel_weights() -> np.ndarray:
    """(257, 64) float64: what each frequency of the spectrum counts in each band.

    Triangles of height 1 on the mel scale, each from the peak of the band before to that of the band after.
    """
    frequencies = np.arange(_FFT // 2 + 1) * (RATE_HZ / _FFT)
    edges = np.linspace(to_mel(LOWEST_HZ), to_mel(HIGHEST_HZ), BANDS + 2)
    begin, peak, end = edges[:-2], edges[1:-1], edges[2:]
    mel = to_mel(frequencies)[:, None]
    weights = np.clip(np.minimum((mel - begin) / (peak - begin), (end - mel) / (end - peak)), 0, None)
    weights[0] = 0  # the sound's mean
    return weights


def to_mel(frequency_hz):
    """The mel scale of the hidden Markov model toolkit HTK."""
    return 1127 * np.log1p(frequency_hz / 700)
