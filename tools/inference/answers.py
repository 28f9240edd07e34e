"""The best classes of videos as a table for people."""

import sys
import unicodedata

from tools.inference.predictions import VideoClasses, merge_spans, name_class
from tools.runtime.tables import Table, format_columns
from tools.runtime.text import display_width, format_clock, printable, shorten_middle

_GAP = "  "
_LEAST = 12  # columns of a file or a class that is cut
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"  # around text from right to left, so that it moves nothing beside it
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # within words and emoji


def describe_answers(
    results: list[VideoClasses], names: list[str] | None, top_k: int, columns: int | None = None
) -> Table:
    """A table of so many columns of a terminal: file, class and probability, and of spans their times, merged.

    top_k: classes of each whole video; 0 means all. Where there is no room, files and classes lose their middle;
    without columns all are whole.
    """
    if results[0].start_sec is None:
        heads, align = ["file", "class", "probability"], "<<>"
        parts = [(part, "", list(zip(part.class_ids, part.probs, strict=True))[: top_k or None]) for part in results]
    else:
        heads, align = ["file", "time", "class", "probability"], "<><>"
        parts = [
            (part, f"{format_clock(part.start_sec)} - {format_clock(part.end_sec)}", [(part.class_id, part.prob)])
            for part in merge_spans(results)
        ]
    rows, before = [], None
    for part, times, classes in parts:
        for class_id, prob in classes:
            place = part.path, part.line, part.video_id
            file = "" if place == before else _cell(part.path)  # once a video
            name = _cell(name_class(names, class_id))
            rows.append([file, *([times] if times else []), name, f"{100 * prob:.1f} %"])
            before = place
    return format_columns(_fit([heads, *rows], sys.maxsize if columns is None else columns), align, _GAP)


def _fit(rows: list[list[str]], columns: int) -> list[list[str]]:
    """The first column and the last but one cut, so that all together take no more columns."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    file, name = 0, len(widths) - 2
    room = columns - sum(widths) + widths[file] + widths[name] - len(_GAP) * (len(widths) - 1)
    least = min(widths[file], max(_LEAST, room // 2))
    file_room = max(least, min(widths[file], room - widths[name]))
    name_room = max(_LEAST, room - file_room)
    return [
        [
            _isolate(shorten_middle(cell, {file: file_room, name: name_room}.get(place, columns)))
            for place, cell in enumerate(row)
        ]
        for row in rows
    ]


def _cell(text: str) -> str:
    """On one line, moving no cursor."""
    return text if text.translate(_JOINERS).isprintable() else printable(text)


def _isolate(text: str) -> str:
    """Text that holds letters from right to left, so that the terminal leaves the columns beside it in place."""
    is_from_right = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in text)
    return f"{_ISOLATE}{text}{_END_ISOLATE}" if is_from_right else text
