"""The folder that a converter fills: for one run at a time, with one set of settings, and restartable."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.parts import WHOLE, Part
from tools.errors import DataError
from tools.files.atomic import atomic_write, remove_unfinished
from tools.files.locks import HeldLock
from tools.files.texts import NO_JSON
from tools.runtime.text import escape_controls, shorten

SETTINGS = "settings.json"  # what the pickles in the folder were made with


@contextmanager
def open_output_folder(folder: Path, settings: dict, part: Part = WHOLE) -> Iterator[None]:
    """Make the folder if needed, lock it against other runs, and remove what a killed run was writing.

    settings: what the pickles depend on apart from their sources, as values for JSON; flags by their names. part: of
    several runs, which have the folder together; what one of them that was killed was writing is removed by a run for
    all, as from another machine a lock may not be seen.
    Raises DataError for a folder that holds pickles of other settings, and in place of every OSError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = HeldLock(folder / f".lock{part.suffix}")
    except BlockingIOError:
        raise DataError(f"another run is writing to {folder}; wait for it, or take another folder") from None
    except OSError as error:
        raise DataError(f"{folder} cannot be a folder to write to: {error}") from None
    with lock:
        try:
            _check_settings(folder, settings)
            if part.is_whole:
                remove_unfinished(folder)
            yield
            if part.is_whole:
                remove_unfinished(folder)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}; what is finished stays") from None
        except KeyboardInterrupt:
            print(escape_controls(f"{folder}: what is finished stays; run this again to resume"), file=sys.stderr)
            raise


def _check_settings(folder: Path, settings: dict) -> None:
    path = folder / SETTINGS
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if next(folder.glob("*.pkl"), None):
            raise DataError(f"{folder} holds pickles that were made otherwise; take an empty folder") from None
        with atomic_write(path) as file:
            file.write(f"{json.dumps(settings, ensure_ascii=False)}\n".encode())
        return
    except NO_JSON as error:
        raise DataError(f"{path} cannot be read ({error}); take an empty folder") from None
    for key, value in settings.items():
        there = earlier.get(key) if isinstance(earlier, dict) else None
        if there != value:
            was, asked = ("unset" if setting is None else shorten(str(setting), 60) for setting in (there, value))
            raise DataError(f"{folder} was made with {key} {was}, not {asked}; give the same, or an empty folder")
