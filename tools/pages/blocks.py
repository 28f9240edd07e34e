"""What a page is made of. Each kind of block has a template of its own, which says how it looks.

Texts are plain: what in them is HTML is shown as it is. Only ``foreign`` in ``texts.py`` gives a part of a sentence
that comes from a file its own direction; all that stands in a cell, a fact or a list alone has it anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

MOST_ITEMS = 1000


@dataclass(frozen=True)
class Paragraph:
    template: ClassVar[str] = "paragraph.html"

    text: str


@dataclass(frozen=True)
class Items:
    """A list, such as of warnings, of which the first MOST_ITEMS are shown."""

    template: ClassVar[str] = "items.html"

    texts: Sequence[str]

    @property
    def shown(self) -> Sequence[str]:
        return self.texts[:MOST_ITEMS]


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for, such as a version."""

    template: ClassVar[str] = "facts.html"

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figure:
    """One of the few things that a page is opened for, in large letters. note: what belongs to it, in small ones."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Side by side at the head of a page."""

    template: ClassVar[str] = "figures.html"

    figures: Sequence[Figure]


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    order: by which its column is sorted; None for its text, or in a column of numbers for nothing, which comes last.
    share: 0 to 1, drawn as a bar behind the text. marked: stands out, which the text or another cell says too.
    """

    text: str
    order: float | None = None
    share: float | None = None
    marked: bool = False

    @property
    def bar(self) -> int | None:
        """The bar's length in percent, for the style sheet."""
        return None if self.share is None else round(100 * min(max(self.share, 0), 1))


@dataclass(frozen=True)
class Column:
    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns; the first names its row. A plain text is a Cell of that text."""

    template: ClassVar[str] = "table.html"

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    sortable: bool = True

    def cells(self, row: Sequence[Cell | str]) -> list[tuple[Column, Cell]]:
        cells = (cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
        return list(zip(self.columns, cells, strict=True))


@dataclass(frozen=True)
class Picture:
    """uri: of its bytes, as ``pictures.py`` makes it. alternative: what it shows, for those who do not see it."""

    uri: str
    alternative: str
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """One thing of several that stand beside one another, such as a clip. name: the end of its address, if it has one.

    above: blocks that stand above its pictures.
    """

    title: str
    pictures: Sequence[Picture] = ()
    blocks: Sequence = ()
    name: str = ""
    above: Sequence = ()


@dataclass(frozen=True)
class Cards:
    """wide: each has a row of its own."""

    template: ClassVar[str] = "cards.html"

    cards: Sequence[Card]
    wide: bool = False


@dataclass(frozen=True)
class Ranking:
    """Names with their shares, 0 to 1, each with a bar, such as the best classes of a clip."""

    template: ClassVar[str] = "ranking.html"

    rows: Sequence[tuple[str, float]]

    @property
    def bars(self) -> list[tuple[str, Cell]]:
        return [(name, Cell(f"{100 * share:.1f} %", share, share)) for name, share in self.rows]


@dataclass(frozen=True)
class Charts:
    """Charts side by side, where there is room."""

    template: ClassVar[str] = "charts.html"

    charts: Sequence


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. name: the end of its address, such as "classes"."""

    name: str
    title: str
    blocks: Sequence


@dataclass(frozen=True)
class Page:
    """title: of the page and its window. head: blocks above the first section."""

    title: str
    sections: Sequence[Section]
    head: Sequence = field(default=())
