"""Features as YouTube-8M has them: a frame a second, at most 300, and beside each the sound of the second it begins.

The networks are Inception of December 2015 and VGGish; see ``datareader/youtube8m`` for the numbers before and behind
them. A video's rows are as many as both have: what picture or sound has more is left out, as in YouTube-8M.
"""

from collections.abc import Callable
from enum import Enum
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from datareader.clips.seconds import Pace
from datareader.extraction.extraction import Features, Hearing, Sight
from datareader.features.tfrecord import MAX_FRAMES
from datareader.youtube8m.log_mel import make_examples
from datareader.youtube8m.pixels import resize_frame
from datareader.youtube8m.resample import resample
from datareader.youtube8m.vectors import (
    AUDIO_DIM,
    make_projection,
    quantize_rounding,
    quantize_truncating,
)
from tools.errors import DataError, DataIssue

PACE = Pace(most=MAX_FRAMES)
PICTURES_AT_ONCE, EXAMPLES_AT_ONCE = 16, 32


class Silent(Enum):
    """What becomes of a video without sound.

    ZERO: bytes of 0, as YouTube-8M's own first program wrote, which stand for -2. MEAN: bytes that stand for 0, the
    mean of all videos. SKIP: it has no record.
    """

    ZERO = "zero"
    MEAN = "mean"
    SKIP = "skip"


class SilentError(DataError):
    """A video without sound, which is to have no record."""


class Made(NamedTuple):
    """A record as pickles hold it, the means that a shard has besides, and what is to be said of it, or ""."""

    record: dict
    means: dict[str, np.ndarray]
    remark: str


class PcaArrays(Protocol):
    """A PCA as published. mean: (D,). vectors: (K, D), a component a row. values: (K,), None where these whiten."""

    mean: np.ndarray
    vectors: np.ndarray
    values: np.ndarray | None


def use_networks(
    look: Callable[[np.ndarray], np.ndarray],
    listen: Callable[[np.ndarray], np.ndarray],
    picture_pca: PcaArrays,
    sound_pca: PcaArrays,
) -> tuple[Sight, Hearing]:
    """How these features are made by two networks.

    look: (N, 3, 299, 299) float32 -> (N, 2048) float32. listen: (N, 96, 64) float32 -> (N, 128) float32. What is
    described is float32, before it is made bytes.
    """
    project_picture, project_sound = (
        make_projection(pca.mean, pca.vectors, pca.values) for pca in (picture_pca, sound_pca)
    )
    return (
        Sight(
            PACE,
            lambda frames: resize_frame(*frames),
            lambda pictures: project_picture(look(pictures)),
            PICTURES_AT_ONCE,
        ),
        Hearing(hear, lambda examples: project_sound(listen(examples)), EXAMPLES_AT_ONCE),
    )


def hear(path: str) -> np.ndarray | None:
    """(rows, 96, 64) float32 of a video's sound, None where it has none. Needs PyAV. Raises DataError."""
    from datareader.clips.listening import open_sound

    with open_sound(path) as sound:
        if sound is None:
            return None
        try:
            examples = [*islice(make_examples(resample(sound.blocks, sound.rate)), MAX_FRAMES)]
        except DataError as error:
            raise DataError(f"{path}: {error.text}", error.issue) from None
    return np.stack(examples) if examples else None


def make_record(features: Features, labels: tuple[int, ...] | None, silent: Silent) -> Made:
    """The record of a video, under the name that it was given.

    Raises SilentError for one to be skipped, DataError for features that are no numbers.
    """
    name, remark = features.entry.written or features.entry.path, ""
    pictures, sound = features.pictures, features.sound
    if sound is None:
        if silent is Silent.SKIP:
            raise SilentError(f"{features.entry.path} has no sound", DataIssue.FORMAT)
        value = quantize_truncating(np.zeros(1))[0] if silent is Silent.MEAN else 0
        audio, mean = np.full((len(pictures), AUDIO_DIM), value, np.uint8), np.zeros(AUDIO_DIM, np.float32)
        remark = f"{features.entry.path} has no sound: its audio is {value} in every byte"
    else:
        rows = min(len(pictures), len(sound))
        if (spare := len(pictures) - rows) > 1:
            remark = f"{features.entry.path}: its sound ends {spare} s before its picture, of which {rows} s are taken"
        pictures, sound = pictures[:rows], sound[:rows]
    try:
        stored = quantize_rounding(pictures)
        if sound is not None:
            audio, mean = quantize_truncating(sound), sound.mean(axis=0)
    except DataError as error:
        raise DataError(f"{features.entry.path}: its {error.text}", error.issue) from None
    record = {"video": name, "feature": stored, "audio": audio, "nframes": len(pictures)}
    if labels is not None:
        record["label"] = sorted(labels)
    return Made(record, {"mean_rgb": pictures.mean(axis=0), "mean_audio": mean}, remark)
