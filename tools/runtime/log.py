"""What a run leaves to read: lines for people, one JSON object a line for programs, and bars on terminals."""

import errno
import io
import json
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

from tools.errors import CheckpointError


class RunLog:
    """Lines to standard output and, with a folder, to files in it. A run that resumes adds to those before.

    name: of the files, ``{name}.log`` and ``{name}.jsonl``; none without a name. rank: of one of several
    processes, each of which has its lines in ``logs/rank{rank}.log`` too; all but the first have them only there.
    """

    def __init__(self, folder: str | None = None, name: str = "", rank: int | None = None):
        self._is_first = not rank
        self._files = {}
        paths = {}
        if folder and name and self._is_first:
            paths |= {kind: Path(folder) / f"{name}.{kind}" for kind in ("log", "jsonl")}
        if folder and rank is not None:
            paths["rank"] = log_folder(folder) / f"rank{rank}.log"
        try:
            for kind, path in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._files[kind] = _open_at_new_line(path)
        except OSError as error:
            raise CheckpointError(f"the log in {folder} cannot be written: {error}") from None

    def line(self, text: str, shown: bool = True) -> None:
        """One line for people; ``shown=False`` keeps it to the file, as while a bar is on the screen."""
        if shown and self._is_first:
            try:
                tqdm.write(text, file=sys.stdout)
                sys.stdout.flush()
            except BrokenPipeError:
                if not self._files:
                    raise
                # Whoever read them has gone, as tee goes on Ctrl-C, which must not keep a run from saving.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except OSError as error:
                if error.errno != errno.EIO:  # the terminal was closed: the files still have the lines
                    raise
        for kind in ("log", "rank"):
            self._write(kind, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")

    def record(self, event: str, **values) -> None:
        """One JSON line: the event, the time in seconds since 1970, and the values."""
        self._write("jsonl", json.dumps({"event": event, "time": round(time.time(), 3), **values}))

    def _write(self, kind: str, text: str) -> None:
        if kind in self._files:
            try:
                print(text, file=self._files[kind], flush=True)
            except OSError as error:
                raise CheckpointError(f"{self._files[kind].name} cannot be written: {error}") from None


def log_folder(folder: str) -> Path:
    """Where each of several processes has its log."""
    return Path(folder) / "logs"


def _open_at_new_line(path: Path):
    """Open for appending; a line that a killed run did not finish is ended first."""
    file = open(path, "ab+")  # noqa: SIM115
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace")


def progress_bar(total: int, done: int, description: str, unit: str = "batch", shown: bool = True) -> tqdm:
    """A bar with rate and time left on standard error where that is a terminal; nothing elsewhere, or if not shown.

    unit: what is counted; bytes ("B") are shown as MB and the like.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=unit == "B",
        disable=None if shown else True,  # None: where there is no terminal
        dynamic_ncols=True,
    )
