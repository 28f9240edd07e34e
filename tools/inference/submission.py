"""Predictions as the YouTube-8M challenges of 2017 and 2018 took them: a CSV with the 20 best classes of each video.

Its first line is ``VideoId,LabelConfidencePairs``. Behind a video's id stand class ids and probabilities in turn,
separated by spaces, the highest first, with six decimals.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tools.files.atomic import atomic_write

PAIRS = 20  # the challenges' number of predictions of a video
HEADER = ("VideoId", "LabelConfidencePairs")


def pair_dtype(num_classes: int) -> np.dtype:
    """A video's pairs, as many as the classes make: ``class_ids`` int32 and ``probs`` float32."""
    count = min(PAIRS, num_classes)
    return np.dtype([("class_ids", np.int32, (count,)), ("probs", np.float32, (count,))])


def best_pairs(probs: np.ndarray) -> np.ndarray:
    """(N, num_classes) -> (N,) of ``pair_dtype``. Of equal probabilities the lower class comes first."""
    pairs = np.empty(len(probs), pair_dtype(probs.shape[1]))
    pairs["class_ids"] = np.argsort(-probs, axis=1, kind="stable")[:, :PAIRS]
    pairs["probs"] = np.take_along_axis(probs, pairs["class_ids"].astype(np.int64), axis=1)
    return pairs


def write_submission(path: Path, ids: Iterable[str], blocks: Iterable[np.ndarray]) -> None:
    """Write the file, of a million videos too. blocks: the pairs of all videos in turn. Raises OSError."""
    ids = iter(ids)
    with atomic_write(path) as file:
        file.write(_as_lines([HEADER]))
        for block in blocks:
            rows = zip(block["class_ids"].tolist(), block["probs"].tolist(), strict=True)
            lines = [" ".join(f"{c} {p:.6f}" for c, p in zip(*row, strict=True)) for row in rows]
            file.write(_as_lines([(next(ids), line) for line in lines]))


def _as_lines(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
