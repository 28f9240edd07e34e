"""How a program begins, before it imports anything that takes time."""

import atexit
import os
import sys
from types import TracebackType

from tools.runtime.ending import leave
from tools.runtime.signals import end_at_once, heed


def begin_program() -> None:
    """From now on a signal to stop is one line, whatever is being imported, and so is a package that is not there.

    ``run_program`` goes on from here.
    """
    heed(end_at_once)
    atexit.register(leave)  # as the first, which is called as the last
    sys.excepthook = _explain_import
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would be taken for it, by Paddle's C++ part for one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _explain_import(kind: type, error: BaseException, trace: TracebackType | None) -> None:
    """What Python does with an error that ends a program, in one line where a package is missing or too old."""
    from tools.runtime.entry import ERROR  # takes time
    from tools.runtime.packages import explain_import

    reason = explain_import(error) if isinstance(error, ImportError) else None
    if reason:
        print(f"{ERROR}{reason}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
