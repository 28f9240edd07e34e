"""What a video's classes look like in its frames: a box with a line for each class, drawn into luma and chroma."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tools.drawing.fonts import load_font, make_drawable, wrap_text

# Sizes of letters by the picture's; a portrait's width allows less than its height.
TEXT_OF_HEIGHT, TEXT_OF_WIDTH, SMALLEST_PX = 0.038, 0.042, 9
LINE = 1.35  # height of a line over that of its letters
MOST_HEIGHT, MOST_WIDTH = 0.5, 0.94  # of the picture, for the box
MOST_LINES = 2  # of one class's name
DIM = 0.6  # of the box, from 0 for clear to 1 for black
BLACK, NEUTRAL = 16, 128  # luma of black, chroma of grey
NARROW = 20  # times the letters' size: pictures less wide have whole percents


@dataclass(frozen=True)
class Span:
    """Classes of a stretch of a video: from start_sec to before end_sec, (name, probability), the best first."""

    start_sec: float
    end_sec: float
    classes: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Planes:
    """An upright picture as 8-bit Y'CbCr with half the chroma, as encoders take it; all arrays can be written.

    luma: (H, W) uint8, H and W even. blue, red: (H / 2, W / 2) uint8. white: the luma of white that does not dazzle.
    """

    luma: np.ndarray
    blue: np.ndarray
    red: np.ndarray
    white: int = 235


class Captions:
    """Draws the classes of a video's spans into its frames; where several spans hold, those of the nearest middle.

    most: classes to draw at most, None for as many as fit.
    """

    def __init__(self, spans: Sequence[Span], most: int | None):
        self._spans, self._most = sorted(spans, key=lambda span: span.start_sec), most
        self._longest_sec = max((span.end_sec - span.start_sec for span in spans), default=0)
        self._drawn: tuple | None = None  # (span, size) and the box, of the latest frame

    def names(self) -> Iterator[str]:
        """Of all classes that may be drawn."""
        return (name for span in self._spans for name, _ in span.classes[: self._most])

    def draw(self, planes: Planes, time_sec: float) -> None:
        """Draw into a frame that is shown at a time, counted from the first frame."""
        span = self._find(time_sec)
        if span is None:
            return
        key = (id(span), planes.luma.shape)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, draw_box(span.classes[: self._most], planes.luma.shape[1], planes.luma.shape[0]))
        self._drawn[1].blend_into(planes)

    def _find(self, time_sec: float) -> Span | None:
        first = bisect_left(self._spans, time_sec - self._longest_sec, key=lambda span: span.start_sec)
        stop = bisect_right(self._spans, time_sec, key=lambda span: span.start_sec)
        holding = [span for span in self._spans[first:stop] if time_sec < span.end_sec]
        return min(holding, key=lambda span: abs((span.start_sec + span.end_sec) / 2 - time_sec), default=None)


@dataclass(frozen=True)
class Box:
    """Letters in a half-transparent box. Its place and its sides are even numbers.

    left, top: in the picture. letters, cover: (h, w) float32 in [0, 1], how much of a pixel is white, and how much of
    what is below is covered.
    """

    left: int
    top: int
    letters: np.ndarray
    cover: np.ndarray

    def blend_into(self, planes: Planes) -> None:
        light = BLACK * (self.cover - self.letters) + planes.white * self.letters
        _blend(planes.luma, self.left, self.top, self.cover, light)
        height, width = self.cover.shape
        cover = self.cover.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        for plane in (planes.blue, planes.red):
            _blend(plane, self.left // 2, self.top // 2, cover, NEUTRAL * cover)


def _blend(plane: np.ndarray, left: int, top: int, cover: np.ndarray, light: np.ndarray) -> None:
    place = plane[top : top + cover.shape[0], left : left + cover.shape[1]]
    place[:] = np.rint(place * (1 - cover) + light)


def draw_box(classes: Sequence[tuple[str, float]], width: int, height: int) -> Box:
    """The box of a picture's classes, at its top left: as many of them as fit, and never less than the best."""
    size_px = max(SMALLEST_PX, round(min(TEXT_OF_HEIGHT * height, TEXT_OF_WIDTH * width)))
    margin, line_px = max(2, size_px // 3), math.ceil(size_px * LINE)
    numbers = [f"{prob:.{0 if width < NARROW * size_px else 1}%}" for _, prob in classes]
    digits = load_font(size_px, "0%")
    lengths = [digits.getlength(number) for number in numbers]
    column = math.ceil(max(lengths, default=0)) + size_px // 2  # where names begin
    room = max(size_px, round(MOST_WIDTH * width) - 2 * margin - column)
    rows = []  # (text, left, font)
    for (name, _), number, length in zip(classes, numbers, lengths, strict=True):
        font = load_font(size_px, name)
        lines = wrap_text(make_drawable(name, font), font, room, MOST_LINES) or [""]
        if rows and (len(rows) + len(lines)) * line_px + margin > MOST_HEIGHT * height:
            break
        rows.append([(number, column - size_px // 2 - length, digits), (lines[0], column, font)])
        rows += [[(line, column, font)] for line in lines[1:]]
    end = max((left + font.getlength(text) for row in rows for text, left, font in row), default=0)
    outer = min(width, _even(end + 2 * margin)), min(height, _even(len(rows) * line_px + margin))
    mask = Image.new("L", outer, 0)
    draw = ImageDraw.Draw(mask)
    for number, row in enumerate(rows):
        baseline = margin // 2 + number * line_px + size_px
        for text, left, font in row:
            draw.text((margin + left, baseline), text, 255, font, anchor="ls")
    letters = np.asarray(mask, np.float32) / 255
    place = min(margin, width - outer[0]) // 2 * 2, min(margin, height - outer[1]) // 2 * 2
    return Box(*place, letters, np.maximum(letters, DIM).astype(np.float32))


def _even(length: float) -> int:
    return math.ceil(length / 2) * 2
