"""Ctrl-C, SIGTERM and a closed terminal as a request to stop: at once, or at the next good moment."""

import contextlib
import os
import signal
from collections.abc import Callable
from types import TracebackType

RAISED: list[int] = []  # the signal that ``raise_stopped`` has heard


def heeded_signals() -> list[signal.Signals]:
    """The signals that ask a run to stop. SIGHUP, of a terminal that is closed, is none of them under nohup."""
    hang_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hang_up]


def heed(handler: Callable) -> None:
    """Let a function handle these signals from now on, but for those that whoever started this program ignores."""
    for number in heeded_signals():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def raise_stopped(number: int, frame) -> None:
    """Raise KeyboardInterrupt wherever the program is. Another signal does not wait for what that has to clean up."""
    heed(end_at_once)
    RAISED.append(number)
    raise KeyboardInterrupt


def end_at_once(number: int, frame) -> None:
    """A line, and the exit code that a shell expects."""
    heed(signal.SIG_IGN)
    with contextlib.suppress(OSError):  # who would read it has gone
        os.write(2, b"stopped\n")  # past sys.stderr, which may be in the middle of a line
    os._exit(128 + number)


class StopRequest:
    """Context manager. The first signal sets ``signal``; a second Ctrl-C stops at once.

    signal: may be set from outside too, as when another process of the run has heard it first.
    exit_code: what a shell expects of a process that a signal ended.
    """

    def __init__(self):
        self.signal: signal.Signals | None = None
        self._heard_one = False
        self._before = {}

    @property
    def exit_code(self) -> int:
        return 128 + self.signal if self.signal else 0

    def __enter__(self) -> "StopRequest":
        for number in heeded_signals():
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame) -> None:
        if self._heard_one and number == signal.SIGINT:  # Paddle 3.3.1's launcher sends SIGTERM thrice
            raise KeyboardInterrupt
        self._heard_one = True
        self.signal = self.signal or signal.Signals(number)
