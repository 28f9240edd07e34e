"""How a program ends that has ended well. Imports nothing that is slow."""

import contextlib
import os
import sys

DONE: list[bool] = []  # once a program has ended well


def leave() -> None:
    """End, after what libraries do at the end, without taking apart all of their objects: 0.3 s of Paddle (3.3.1)."""
    if DONE:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.flush()
        os._exit(0)
