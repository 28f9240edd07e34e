"""The program in a folder of its own, and records to show."""

import sys

import numpy as np
import pytest

from tests.conftest import make_record
from tools.show import __main__ as show


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_show(monkeypatch, capsys):
    """Run the program with these arguments; returns what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["show", *map(str, arguments)])
        show.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def records():
    rng = np.random.default_rng(3)
    return [make_record(rng, f"video{i}", num_classes=20, frames=10 + i, labels=[i, 19]) for i in range(12)]
