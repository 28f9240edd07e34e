"""Fonts for words in images, so that a video's name can be read whatever its script."""

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
)
NEVER_DRAWN = "\uffff"  # no character, so a font shows what it shows for those it lacks


def load_font(size_px: int, text: str) -> ImageFont.FreeTypeFont:
    """The first font here that has every character of a text, or else the one that is used for most."""
    fonts = (_load(name, size_px) for name in (_bundled_font(), *SYSTEM_FONTS))
    found = (font for font in fonts if font)
    first = next(found, None) or ImageFont.load_default(size_px)
    if make_drawable(text, first) == text:
        return first
    return next((font for font in found if make_drawable(text, font) == text), first)


def make_drawable(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text with a question mark for every character that a font cannot draw, or that has no picture."""
    return "".join(character if _can_draw(character, font) else "?" for character in text)


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
    if not character.isprintable():  # line feeds and the like, and halves of what was not UTF-8
        return False
    return character == " " or bytes(font.getmask(character)) != _missing(font)


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
