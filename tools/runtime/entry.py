"""How a program ends: what went wrong as one line, and an exit code. Imports nothing that is slow."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from tools.errors import ZooError
from tools.runtime.packages import check_versions, missing_package

ERROR = "error: "  # begins the line that says why a program ended


def run_program(main: Callable[[], int | None]) -> None:
    """Run a program: a ZooError becomes one line and its exit code, Ctrl-C exit code 130.

    So does an installed package that is older than requirements.txt asks for, and one that ``main`` misses.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # a video's name may not fit the terminal's encoding
    try:
        check_versions()
        code = _run(main) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except ZooError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has gone, as in "| head"
        code = 128 + signal.SIGPIPE
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # its reader has gone
                stream.flush()
    if code:
        os._exit(code)  # reading threads may still be at work, and there is nothing left to save


def _run(main: Callable[[], int | None]) -> int | None:
    try:
        return main()
    except ModuleNotFoundError as error:
        if missing := missing_package(error.name or ""):
            raise missing from None
        raise
