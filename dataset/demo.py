"""What the makers of demo data share: their command, and the file that marks a finished folder."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.text_files import write_lines
from tools.config.parser import make_parser
from tools.errors import DataError
from tools.files.texts import NO_JSON

FINISHED = "made.json"  # holds the version of the data


def run_maker(description: str, script: Path, version: int, make: Callable[[Path], str]) -> None:
    """Make the data in the folder of the command line, unless this version of it is there.

    script: the maker's file; without a folder, the data goes to demo beside it. make: fills a folder and returns a
    summary of its content.
    """
    folder = parse_args(description, script.parent / "demo")
    if is_finished(folder, version):
        print(f"{folder} is there already")
    else:
        print(f"made {folder}: {make(folder)}")


def parse_args(description: str, default: Path) -> Path:
    """The folder to fill."""
    parser = make_parser(description)
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="default: demo beside this script")
    return parser.parse_args().folder


def is_finished(folder: Path, version: int) -> bool:
    """Whether a folder holds all data of this version."""
    try:
        return json.loads((folder / FINISHED).read_text())["version"] == version
    except (OSError, *NO_JSON, KeyError, TypeError):
        return False


@contextmanager
def fill_folder(folder: Path, version: int) -> Iterator[None]:
    """Mark the folder as finished at the end of the block. Raises DataError in place of every OSError."""
    try:
        yield
        write_lines(folder / FINISHED, [json.dumps({"version": version})])
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}") from None


def total_mb(folder: Path, pattern: str = "*") -> float:
    """The size of the files in a folder that match a pattern, in megabytes."""
    return sum(path.stat().st_size for path in folder.glob(pattern)) / 1e6
