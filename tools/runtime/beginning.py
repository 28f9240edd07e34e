"""How a program begins, before it imports anything that takes time."""

import os

from tools.runtime.signals import end_at_once, heed


def begin_program() -> None:
    """From now on a signal to stop is one line, whatever is being imported; ``run_program`` goes on from here."""
    heed(end_at_once)
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would be taken for it, by Paddle's C++ part for one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
