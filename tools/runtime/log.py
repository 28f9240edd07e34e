"""What a run leaves to read: lines for people, one JSON object a line for programs, and bars on terminals.

Modules log with ``logging.getLogger(__name__)``: INFO for lines that people should see, DEBUG for those that only the
files keep, as what is the same at every start, or is on the screen as a bar. ``start_log`` says where the lines go;
before it they go nowhere.
"""

import contextlib
import errno
import io
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from tools.errors import CheckpointError, OutputError
from tools.runtime.bars import ProgressBar
from tools.runtime.tables import Table, join_lines

# Loggers of this project by the first part of their names. The root logger is Paddle's (3.3.1 gives it a handler;
# PaddlePaddle/Paddle#73985), so nothing is passed on to it once the log is started.
PACKAGES = ("tools", "datareader", "dataset", "models", "metrics", "train", "test", "infer", "__main__")
_EVENTS = logging.getLogger(f"{__name__}.events")


def start_log(folder: str | None = None, name: str = "", rank: int | None = None, *, verbose: bool = False) -> None:
    """From now on, write lines to standard output and, with a folder, to files in it. A resumed run appends to them.

    name: of the files, ``{name}.log`` and ``{name}.jsonl``; none without a name. rank: of one of several
    processes, each of which has its lines in ``logs/rank{rank}.log`` too; all but the first have them only there.
    verbose: show on standard output too what else only the files keep.
    Raises CheckpointError where a file cannot be written.
    """
    is_first = not rank
    handlers = []
    try:
        if folder and name and is_first:
            handlers += [_Lines(Path(folder) / f"{name}.log"), _JsonLines(Path(folder) / f"{name}.jsonl")]
        if folder and rank is not None:
            handlers.append(_Lines(log_folder(folder) / f"rank{rank}.log"))
    except OSError as error:
        raise CheckpointError(f"the log in {folder} cannot be written: {error}") from None
    if is_first:
        handlers.insert(0, _Terminal(has_files=bool(handlers), level=logging.DEBUG if verbose else logging.INFO))
    stop_log()
    for package in map(logging.getLogger, PACKAGES):
        package.setLevel(logging.DEBUG)
        package.propagate = False
        for handler in handlers:
            package.addHandler(handler)


def stop_log() -> None:
    """Undo ``start_log``; lines go nowhere again."""
    for package in map(logging.getLogger, PACKAGES):
        package.propagate = True
        for handler in [*package.handlers]:
            if isinstance(handler, _Terminal | _Lines):
                package.removeHandler(handler)
                handler.close()


def restart_files() -> None:
    """Go on in new files, with what was logged since ``start_log``, where those that were there have been moved away.

    Those keep what they held before. Raises CheckpointError where a file cannot be written.
    """
    for handler in logging.getLogger(PACKAGES[0]).handlers:
        if isinstance(handler, _Lines):
            handler.restart()


def log_folder(folder: str) -> Path:
    """Where each of several processes has its log."""
    return Path(folder) / "logs"


def record_event(event: str, **values) -> None:
    """One JSON line: the event, the time in seconds since 1970, and the values."""
    _EVENTS.info(event, extra={"values": values})


@contextlib.contextmanager
def hear_events(hear: Callable[[str, dict], None]) -> Iterator[None]:
    """Give the name and the values of each event that is recorded meanwhile to a function, too."""
    listener = _Listener(hear)
    _EVENTS.addHandler(listener)
    try:
        yield
    finally:
        _EVENTS.removeHandler(listener)


@contextlib.contextmanager
def collect_lines() -> Iterator[list[str]]:
    """Give a list of all lines for people that are logged meanwhile, whether the log is started or not."""
    collector = _Collector()
    before = [(package, package.level, package.propagate) for package in map(logging.getLogger, PACKAGES)]
    for package, _, _ in before:
        package.setLevel(logging.DEBUG)
        package.propagate = False
        package.addHandler(collector)
    try:
        yield collector.lines
    finally:
        for package, level, propagate in before:
            package.removeHandler(collector)
            package.setLevel(level)
            package.propagate = propagate


