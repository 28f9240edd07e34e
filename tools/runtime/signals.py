"""Ctrl-C, SIGTERM and a closed terminal as a request to stop at the next good moment."""

import signal
from types import TracebackType


def heeded_signals() -> list[signal.Signals]:
    """The signals that ask a run to stop. SIGHUP, of a terminal that is closed, is none of them under nohup."""
    hang_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGINT, signal.SIGTERM, *hang_up]


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
