"""What is taken for what, of hundreds of classes: all of it as dots, a part as a table, and any class on demand."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tools.pages.scales import Scale
from tools.pages.texts import show_text

SHOWN = 20  # classes of the table; of as many or fewer all are
MOST_DOTS = 200_000  # of the picture of all classes
SIDE = 400  # px of that picture
_LEVELS = (0.05, 0.2, 0.5)  # shares of a class, above which its dots are larger
_HEAT = 10  # strengths of a cell's ground


@dataclass(frozen=True)
class MatrixCell:
    """A count of videos. heat: 0 to 10, its share of the row. is_right: on the diagonal."""

    text: str
    heat: int
    is_right: bool


@dataclass(frozen=True)
class MatrixRow:
    """A class. others: its videos that were taken for classes not shown; total: all of them."""

    name: str
    cells: list[MatrixCell]
    others: str
    total: str


@dataclass(frozen=True)
class Overview:
    """All classes as dots. dots: of rising size, d of an SVG path in which a class takes 1, and ``scale`` px.

    ticks: (px, text), the same along both sides.
    """

    scale: float
    dots: list[str]
    ticks: list[tuple[float, str]]
    about: str
    note: str


@dataclass(frozen=True)
class Part:
    """The table. heads: (class id, name) of its columns. values: for the script, which shows any other part."""

    caption: str
    heads: list[tuple[int, str]]
    rows: list[MatrixRow]
    values: str


@dataclass(frozen=True)
class ConfusionMatrix:
    """Videos by their class and by the class they are taken for.

    names: of the classes, by id, each told apart from all others. pairs: (P, 3) int64, (class, taken for, videos) of
    each pair that there is, also of what is right.
    """

    template: ClassVar[str] = "matrix.html"

    names: Sequence[str]
    pairs: np.ndarray

    @functools.cached_property
    def totals(self) -> np.ndarray:
        """(num_classes,) int64: videos of each class."""
        totals = np.zeros(len(self.names), np.int64)
        np.add.at(totals, self.pairs[:, 0], self.pairs[:, 2])
        return totals

    @functools.cached_property
    def mistakes(self) -> np.ndarray:
        """(P, 3) int64: the pairs that are not right, most frequent first."""
        wrong = self.pairs[self.pairs[:, 0] != self.pairs[:, 1]]
        return wrong[np.argsort(-wrong[:, 2], kind="stable")]

    @functools.cached_property
    def part(self) -> Part:
        """The classes of the pairs that are mistaken most often, in order; all classes where they are few."""
        chosen = self._choose()
        count = len(chosen)
        caption = (
            f"All {count} classes" if count == len(self.names) else f"The {count} classes that are mistaken most often"
        )
        counts = {(label, predicted): videos for label, predicted, videos in self.pairs.tolist()}
        rows = []
        for label in chosen:
            total = int(self.totals[label])
            cells = [self._cell(counts.get((label, other), 0), total, label == other) for other in chosen]
            others = total - sum(counts.get((label, other), 0) for other in chosen)
            rows.append(MatrixRow(self.names[label], cells, f"{others:,}" if others else "", f"{total:,}"))
        return Part(caption, [(one, self.names[one]) for one in chosen], rows, self._values(chosen))

    def _choose(self) -> list[int]:
        if len(self.names) <= SHOWN:
            return list(range(len(self.names)))
        chosen = {}
        for label, predicted, _ in self.mistakes.tolist():
            chosen |= {label: None} if len(chosen) < SHOWN else {}
            chosen |= {predicted: None} if len(chosen) < SHOWN else {}
        return sorted(chosen)

    @staticmethod
    def _cell(videos: int, total: int, is_right: bool) -> MatrixCell:
        heat = -(-_HEAT * videos // total) if videos else 0
        return MatrixCell(f"{videos:,}" if videos else "", heat, is_right)

    def _values(self, chosen: list[int]) -> str:
        """For the script: of each class, what its videos are taken for and how many are, one after the other."""
        rows = [[] for _ in self.names]
        for label, predicted, videos in self.pairs.tolist():
            rows[label] += [predicted, videos]
        names = [show_text(name) for name in self.names]
        whole = "all classes" if len(chosen) == len(self.names) else "those that are mistaken most often"
        return json.dumps({"names": names, "rows": rows, "whole": whole}, separators=(",", ":"))

    @functools.cached_property
    def overview(self) -> Overview | None:
        """None where the table holds all classes."""
        num_classes = len(self.names)
        if num_classes <= SHOWN:
            return None
        # Of equally frequent pairs any may be left out, not those of the last classes.
        mixed = self.mistakes[np.random.default_rng(0).permutation(len(self.mistakes))]
        shown = mixed[np.argsort(-mixed[:, 2], kind="stable")[:MOST_DOTS]]
        shown = shown[np.lexsort((shown[:, 1], shown[:, 0]))]
        levels = np.digitize(shown[:, 2] / self.totals[shown[:, 0]], _LEVELS)
        dots = [_dots(shown[levels == one]) for one in range(len(_LEVELS) + 1)]
        scale = Scale(-0.5, num_classes - 0.5, 0, SIDE)
        ticks = [(round(place, 1), text) for place, text in scale.ticks(8, whole=True) if 0 <= place <= SIDE]
        of_all = int(self.totals.sum())
        wrong = int(self.mistakes[:, 2].sum())
        about = (
            f"{num_classes:,} classes from top to bottom, by what their videos are taken for from left to right; "
            f"{wrong:,} of {of_all:,} videos are taken for another class, in {len(self.mistakes):,} pairs of classes."
        )
        left_out = len(self.mistakes) - len(shown)
        note = f"{left_out:,} of the rarest pairs have no dot." if left_out else ""
        return Overview(SIDE / num_classes, dots, ticks, about, note)


def _dots(pairs: np.ndarray) -> str:
    """Lines of no length, row by row, each place as seen from the one before. pairs: (P, 3), rising."""
    parts, row, column = [], -1, 0
    for label, predicted, _ in pairs.tolist():
        parts.append(f"m{predicted - column} 0h0" if label == row else f"M{predicted} {label}h0")
        row, column = label, predicted
    return "".join(parts)
