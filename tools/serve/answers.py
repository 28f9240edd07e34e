"""From what an upload holds to the JSON of its answer."""

import contextlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from datareader.dataset import Batch
from tools.inference.classify import rank_batch
from tools.inference.predictions import VideoClasses, list_classes, merge_spans
from tools.serve.network import NetworkThread
from tools.serve.questions import Question
from tools.serve.wire import Part

_UNDER_WAY = 2  # batches of one upload that may wait for the network


class Findings:
    """The parts of one upload, with what the network makes of them."""

    def __init__(self, network: NetworkThread):
        self._network = network
        self.batches: list[Batch] = []
        self.futures: list[Future[np.ndarray]] = []
        self.pictures: list[str] = []
        self._is_given_up = False

    def add(self, part: Part) -> None:
        """Give a part to the network; waits where it has enough of this upload.

        Parts that come once it was given up are let go: who reads the file is soon done, or else stopped.
        """
        if self._is_given_up:
            return
        if part.batch.spans and part.batch.begins:  # a damaged file, which is read again
            self.batches, self.futures, self.pictures = [], [], []
        self.futures.append(self._network.submit(part.batch))
        self.batches.append(replace(part.batch, inputs=()))
        self.pictures += part.pictures
        if len(self.futures) > _UNDER_WAY:
            with contextlib.suppress(CancelledError):
                self.futures[-1 - _UNDER_WAY].result()

    def give_up(self) -> None:
        """Have the network pass over what waits for it."""
        self._is_given_up = True
        for future in self.futures:
            future.cancel()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call once the network has no more of this, if no part follows: it takes parts in their order."""
        if self.futures:
            self.futures[-1].add_done_callback(lambda _: call())
        else:
            call()

    def rank(self, top_k: int) -> list[VideoClasses]:
        """The classes of each video or window, once all futures are done. Raises what the network raised."""
        pairs = zip(self.batches, self.futures, strict=True)
        return [part for batch, future in pairs for part in rank_batch(batch, future.result(), top_k)]


@dataclass(frozen=True)
class Answerer:
    """names: of the classes by id, None without any. is_clips: whether the model looks at frames."""

    model: str
    names: Sequence[str] | None
    is_clips: bool

    def answer(self, findings: Findings, question: Question, name: str | None, path_stem: str, seconds: float) -> bytes:
        """The answer in JSON. name: of the client's file, None for none. path_stem: what stands for it as an id."""
        parts = findings.rank(question.top_k)
        if self.is_clips:
            known = name if parts[0].video_id == path_stem else parts[0].video_id
            values = {"id": known, **self._describe_clip(parts, findings.pictures, question)}
        elif len(parts) == 1:
            values = self._describe_record(parts[0])
        else:
            values = {"videos": [self._describe_record(part) for part in parts]}
        values |= {"model": self.model, "seconds": round(seconds, 3)}
        return encode_json(values)

    def _describe_record(self, part: VideoClasses) -> dict[str, Any]:
        return {"id": part.video_id, "classes": list_classes(part, self.names)}

    def _describe_clip(self, parts: list[VideoClasses], pictures: list[str], question: Question) -> dict[str, Any]:
        if question.windows is None:
            frames = {"frames": pictures} if question.frames else {}
            return {"classes": list_classes(parts[0], self.names), **frames}
        frames = pictures if question.frames else [""] * len(parts)
        windows = [
            {
                "start_sec": part.start_sec,
                "end_sec": part.end_sec,
                "classes": list_classes(part, self.names),
                **({"frame": frame} if frame else {}),
            }
            for part, frame in zip(parts, frames, strict=True)
        ]
        merged = [
            {
                "start_sec": one.start_sec,
                "end_sec": one.end_sec,
                "class_id": one.class_id,
                "name": self.names[one.class_id] if self.names else "",
                "probability": one.prob,
                "spans": one.num_spans,
            }
            for one in merge_spans(parts)
        ]
        return {"windows": windows, "merged": merged}


def encode_json(values: dict[str, Any]) -> bytes:
    """A byte of a name that is no valid UTF-8, such as ff, is \\udcff, as in infer.py's .json."""
    return json.dumps(values, ensure_ascii=False).encode(errors="backslashreplace")
