"""Values from files as text for people: they may be bytes, no UTF-8, no text at all, or as long as the file.

None of these functions fails, whatever a data file holds.
"""


def decode_text(value) -> str:
    """Text of Python 2 or 3, which can be written anywhere; what is not valid UTF-8 becomes a question mark."""
    return _convert(value).encode("utf-8", errors="replace").decode()


def printable(value) -> str:
    """A value on one line: text as it is, or in quotes and escaped where it holds line feeds and the like."""
    text = _convert(value)
    return text if text.isprintable() else ascii(text)


def short_repr(value, most: int = 80) -> str:
    """A value as Python writes it, in at most so many characters."""
    return shorten(_attempt(repr, value), most)


def shorten(text: str, most: int) -> str:
    """The text, or its beginning and "..." where it has more than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def format_bytes(count: float) -> str:
    """A size in the unit in which it is below 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _convert(value) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else _attempt(str, value)


def _attempt(write, value) -> str:
    try:
        return write(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in lists in lists
        return f"a value of type {type(value).__name__}"
