"""What a request asks for besides its file: the query behind /classify."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from datareader.clips.timeline import Windows
from tools.runtime.text import short_repr
from tools.serve.options import IN_ANSWERS, MOST_PARTS, MOST_ROWS
from tools.serve.refusals import RefusalError

_LEAST_SEC, _MOST_SEC = 0.001, 1e6
_KEYS = ("topk", "window_sec", "stride_sec", "frames")


@dataclass(frozen=True)
class Question:
    """top_k: classes of each video or window, 0 for all. windows: None for the whole video. frames: also pictures."""

    top_k: int = IN_ANSWERS
    windows: Windows | None = None
    frames: bool = False

    def most_parts(self, num_classes: int) -> int:
        """Of how many windows or videos an answer has room for the classes."""
        return min(MOST_PARTS, MOST_ROWS // min(self.top_k or num_classes, num_classes))


def parse_question(query: Iterable[tuple[str, str]], model: str, is_clips: bool) -> Question:
    """What a query asks. is_clips: whether the model looks at frames. Raises RefusalError."""
    given = {}
    for key, value in query:
        if key not in _KEYS:
            raise RefusalError(400, f"unknown query key {short_repr(key)}; /classify takes {', '.join(_KEYS)}")
        if key in given:
            raise RefusalError(400, f"{key} is given twice")
        given[key] = value
    of_clips = [key for key in given if key != "topk"]
    if of_clips and not is_clips:
        raise RefusalError(400, f"{of_clips[0]}: {model} looks at the features of whole videos, which have no frames")
    return Question(
        _parse_top_k(given.get("topk")),
        _parse_windows(given.get("window_sec"), given.get("stride_sec")),
        _parse_switch(given.get("frames", "0")),
    )


def _parse_top_k(text: str | None) -> int:
    if text is None:
        return IN_ANSWERS
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise RefusalError(400, f"topk = {short_repr(text)} should be a whole number, 0 for all classes")
    return int(text)


def _parse_windows(length: str | None, stride: str | None) -> Windows | None:
    if length is None:
        if stride is not None:
            raise RefusalError(400, "stride_sec is from one window to the next; give window_sec too")
        return None
    length_sec = _parse_seconds("window_sec", length)
    return Windows(length_sec, length_sec if stride is None else _parse_seconds("stride_sec", stride))


def _parse_seconds(key: str, text: str) -> Fraction:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not _LEAST_SEC <= number <= _MOST_SEC:
        raise RefusalError(400, f"{key} = {short_repr(text)} should be seconds, {_LEAST_SEC} or more")
    return Fraction(str(number))


def _parse_switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise RefusalError(400, f"frames = {short_repr(text)} should be 1 or 0")
    return text == "1"
