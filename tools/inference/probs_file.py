"""The file of --save-probs: the probabilities of all classes of a whole run, a NumPy archive without objects.

``np.load`` reads it. Of N videos, or spans of videos, in the order of the list, and C classes:

- ``ids`` (N,) text: as in the pickle of infer.py, so that a span has its times behind its video's id;
- ``probs`` (N, C) float32 or float16;
- ``paths`` (N,) text, ``lines`` (N,) int64: where the list names the file, as it is written there; 0 without a list;
- ``start_sec``, ``end_sec`` (N,) float64: of spans alone;
- ``labels`` (N,) int64: the class ids of data of one class a video, -1 where it is not known; or
- ``label_starts`` (N + 1,) int64, ``label_ids`` (labels,) int32: those of data of several classes a video; of video n
  they are ``label_ids[label_starts[n] : label_starts[n + 1]]``;
- ``class_names`` (C,) text, where they are known;
- ``model``, ``metrics``, ``filelist`` text and ``topk`` int64, one value each: the model, the kind of its scores, its
  list, and how many classes of a video count for GAP and MAP, 0 where that is of no account.

There are labels only where some are known; those of several classes a video only where those of all videos are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

import numpy as np

from tools.files.atomic import atomic_write
from tools.files.row_files import Blocks, text_blocks, write_npz
from tools.inference.predictions import VideoClasses

DTYPES = {"float32": np.float32, "float16": np.float16}
TEXTS = ("model", "metrics", "filelist")


@dataclass(frozen=True)
class LabelledVideo:
    """A video or a span of one, without its classes' probabilities. labels: its class ids, None where not known."""

    video: VideoClasses
    labels: tuple[int, ...] | None


@dataclass(frozen=True)
class RunFacts:
    """What is said of a run as a whole.

    metrics: the kind of its scores. multilabel: whether a video may have several classes. topk: how many of them count
    for GAP, 0 where there is none.
    """

    model: str
    metrics: str
    multilabel: bool
    num_classes: int
    topk: int
    filelist: str
    class_names: Sequence[str] | None


def facts_of(run, dataset, names: Sequence[str] | None) -> RunFacts:
    """run: of ``tools.run_setup``. dataset: what it went through. names: of the classes."""
    multilabel = run.spec.data == "features"
    topk = run.config.MODEL.topk if multilabel else 0
    return RunFacts(run.name, run.spec.metrics, multilabel, run.config.MODEL.num_classes, topk, dataset.name, names)


def write_probs(
    path: Path, videos: Sequence[LabelledVideo], blocks: Iterable[np.ndarray], dtype: np.dtype, facts: RunFacts
) -> None:
    """Write the file. blocks: the probabilities of all videos in turn, (rows, num_classes) each. Raises OSError."""
    shown = [one.video for one in videos]
    arrays = {
        "ids": text_blocks([video.name for video in shown]),
        "paths": text_blocks([video.path for video in shown]),
        "lines": np.array([video.line or 0 for video in shown], np.int64),
    }
    if shown[0].start_sec is not None:
        arrays |= {key: np.array([getattr(video, key) for video in shown]) for key in ("start_sec", "end_sec")}
    arrays |= _label_arrays([one.labels for one in videos], facts.multilabel)
    if facts.class_names is not None:
        arrays["class_names"] = text_blocks(list(facts.class_names))
    arrays |= {key: np.array(getattr(facts, key), np.str_) for key in TEXTS}
    arrays["topk"] = np.array(facts.topk, np.int64)
    arrays["probs"] = Blocks(np.dtype(dtype), (len(videos), facts.num_classes), blocks)
    with atomic_write(path) as file:
        write_npz(file, arrays)


def _label_arrays(labels: list[tuple[int, ...] | None], multilabel: bool) -> dict[str, np.ndarray]:
    known = [one for one in labels if one is not None]
    if not multilabel:
        return {"labels": np.array([one[0] if one else -1 for one in labels], np.int64)} if known else {}
    if len(known) < len(labels):
        return {}
    starts = np.fromiter(accumulate(map(len, labels), initial=0), np.int64, len(labels) + 1)
    return {"label_starts": starts, "label_ids": np.fromiter(chain.from_iterable(labels), np.int32, int(starts[-1]))}