def progress_bar(total: int, done: int, description: str, unit: str = "batch", shown: bool = True) -> ProgressBar:
    """A bar with rate and time left on standard error where that is a terminal; nothing elsewhere, or if not shown.

    unit: what is counted; bytes ("B") are shown as MB and the like.
    """
    return ProgressBar(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=unit == "B",
        disable=None if shown and sys.stderr is not None else True,  # None: where there is no terminal
        dynamic_ncols=True,
    )


def terminal_columns() -> int | None:
    """How wide a line on standard output may be; None where it is no terminal."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def beside(bar: tqdm) -> int:
    """The level of lines that would interrupt a bar: they are shown only where it is not."""
    return logging.INFO if bar.disable else logging.DEBUG


def _is_event(record: logging.LogRecord) -> bool:
    return record.name == _EVENTS.name


def _text_of(record: logging.LogRecord) -> str:
    """What is shown: one line, unless it is a table. Names of files and classes in it may hold anything."""
    return join_lines(record.msg.split("\n") if isinstance(record.msg, Table) else [record.getMessage()])


class _Listener(logging.Handler):
    def __init__(self, hear: Callable[[str, dict], None]):
        super().__init__()
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self._hear(record.getMessage(), record.values)


class _Collector(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record: logging.LogRecord) -> None:
        if not _is_event(record):
            self.lines.append(record.getMessage())


class _Terminal(logging.Handler):
    """Lines to standard output, without tearing a bar. has_files: the lines are kept elsewhere too."""

    def __init__(self, has_files: bool, level: int):
        super().__init__(level)
        self._has_files = has_files

    def emit(self, record: logging.LogRecord) -> None:
        if _is_event(record) or sys.stdout is None:  # which a shell has closed
            return
        try:
            tqdm.write(_text_of(record), file=sys.stdout)
            sys.stdout.flush()
        except (OSError, OutputError) as error:  # the latter in a program that ``run_program`` runs
            if error.errno == errno.EIO:  # the terminal was closed
                return
            if self._has_files:
                # Whoever read them has gone, as tee goes on Ctrl-C, or the disk they go to is full: neither may keep
                # a run from saving.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            elif isinstance(error, OutputError):
                raise
            else:
                raise OutputError(error) from None


class _Lines(logging.Handler):
    """Lines with their time to a file. Logging raises CheckpointError where it cannot be written."""

    def __init__(self, path: Path):
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = _open_at_new_line(path)
        self._start = os.fstat(self._file.fileno()).st_size  # where this run's lines begin

    def emit(self, record: logging.LogRecord) -> None:
        if _is_event(record):
            return
        self._write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {_text_of(record)}")

    def _write(self, text: str) -> None:
        try:
            print(text, file=self._file, flush=True)
        except OSError as error:
            raise CheckpointError(f"{self._file.name} cannot be written: {error}") from None

    def restart(self) -> None:
        """See ``restart_files``. The old file is cut last: a run killed before leaves lines twice, and loses none."""
        former = self._file
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab") as file:
                if os.path.sameopenfile(file.fileno(), former.fileno()):
                    return
                file.write(os.pread(former.fileno(), os.fstat(former.fileno()).st_size - self._start, self._start))
            self._file = _open_at_new_line(self._path)
            with former:
                with contextlib.suppress(OSError):  # standard error is closed
                    if former.fileno() != 2 and os.path.sameopenfile(
                        former.fileno(), 2
                    ):  # as the launcher starts all processes but the first
                        os.dup2(self._file.fileno(), 2)
                former.truncate(self._start)
            self._start = 0
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be written: {error}") from None

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been told
            self._file.close()
        super().close()


class _JsonLines(_Lines):
    """Events to a file, one JSON object a line."""

    def emit(self, record: logging.LogRecord) -> None:
        if _is_event(record):
            self._write(json.dumps({"event": record.getMessage(), "time": round(time.time(), 3), **record.values}))


def _open_at_new_line(path: Path):
    """Open for appending; a line that a killed run did not finish is ended first."""
    file = open(path, "ab+")  # noqa: SIM115
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
            file.flush()
    return io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace")
