"""Text from files as it may stand on a page: every character shows, and none changes how the others are read."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


def show_text(text: str) -> str:
    """The text with a sign in place of each character that has no picture.

    Control characters, line feeds too, become the pictures that Unicode has for them, marks and overrides of the
    direction of writing their numbers, and half a surrogate pair, as names of files may hold, a replacement character.
    So what is on the page is what is in the file, on one line, and can be encoded.
    """
    return _UNSEEN.sub(_picture, text)


def _picture(match: re.Match) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or code >= 0xFFFE or 0xD800 <= code < 0xE000:
        return "\ufffd"
    return "\u2424" if code in (0x2028, 0x2029) else f"[U+{code:04X}]"


def foreign(text: str):
    """A name or path as a part of a sentence, as Markup, read in its own direction and the rest in the page's."""
    from markupsafe import Markup

    return Markup("<bdi>{}</bdi>").format(show_text(text))


def enumerate_texts(parts: Iterable):
    """Texts and Markup with commas between them, as Markup."""
    from markupsafe import Markup

    return Markup(", ").join(parts)


def linked(text: str, address: str):
    """Text that leads to another place of the page, or to a file beside it, as Markup.

    address: ``#name``, or what ``address_of`` gives; nothing else, so that no page leads elsewhere.
    """
    from markupsafe import Markup

    if not address.startswith(("#", "./", "../")):
        raise ValueError(f"{address!r} does not lead to a place beside the page")
    return Markup('<a href="{}"><bdi>{}</bdi></a>').format(address, show_text(text))


def address_of(file: str, page: Path, fragment: str = "") -> str | None:
    """A file as seen from a page, for ``linked``; None where no address leads there, as from one drive to another.

    fragment: behind #, such as the time ``t=12.5`` of a video (W3C Media Fragments URI 1.0).
    """
    try:
        way = os.path.relpath(file, page.parent)
        quoted = quote(os.fsencode(way.replace(os.sep, "/")))
    except ValueError:
        return None
    return f"{'' if quoted.startswith('../') else './'}{quoted}{'#' * bool(fragment)}{fragment}"
