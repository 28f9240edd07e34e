"""Text in columns."""

from collections.abc import Iterable, Sequence

from tools.runtime.text import display_width, escape_controls


class Table(str):
    """Text whose line feeds are meant: the log and standard output keep them, and escape those of any other."""

    __slots__ = ()
    kept = "\n"  # what is meant of what would be escaped

    def __str__(self) -> str:
        return self  # or ``print`` would give a plain str on


def join_lines(lines: Iterable[str]) -> Table:
    """Lines as one text. Each is one line, whatever a name in it holds, unless it is a Table itself."""
    return Table("\n".join(line if isinstance(line, Table) else escape_controls(line) for line in lines))


def format_columns(rows: Iterable[Sequence[str]], align: str = "<", gap: str = "  ") -> Table:
    """Rows of equally many cells as lines, each column as wide as its widest cell.

    Line feeds and the like in a cell are escaped. align: "<" or ">" for each column in turn; the last holds for those
    that follow. Nothing is padded at a line's end.
    """
    rows = [list(map(escape_controls, row)) for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    sides = align + align[-1] * len(widths)
    lines = (gap.join(map(_pad, row, sides, widths)) for row in rows)
    return Table("\n".join(line.rstrip() for line in lines))


def _pad(cell: str, side: str, width: int) -> str:
    room = " " * (width - display_width(cell))
    return room + cell if side == ">" else cell + room
