"""The files of infer.py: all of one run, whatever is killed or writes at the same time; harmless in a spreadsheet."""

import csv
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from tests.conftest import PROJECT
from tools.errors import DataError
from tools.files.atomic import temporary_path
from tools.files.locks import HeldLock
from tools.inference.predictions import (
    VideoClasses,
    describe_mixture,
    lock_results,
    require_results,
    write_predictions,
)

WHOLE = ["x", "x.csv", "x.json", "x_run.json"]
IN_SPANS = ["x", "x.csv", "x.json", "x_merged.csv", "x_merged.json", "x_run.json"]


def results_of(run, *, spans=False):
    """What a run finds: ``run`` is in each file."""
    first = VideoClasses(f"{run}_{'s' * spans}", f"{run}.mp4", None, [0.5], [1])
    return [replace(first, start_sec=0.0, end_sec=1.0)] if spans else [first]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def runs_in(folder):
    """Of which runs the files are, ``base_run.json`` aside."""
    texts = [path.read_bytes() for path in folder.iterdir() if path.name.startswith("x") and "run" not in path.name]
    return {run for run in ("first", "second", "third") if any(run.encode() in text for text in texts)}


def test_a_file_says_which_belong_together(tmp_path):
    for spans, names in ((True, IN_SPANS), (False, WHOLE)):
        paths = write_predictions(tmp_path / "x", results_of("first", spans=spans), None)
        assert names_in(tmp_path) == names
        said = json.loads((tmp_path / "x_run.json").read_text())
        assert said["sha256"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        assert len(said["run"]) == 32
        assert describe_mixture(tmp_path / "x") is None
    write_predictions(tmp_path / "x", results_of("first"), None)
    assert json.loads((tmp_path / "x_run.json").read_text())["run"] != said["run"]


def test_results_that_were_changed_or_belong_to_another_run_are_told(tmp_path):
    base = tmp_path / "x"
    assert describe_mixture(base) is None
    write_predictions(base, results_of("first"), None)
    (tmp_path / "x_merged.csv").write_text("of an earlier run")
    assert describe_mixture(base).startswith(f"{base} and the files beside it are not of one run, as x_run.json says")
    write_predictions(base, results_of("second"), None)
    assert describe_mixture(base) is None
    (tmp_path / "x.csv").write_text("")
    assert "not of one run" in describe_mixture(base)
    for text in ("", "[]", "3", "{}", "[" * 100_000):
        (tmp_path / "x_run.json").write_text(text)
        assert "x_run.json cannot be read" in describe_mixture(base)
    (tmp_path / "x_run.json").unlink()  # as of earlier versions
    assert describe_mixture(base) is None


def test_where_one_file_cannot_be_written_all_are_as_they_were(tmp_path, monkeypatch):
    base = tmp_path / "x"
    write_predictions(base, results_of("first", spans=True), None)
    (tmp_path / "x_merged.csv").unlink()
    (tmp_path / "x_merged.csv").mkdir()
    with pytest.raises(DataError, match="results could not be written"):
        write_predictions(base, results_of("second", spans=True), None)
    with pytest.raises(IsADirectoryError):
        require_results(base)
    (tmp_path / "x_merged.csv").rmdir()
    done, sync = [], os.fsync

    def fill(handle):
        done.append(handle)
        if len(done) == 4:
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(DataError, match="No space left"):
        write_predictions(base, results_of("second", spans=True), None)
    assert runs_in(tmp_path) == {"first"}
    assert not [name for name in names_in(tmp_path) if "tmp" in name]


# Kills.


def prepare_old(folder):
    """As earlier versions left it."""
    prepare(folder)
    (folder / "x_run.json").unlink()


def prepare(folder):
    folder.mkdir()
    write_predictions(folder / "x", results_of("first", spans=True), None)


def check(folder):
    """Whole, or known to be mixed; and the next run, of another kind, leaves nothing but its own."""
    if describe_mixture(folder / "x") is None:
        assert len(runs_in(folder)) <= 1
    require_results(folder / "x")
    assert not [name for name in names_in(folder) if "tmp" in name]
    write_predictions(folder / "x", results_of("third"), None)
    assert names_in(folder) == WHOLE
    assert runs_in(folder) == {"third"}
    assert describe_mixture(folder / "x") is None


def write_second(spans):
    def run(folder):
        with lock_results(folder / "x"):
            write_predictions(folder / "x", results_of("second", spans=spans), None)

    return run


JOBS = {
    "spans": (prepare, write_second(spans=True), check),
    "whole": (prepare, write_second(spans=False), check),
    "old": (prepare_old, write_second(spans=True), check),
    "first": (lambda folder: folder.mkdir(), write_second(spans=True), check),
}
SLOW_JOBS = ("whole", "old")


@pytest.mark.parametrize("job", ["spans", "first", *(pytest.param(job, marks=pytest.mark.slow) for job in SLOW_JOBS)])
def test_a_run_killed_while_it_writes_leaves_results_of_one_run_or_tells(tmp_path, job):
    command = [sys.executable, "-m", "tests.killed_forks", str(tmp_path), __name__, job]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 30


def test_what_a_killed_run_was_writing_goes_whatever_the_next_one_writes(tmp_path):
    for name in IN_SPANS:
        temporary_path(tmp_path / name).touch()
        (tmp_path / f".{name}.tmp-1").touch()
    require_results(tmp_path / "x")
    assert names_in(tmp_path) == []


# Several at the same time.


def test_a_second_run_waits_until_the_first_has_written(tmp_path, caplog):
    base, entered = tmp_path / "x", threading.Event()

    def write():
        with lock_results(base):
            entered.set()
            write_predictions(base, results_of("second"), None)

    caplog.set_level("INFO")
    with lock_results(base):
        thread = threading.Thread(target=write)
        thread.start()
        assert not entered.wait(0.3)
        write_predictions(base, results_of("first"), None)
        assert runs_in(tmp_path) == {"first"}
    thread.join(timeout=30)
    assert entered.is_set()
    assert caplog.messages == [f"waiting for another run that is writing {base}"]
    assert runs_in(tmp_path) == {"second"}


WRITE = """
import sys
from pathlib import Path
from tools.inference.predictions import VideoClasses, describe_mixture, lock_results, write_predictions

base, run = Path(sys.argv[1]), sys.argv[2]
for number in range(30):
    with lock_results(base):
        video = VideoClasses(run, f"{run}.mp4", None, [0.5], [1], *((0.0, 1.0) if number % 2 else ()))
        write_predictions(base, [video], None)
        assert describe_mixture(base) is None
"""


def test_runs_that_write_at_the_same_time_never_mix(tmp_path):
    commands = [[sys.executable, "-c", WRITE, str(tmp_path / "x"), run] for run in ("first", "second")]
    processes = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for command in commands]
    assert [process.communicate(timeout=120)[1] for process in processes] == ["", ""]
    assert describe_mixture(tmp_path / "x") is None
    assert len(runs_in(tmp_path)) == 1


