"""A little damage to every format by default, and much as a slow test."""

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tests.fuzz.formats import FORMATS

pytestmark = pytest.mark.pyav


def fuzz(count: int, seed: int, *names: str) -> dict[str, dict]:
    """In a process of its own, which has no threads that a fork would lose."""
    command = [sys.executable, "-m", "tests.fuzz", str(count), str(seed), *names]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


def test_damaged_files_are_read_rightly_or_refused_in_one_line():
    found = fuzz(40, 0, *FORMATS)
    assert found.keys() == FORMATS.keys()
    for name, counts in found.items():
        assert sum(counts.values()) >= 40
        assert counts["read"] >= 1, name  # what is not damaged


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files_are_read_rightly_or_refused_in_one_line(name):
    assert sum(fuzz(1200, 1, name)[name].values()) >= 1200
