"""Text in columns."""

from collections.abc import Iterable, Sequence

from tools.runtime.text import display_width


class Table(str):
    """Text whose line feeds are meant, so that the log keeps them."""

    __slots__ = ()


def format_columns(rows: Iterable[Sequence[str]], align: str = "<", gap: str = "  ") -> Table:
    """Rows of equally many cells as lines, each column as wide as its widest cell.

    align: "<" or ">" for each column in turn; the last holds for those that follow. Nothing is padded at a line's end.
    """
    rows = [list(row) for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    sides = align + align[-1] * len(widths)
    lines = (gap.join(map(_pad, row, sides, widths)) for row in rows)
    return Table("\n".join(line.rstrip() for line in lines))


def _pad(cell: str, side: str, width: int) -> str:
    room = " " * (width - display_width(cell))
    return room + cell if side == ">" else cell + room
