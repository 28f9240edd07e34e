"""Bars that fit their terminal: where there is little room, what matters least is left out, and nothing is cut."""

from collections.abc import Sequence

from tqdm import tqdm
from tqdm.utils import disp_len

from tools.runtime.text import escape_controls, shorten_middle

_LEAST_BAR = 8  # columns of a bar with its ends
_LEAST_TITLE = 16  # of a title that is cut
_UNKNOWN_WIDTH = 80  # columns, of a terminal that does not say


class ProgressBar(tqdm):
    """A bar between a title and facts, in one line that is a column shorter than the terminal, so that it never wraps.

    facts: what matters most, the first more than the others; None for the time left, and the time taken at the end.
    details: what is left out first, the last before the others; None for the rate.
    """

    facts: Sequence[str] | None = None
    details: Sequence[str] | None = None

    def __str__(self) -> str:
        values = self.format_dict | {"prefix": "", "postfix": None}
        width = (values["ncols"] or _UNKNOWN_WIDTH) - 1

        def render(text: str, columns: int | None = None) -> str:
            return self.format_meter(**values | {"bar_format": text, "ncols": columns})

        def render_plain(texts: Sequence[str]) -> list[str]:
            return [text.replace("{", "{{").replace("}", "}}") for text in texts]

        is_done = self.total is not None and self.n >= self.total
        facts = ["in {elapsed}" if is_done else "{remaining} left"] if self.facts is None else render_plain(self.facts)
        details = ["{rate_fmt}"] if self.details is None else render_plain(self.details)
        title = shorten_middle(escape_controls(self.desc.removesuffix(": ")), max(_LEAST_TITLE, width // 2))
        line = _Line(*render_plain([title]))
        for part in (*facts, "title", "percent", "count", "bar", *details):
            if disp_len(render(line.text(part, bar=" " * _LEAST_BAR))) <= width:
                line.add(part)
        return render(line.text(), width)


class _Line:
    """Parts of a line, which stand in one order in whatever order they come."""

    def __init__(self, title: str):
        self.title = title
        self._parts: list[str] = []

    def add(self, part: str) -> None:
        self._parts.append(part)

    def text(self, part: str | None = None, bar: str = "|{bar}|") -> str:
        """As a format of tqdm's, perhaps with one more part. bar: what stands for it."""
        parts = [*self._parts, part] if part else self._parts
        left = {"title": f"{self.title}:", "percent": "{percentage:3.0f}%", "bar": bar, "count": "{n_fmt}/{total_fmt}"}
        head = " ".join(text for name, text in left.items() if name in parts)
        facts = ", ".join(part for part in parts if part not in left)
        return f"{head}{' ' if head.endswith(':') else ', '}{facts}" if head and facts else head or facts
