"""Fonts for words in images, so that a video's name can be read whatever its script."""

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

# Asked for in turn where Matplotlib's own font lacks a character; Pillow looks where the system keeps its fonts.
SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "FreeSans.ttf",  # scripts of India, Thai and more
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)
# No pictures of their own: they join letters, keep them apart, choose among their forms, or say which way they run.
_INVISIBLE = frozenset(map(chr, (*range(0x200C, 0x2010), *range(0xFE00, 0xFE10))))
_TRIED_PX = 12
NEVER_DRAWN = "\uffff"  # no character, so a font shows what it shows for those it lacks


def load_font(size_px: int, text: str) -> ImageFont.FreeTypeFont:
    """The font here that has most of the characters of a text; of several, the one that is asked for first."""
    best, least = None, len(text) + 1
    for font in filter(None, (_load(name, size_px) for name in (_bundled_font(), *SYSTEM_FONTS))):
        lacking = sum(not _can_draw(character, font) for character in text)
        if lacking < least:
            best, least = font, lacking
        if not lacking:
            break
    return best or ImageFont.load_default(size_px)


def make_drawable(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text with a question mark for every character that a font cannot draw, or that has no picture.

    Letters are joined and run from right to left where Pillow has Raqm; without it they stand as they come.
    """
    shapes = font.layout_engine == ImageFont.Layout.RAQM
    text = text if shapes else "".join(character for character in text if character not in _INVISIBLE)
    return "".join(character if _can_draw(character, font) else "?" for character in text)


def find_undrawable(texts: Iterable[str]) -> str:
    """The characters of texts that no font here has, each once; those that have no picture in any font aside."""
    characters = sorted({character for text in texts for character in text if character.isprintable()})
    fonts = [font for name in (_bundled_font(), *SYSTEM_FONTS) if (font := _load(name, _TRIED_PX))]
    fonts = fonts or [ImageFont.load_default(_TRIED_PX)]
    return "".join(character for character in characters if not any(_can_draw(character, font) for font in fonts))


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width_px: float, max_lines: int) -> list[str]:
    """The text in lines of at most a width, broken at spaces where there are any. What is left out shows as "…"."""
    lines = []
    while text and len(lines) < max_lines:
        length = _fitting(text, font, width_px)
        if length < len(text):
            space = text.rfind(" ", 0, length + 1)
            length = space if space > length // 2 else length
        lines.append(text[:length].strip())
        text = text[length:].strip()
    if text:
        lines[-1] = f"{lines[-1][: max(1, len(lines[-1]) - 2)]}…"
    return lines


def _fitting(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> int:
    """How many characters, at least one, fit a width."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width_px else (low, middle - 1)
    return low


def _can_draw(character: str, font: ImageFont.FreeTypeFont) -> bool:
    if character in _INVISIBLE:
        return True
    if not character.isprintable():  # line feeds and the like, and halves of what was not UTF-8
        return False
    plain = _without_shaping(font)
    return character == " " or bytes(plain.getmask(character)) != _missing(plain)


@cache
def _without_shaping(font: ImageFont.FreeTypeFont) -> ImageFont.FreeTypeFont:
    """Raqm puts a circle beside a mark that stands alone, so that it looks drawn in a font that lacks it."""
    if isinstance(font.path, str):  # a variant takes no other engine before Pillow 13
        return ImageFont.truetype(font.path, font.size, font.index, layout_engine=ImageFont.Layout.BASIC)
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


@cache
def _missing(font: ImageFont.FreeTypeFont) -> bytes:
    return bytes(font.getmask(NEVER_DRAWN))


def _bundled_font() -> str:
    """Matplotlib's DejaVu Sans, found without importing Matplotlib; Pillow's own font has little but ASCII."""
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path()
    return str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _load(name: str, size_px: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size_px)
    except OSError:
        return None
