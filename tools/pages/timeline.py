"""A film from its beginning to its end: which of several things each stretch of it shows, and how surely."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tools.pages.texts import show_text
from tools.runtime.text import format_clock

LANES = 8  # at most; the rest share one more
WIDTH, HEIGHT = 1000, 20  # of a lane; it is stretched to the width of the page
_LOW = 3  # px of what is not sure at all
PARTS = 4  # of the time, between which ticks stand


@dataclass(frozen=True)
class Stretch:
    """From start to end, in seconds: what it shows, and how surely, 0 to 1."""

    start: float
    end: float
    name: str
    share: float


@dataclass(frozen=True)
class Lane:
    """The stretches of one name. about: how long they are together. path: d of an SVG path."""

    name: str
    about: str
    path: str


@dataclass(frozen=True)
class Timeline:
    """stretches: in order; they may leave gaps. end: of the film, in seconds, above 0. note: below it."""

    template: ClassVar[str] = "timeline.html"

    title: str
    stretches: Sequence[Stretch]
    end: float
    note: str = ""

    @functools.cached_property
    def lanes(self) -> list[Lane]:
        """One for each name, that of the longest time first."""
        seconds = {}
        for one in self.stretches:
            seconds[one.name] = seconds.get(one.name, 0) + one.end - one.start
        names = sorted(seconds, key=lambda name: -seconds[name])  # of equal ones the first in the film
        kept = names if len(names) <= LANES + 1 else names[:LANES]
        lanes = [self._lane(name, [name], seconds[name]) for name in kept]
        if rest := names[len(kept) :]:
            lanes.append(self._lane(f"{len(rest)} others", rest, sum(map(seconds.get, rest))))
        return lanes

    def _lane(self, name: str, names: list[str], seconds: float) -> Lane:
        wanted = set(names)
        path = "".join(self._bar(one) for one in self.stretches if one.name in wanted)
        return Lane(name, f"{format_clock(round(seconds, 1))} of {format_clock(round(self.end, 1))}", path)

    def _bar(self, one: Stretch) -> str:
        left, right = (round(WIDTH * min(second / self.end, 1), 1) for second in (one.start, one.end))
        height = max(round(HEIGHT * one.share, 1), _LOW)
        return f"M{left:g} {HEIGHT}V{HEIGHT - height:g}H{max(right, left + 1):g}V{HEIGHT}Z"

    @property
    def ticks(self) -> list[str]:
        """The times at the beginning of each part."""
        step = 1 if self.end >= 2 * PARTS else 3  # digits of a second
        return [format_clock(round(self.end * part / PARTS, 0 if step == 1 else step)) for part in range(PARTS)]

    @property
    def last(self) -> str:
        return format_clock(round(self.end, 0 if self.end >= 2 * PARTS else 3))

    @functools.cached_property
    def values(self) -> str:
        """For the script."""
        names = {name: place for place, name in enumerate(dict.fromkeys(one.name for one in self.stretches))}
        rows = [
            [round(one.start, 3), round(one.end, 3), names[one.name], round(100 * one.share, 1)]
            for one in self.stretches
        ]
        value = {"end": self.end, "names": [show_text(name) for name in names], "stretches": rows}
        return json.dumps(value, separators=(",", ":"))
