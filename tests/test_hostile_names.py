"""Names of files and folders, ids, class names and servers' words that would move a cursor or forge a line."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import PROJECT, clean_env
from tests.released_server import Page

ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e"
LINES = "\nerror: forged\r\x0b\x0c\x1c\x85\u2028\u2029"
HOSTILE = f"a{ESCAPES}{LINES}b"
HARMLESS = r"a\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e\nerror: forged\r\x0b\x0c\x1c\x85\u2028\u2029b"


def run(*command, cwd):
    """What a program prints, where it may say such a name and nothing else that is not printable."""
    result = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=clean_env() | {"PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    shown = (result.stdout + result.stderr).decode()
    assert "Traceback" not in shown
    for line in shown.split("\n"):
        assert all(letter.isprintable() or letter == "\t" for letter in line), line
        assert not line.startswith("error: forged"), shown
    return result.returncode, shown


@pytest.fixture
def folder(tmp_path):
    """A hostile name, in a folder that has none."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    return folder


def write_weights(folder):
    (folder / "w.pdparams").write_bytes(pickle.dumps({f"x{HOSTILE}": np.zeros(2, np.float32)}, protocol=4))
    return ["-m", "tools.weights", "show", folder / "w.pdparams"]


PROGRAMS = {
    "weights": write_weights,
    "lists": lambda folder: [PROJECT / "dataset/make_list.py", folder, "--output", folder / "lists"],
    "doctor": lambda folder: ["-m", "tools.doctor", "--model-name=AttentionCluster", f"--config={folder}/a.txt"],
    "show": lambda folder: ["-m", "tools.show", folder],
    "summary": lambda folder: ["-m", "tools.summary", folder, "--model-name=TSN"],
    "info": lambda folder: ["-m", "tools.info", f"--weights={folder}"],
    "report": lambda folder: ["-m", "tools.report", folder],
    "download": lambda folder: ["-m", "tools.download", "list", "--weights-dir", folder],
    "offline": lambda folder: ["-m", "tools.download", "TSN", "--offline", "--weights-dir", folder],
    "infer": lambda folder: [PROJECT / "infer.py", f"--weights={folder}"],
    "test": lambda folder: [PROJECT / "test.py", "--model-name=TSN", f"--config={folder}/a.txt"],
    "flag": lambda folder: [PROJECT / "train.py", f"--{folder}"],
    "classes": lambda folder: [PROJECT / "dataset/kinetics/generate_label.py", folder / "a.csv", folder / "b.txt"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_shows_a_name_that_does_more_than_stand_there(folder, program):
    _, shown = run(*PROGRAMS[program](folder), cwd=folder.parent)
    assert HARMLESS in shown or r"\x1b" in shown


def test_the_words_of_a_server_are_one_line(server, tmp_path):
    words = "\x1b]0;pwned\x07\x9b31m\x85" * 1000
    server.pages["/v.csv"] = Page(statuses=[(404, words)])
    flags = [f"--weights-dir={tmp_path}/cache", f"--url={server.url}/v.csv"]
    code, shown = run("-m", "tools.download", "vocabulary", *flags, cwd=tmp_path)
    assert code == 1
    assert r"HTTP Error 404: \x1b]0;pwned\x07\x9b31m\x85" in shown
    assert len(shown) < 3000
