"""How a program ends: what went wrong as one line, and an exit code. Imports nothing that is slow."""

import contextlib
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

from tools.errors import OutputError, ZooError
from tools.runtime.ending import DONE
from tools.runtime.packages import check_versions, explain_import
from tools.runtime.signals import RAISED, end_at_once, heed, raise_stopped
from tools.runtime.tables import Table
from tools.runtime.text import escape_controls

ERROR = "error: "  # begins the line that says why a program ended
_MOST_SAID = 10_000  # characters of an error, more than twice the longest path
# The one line that matters of what NumPy 2 and Paddle 3.3 say, the latter among lines of its C++ stack.
_NO_MEMORY = re.compile(r".*(?:[Uu]nable to allocate|[Ff]ail to alloc|[Cc]annot allocate).*")


def run_program(main: Callable[[], int | None], *, output_needed: bool = True) -> None:
    """Run a program: a ZooError becomes one line and its exit code, a signal to stop 128 and its number.

    So does an installed package that is older than requirements.txt asks for, and one that ``main`` misses.
    output_needed: whether it prints what it is for, and does not begin where standard output is closed.
    """
    heed(raise_stopped)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # a video's name may not fit the terminal's encoding
    if sys.stdout is not None and not isinstance(sys.stdout, _Output):
        sys.stdout = _Output(sys.stdout)
    try:
        if output_needed:
            require_output()
        check_versions()
        code = _call(main)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        code = _explain(error)
        if code is None:
            raise
    heed(end_at_once)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, OutputError):  # its reader has gone
                stream.flush()
    if code:
        os._exit(code)  # reading threads may still be at work, and there is nothing left to save
    DONE.append(True)


def require_output() -> None:
    """Raise OutputError where whoever started this program has closed its standard output."""
    if sys.stdout is None:
        raise OutputError(OSError(errno.EBADF, "it is closed"))


class _Output:
    """Standard output that moves no cursor, and raises OutputError, which nobody takes for an error of another file.

    Names of files, ids and what servers say may hold anything: what is printed is one line, unless it is a Table.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        body = text.removesuffix("\n")  # which ``print`` adds
        shown = escape_controls(body, text.kept if isinstance(text, Table) else "") + text[len(body) :]
        with _telling():
            self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        with _telling():
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(error) from None


def _call(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except SystemExit as end:  # of argparse
        return end.code or 0
    except ImportError as error:
        if reason := explain_import(error):
            raise reason from None
        raise


def _explain(error: BaseException) -> int | None:
    """Print why a program ends, and give its exit code; None for what is a fault of the program."""
    if RAISED:  # whatever the signal came out as: in the middle of an import it may be an ImportError
        _say("stopped")
        return 128 + RAISED[0]
    if isinstance(error, KeyboardInterrupt):
        _say("stopped")
        return 128 + signal.SIGINT
    if isinstance(error, OutputError | BrokenPipeError) and error.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE  # whoever read our output has gone, as in "| head"
    if isinstance(error, ZooError):
        _say(f"{ERROR}{_bound(str(error))}")
        return error.exit_code
    found = _NO_MEMORY.search(str(error))
    # Of the machine, and as Paddle raises it of a GPU. One in a backward of Python comes out of Paddle 3.3 as OSError.
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is None and found):
        reason = f": {_bound(found[0].strip().rstrip('.'))}" if found else ""
        _say(f"{ERROR}memory ran out{reason}; smaller batches need less, and tools/troubleshooting.md says what else")
        return 1
    return None


def _bound(text: str) -> str:
    """A text without its middle where it is longer than anybody reads; its ends say where, and what would work."""
    return text if len(text) <= _MOST_SAID else f"{text[: _MOST_SAID - 2000]} ... {text[-2000:]}"


def _say(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(escape_controls(text), file=sys.stderr)  # one line, whatever a file in it is called
