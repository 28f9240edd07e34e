"""The programs of ``dataset/``, run in this process or in one of their own, and what they left behind."""

import pickle
import subprocess
import sys

from tests.conftest import PROJECT


def start(monkeypatch, program, *arguments):
    """Run the main function of a module in this process."""
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    program.main()


def run(script, *arguments):
    """Run a file of ``dataset/`` in a process of its own."""
    command = [sys.executable, PROJECT / "dataset" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder):
    """name -> bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def load(path):
    return pickle.loads(path.read_bytes())
