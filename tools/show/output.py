"""What the program gives: fields as text, and the picture's file."""

from pathlib import Path

import numpy as np

from tools.drawing.contact_sheet import CAPTION_PX
from tools.drawing.fonts import load_font, make_drawable
from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write, require_writable
from tools.runtime.tables import format_columns
from tools.runtime.text import printable, shorten
from tools.show.options import ShowOptions


def print_fields(title: str, fields: dict[str, str]) -> None:
    """A title and its fields below it, names in a column."""
    print(printable(title))
    if fields:
        print(format_columns((f"  {name}", text) for name, text in fields.items()))


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def describe_class(label, names: list[str] | None) -> str:
    """A class id with its name, where it has one."""
    if isinstance(label, int | np.integer) and names and 0 <= label < len(names) and names[label]:
        return f"{label} {names[label]}"
    return shorten(printable(label), 80)


def choose_output(options: ShowOptions, stem: str) -> Path | None:
    """Where the picture goes, None for no picture. Raises ConfigError for what is there already or is no PNG."""
    if not options.image_wanted:
        return None
    path = Path(options.output or f"{stem}.png")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output {path}: the picture is a PNG; expected a name that ends in .png")
    if path.exists() and path.samefile(options.path):
        raise ConfigError(f"{path} is the file that is shown; --output FILE.png writes another")
    if path.exists() and not path.is_dir() and not options.force:
        raise ConfigError(f"{path} is there already; --force replaces it, --output FILE.png writes another")
    try:
        require_writable(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from None
    return path


def write_image(path: Path, data: bytes, texts: list[str]) -> None:
    """Write a picture and say where it is. texts: what is written in it."""
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from None
    print(f"wrote {printable(path)}")
    if any(make_drawable(text, load_font(CAPTION_PX, text)) != text for text in texts):
        print("a ? in it stands for a character of which no font here has a picture; the names are above")
