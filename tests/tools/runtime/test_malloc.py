"""Memory that is freed and asked for again: by what the system had to give."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env
from tools.runtime.malloc import VARIABLES, keep_freed_memory

BLOCK = 64 << 20
# What is asked for again was freed before: numbers of pages that the system gave for it.
PROGRAM = f"""
import ctypes, resource, sys
sys.path.insert(0, {str(PROJECT)!r})
from tools.runtime.malloc import keep_freed_memory
if "keep" in sys.argv:
    print(keep_freed_memory())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc({BLOCK})
    ctypes.memset(block, 1, {BLOCK})
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(*arguments, **variables) -> tuple[str, int]:
    """What keep_freed_memory says in a process of its own, and how many pages a block needs that it had before."""
    env = {name: value for name, value in clean_env().items() if name not in VARIABLES} | variables
    command = [sys.executable, "-c", PROGRAM, *arguments]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    *said, pages = result.stdout.splitlines()
    return "".join(said), int(pages)


@pytest.mark.skipif(not os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc alone has these settings")
def test_a_block_that_is_freed_serves_the_next_one():
    pages = BLOCK // os.sysconf("SC_PAGESIZE")
    _, as_it_comes = run()
    line, kept = run("keep")
    assert line.startswith("freed memory is kept (glibc 2.")
    assert kept < pages / 100
    assert as_it_comes > pages / 100


@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")]
)
def test_what_the_user_set_stays(name, value):
    line, pages = run("keep", **{name: value})
    assert line == f"memory as the environment says ({name})"
    assert pages > 1000


@pytest.mark.parametrize("version", [None, ValueError("unrecognized configuration name")])
def test_other_c_libraries_stay_as_they_are(monkeypatch, version):
    def confstr(name):
        if version:
            raise version

    monkeypatch.setattr(os, "confstr", confstr)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert keep_freed_memory() == "memory as the C library has it (not glibc)"