@pytest.mark.parametrize("why", ["no locks", "no file"])
def test_where_there_can_be_no_lock_results_are_written_without(tmp_path, monkeypatch, why):
    def refuse(handle, operation):
        raise OSError(38, "Function not implemented")

    if why == "no locks":
        monkeypatch.setattr("fcntl.flock", refuse)
    else:
        (tmp_path / ".x.lock").mkdir()
    with lock_results(tmp_path / "x"):
        write_predictions(tmp_path / "x", results_of("first"), None)
    assert runs_in(tmp_path) == {"first"}


def test_a_lock_that_is_a_link_leads_nowhere(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".x.lock").symlink_to(tmp_path / "precious")
    with lock_results(tmp_path / "x"):
        write_predictions(tmp_path / "x", results_of("first"), None)
    with pytest.raises(OSError, match="symbolic link"):
        HeldLock(tmp_path / ".x.lock")
    assert (tmp_path / "precious").read_text() == "precious"


# Spreadsheets.

WIDE = "\uff1d\uff0b\uff0d\uff20"  # = + - @ of East Asian width
FORMULAS = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", *(f"{sign}1" for sign in WIDE)]
TEXTS = ["a", "a=1", "1", "'=1", "", "a;=1+1", 'a"b', "a,b", "\udcff=", "猫"]


def rows_of(tmp_path, **options):
    results = [VideoClasses(text, f"{text}/p", 1, [1e-7, 0.25], [0, 1]) for text in FORMULAS + TEXTS]
    spans = [replace(part, start_sec=0.0, end_sec=1.5) for part in results]
    for given in (results, spans):
        paths = write_predictions(tmp_path / "x", given, ["=name", "name"], **options)
        items = json.loads((tmp_path / "x.json").read_text())
        assert [item["id"] for item in items] == FORMULAS + TEXTS  # only .csv is another
        assert [video.partition("#t")[0] for video, *_ in pickle.loads(paths[0].read_bytes())] == FORMULAS + TEXTS
        for path in paths:
            if path.suffix == ".csv":
                content = path.read_bytes().decode()
                yield content, list(csv.DictReader(io.StringIO(content, newline="")))


def test_texts_that_a_spreadsheet_would_take_for_formulas_have_an_apostrophe_where_that_is_asked_for(tmp_path):
    shown = [f"'{text}" for text in FORMULAS] + [text.replace("\udcff", "\\udcff") for text in TEXTS]
    for content, rows in rows_of(tmp_path, csv_safe=True):
        assert list(dict.fromkeys(row["id"] for row in rows)) == shown
        assert {row["name"] for row in rows} <= {"'=name", "name"}
        assert all(not row["path"].startswith(("=", "+", "-", "@", "\t", "\r", "\n", *WIDE)) for row in rows)
        assert {float(row["probability"]) for row in rows} <= {1e-7, 0.25}
        for line in content.splitlines():  # whatever separates cells: behind it stands a quote, a digit or nothing
            assert ";=" not in line.replace('"a;=1+1"', "").replace('"a;=1+1/p"', "")


def test_without_the_flag_the_files_are_as_ever(tmp_path):
    contents = [content for content, _ in rows_of(tmp_path)]
    assert contents[0].startswith(
        'id,rank,class_id,name,probability,path,line\r\n"=HYPERLINK(""http://x"")",1,0,=name,'
    )
    assert all("'" not in content.replace("'=1", "") for content in contents)
