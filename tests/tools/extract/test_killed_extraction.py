"""An extraction killed at any of its steps: the next run goes on, ends with the same bytes and leaves no trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, clean_env
from tests.datareader.clips.videos import Clip, make_clip
from tests.tools.extract.networks import Networks
from tools.extract import __main__ as program
from tools.extract import run

NAMES = ("0.mp4", "1.mp4")


def prepare(folder: Path) -> None:
    folder.mkdir()


def extract(folder: Path, form: str) -> None:
    """The videos are beside the folder. Without threads that read ahead, each step has its number."""
    run.open_kind = Networks().open
    videos = [str(folder.parent / name) for name in NAMES]
    flags = ["--output", str(folder / "out"), "--format", form, "--videos-per-file", "1", "--num-workers", "0"]
    sys.argv = ["tools.extract", "--features", "youtube8m", "--video", *videos, *flags]
    program.main()


def check(folder: Path, form: str) -> None:
    child = os.fork()
    if not child:
        extract(folder, form)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    found = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    reference = folder.parent / "reference" / "out"
    assert found == {path.name: path.read_bytes() for path in reference.iterdir()}


def make_job(form: str) -> tuple:
    return prepare, lambda folder: extract(folder, form), lambda folder: check(folder, form)


JOBS = {"pickle": make_job("pickle"), "tfrecord": make_job("tfrecord")}


@pytest.mark.slow
@pytest.mark.parametrize("form", JOBS)
def test_an_extraction_killed_at_any_step_ends_with_the_same_bytes(tmp_path, form):
    for number, name in enumerate(NAMES):
        make_clip(tmp_path, Clip(name, "libx264", num_frames=20 + 40 * number))
    code = (
        f"from pathlib import Path; from {__name__} import *; extract(Path({str(tmp_path / 'reference')!r}), {form!r})"
    )
    for command in (["-c", code], ["-m", "tests.killed_forks", str(tmp_path), __name__, form]):
        result = subprocess.run(
            [sys.executable, *command], cwd=PROJECT, env=clean_env(), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.split()[-1]) > 30  # steps
