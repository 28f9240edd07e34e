"""Values from files as text for people: they may be bytes, no UTF-8, no text at all, or as long as the file.

None of these functions fails, whatever a data file holds.
"""

import re
import reprlib
import unicodedata
from collections.abc import Sequence
from itertools import islice

# Control characters, line ends of Unicode, and marks and overrides of the direction of writing. A text may be isolated
# from those beside it (U+2068, U+2069), which moves nothing else, and tabs are only room.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066\u2067]")

_DEEPEST = 20  # containers in one another that are written
_CONTAINERS = (list, tuple, dict, set, frozenset)
_MOST = 1000  # characters of one that stands where a text should


def decode_text(value) -> str:
    """Text of Python 2 or 3, which can be written anywhere; what is not valid UTF-8 becomes a question mark."""
    return _convert(value).encode("utf-8", errors="replace").decode()


def printable(value) -> str:
    """A value on one line: text as it is, or in quotes and escaped where it holds line feeds and the like."""
    text = _convert(value)
    return text if text.isprintable() else ascii(text)


def escape_controls(text: str, kept: str = "") -> str:
    """The text with what would move a cursor, end a line or turn others round as Python writes it; the rest as it is.

    kept: characters that are meant.
    """
    return _CONTROLS.sub(lambda match: match[0] if match[0] in kept else ascii(match[0])[1:-1], text)


def short_repr(value, most: int = 80) -> str:
    """A value as Python writes it, in at most so many characters; it takes no longer for one that is large or deep."""
    return shorten(_attempt(_Repr(most).repr, value), most)


class _Repr(reprlib.Repr):
    """The beginning of what ``repr`` gives, at least ``most`` characters of it where there are so many.

    Every part of a value takes a character or more, so that this many parts are enough, however they are shared.
    """

    def __init__(self, most: int):
        super().__init__()
        self._left = most
        self.maxlevel = _DEEPEST
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxarray = most
        self.maxstring = self.maxother = self.maxlong = self._most = 4 * most

    def repr1(self, x, level):
        self._left -= 1
        return super().repr1(x, level) if self._left >= 0 else "..."

    def repr_bytes(self, x, level):
        return repr(x[: self._most])

    repr_bytearray = repr_bytes

    # As they are: the base sorts what a dict and a set hold.

    def repr_dict(self, x, level):
        if level <= 0:
            return "{...}" if x else "{}"
        items = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return f"{{{', '.join(items)}{', ...' * (len(x) > self.maxdict)}}}"

    def repr_set(self, x, level):
        return self._repr_iterable(x, level, "{", "}", self.maxset) if x else "set()"

    def repr_frozenset(self, x, level):
        return self._repr_iterable(x, level, "frozenset({", "})", self.maxset) if x else "frozenset()"


def count_of(number: int, what: str) -> str:
    """So many of what has an s behind it where there is not one."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def some_of(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are."""
    rest = len(names) - most
    return ", ".join([*names[:most], *([f"and {rest:,} more"] if rest > 0 else [])])


def shorten(text: str, most: int) -> str:
    """The text, or its beginning and "..." where it has more than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def display_width(text: str) -> int:
    """The columns that a text takes on a terminal: two for a wide letter, as of Chinese, none for a combining one."""
    return sum(_width(letter) for letter in text)


def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def shorten_middle(text: str, columns: int) -> str:
    """The text without its middle where it takes more columns: a path's end says more than that."""
    shown, kept = text, len(text)
    while display_width(shown) > columns and kept > 2:
        kept -= 1
        shown = f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
    return shown


def format_bytes(count: float) -> str:
    """A size in the unit in which it is below 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_clock(seconds: float) -> str:
    """h:mm:ss, without hours where there are none, and with milliseconds where there are some."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    fraction = f".{rest % 1000:03d}".rstrip("0") if rest % 1000 else ""
    hours = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else str(minutes)
    return f"{hours}:{rest // 1000:02d}{fraction}"


def _convert(value) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return short_repr(value, _MOST) if isinstance(value, _CONTAINERS) else _attempt(str, value)


def _attempt(write, value) -> str:
    try:
        return write(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in lists in lists
        return f"a value of type {type(value).__name__}"
