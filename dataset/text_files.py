"""Text files of lines, as lists and class names are."""

from collections.abc import Iterable
from pathlib import Path

from tools.files.atomic import atomic_write


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write UTF-8; names of files that are not UTF-8 keep their bytes."""
    with atomic_write(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
