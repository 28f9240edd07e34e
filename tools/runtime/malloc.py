"""Memory that the C library keeps for the process when it is freed.

The C library of most Linuxes, glibc (2.36), hands every block above 32 MB back to the system when it is freed, and
what is free at the end of its heap. Networks and readers ask for the same blocks at every batch, and to get their
pages anew each time takes up to a quarter of a training step. What is kept is kept in one arena: each thread would
keep what it frees to itself otherwise.
"""

import ctypes
import os

VARIABLES = tuple(
    f"MALLOC_{name}" for name in ("ARENA_MAX", "MMAP_MAX_", "MMAP_THRESHOLD_", "TRIM_THRESHOLD_", "TOP_PAD_")
)
_TUNABLES = "GLIBC_TUNABLES"
# Parameters of mallopt(3): the numbers of malloc.h, and their values.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_SETTINGS = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 64 << 20}


def keep_freed_memory() -> str:
    """Have this process keep what it frees; return a line on it. What the user has set stays."""
    taken = [name for name in VARIABLES if name in os.environ]
    if "glibc.malloc" in os.environ.get(_TUNABLES, ""):
        taken.append(_TUNABLES)
    if taken:
        return f"memory as the environment says ({' '.join(taken)})"
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")  # "glibc 2.36"
    except (AttributeError, ValueError, OSError):
        version = None
    if not version:
        return "memory as the C library has it (not glibc)"
    mallopt = ctypes.CDLL(None).mallopt
    if not all(mallopt(*setting) for setting in _SETTINGS.items()):
        return f"memory as the C library has it ({version} took no other settings)"
    return f"freed memory is kept ({version})"
