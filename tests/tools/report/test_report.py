"""python -m tools.report: pages of one run and of several, and what is no run."""

import json
import re

import pytest

from tests.tools.pages.hostile import HOSTILE
from tests.tools.program_runs import run_module
from tests.tools.training.recorded_runs import START, events_of, make_validation, valid_of, write_run
from tests.tools.training.test_run_page import sections_of, words
from tools.errors import ConfigError, DataError
from tools.pages.page import render_page
from tools.report.__main__ import choose_output, find_run
from tools.report.comparison import build_comparison, label_runs
from tools.training.run_files import RunFiles, load_run


@pytest.fixture
def two(tmp_path):
    """Two runs of TSN, the second with another rate and one epoch more."""
    first = write_run(tmp_path / "first", [START, *events_of(range(2))], make_validation(1, ["one"], 6))
    start = {**START, "flags": {"--ema": "0.99", "--grad-clip": "1.0"}}
    second = write_run(tmp_path / "second", [start, *events_of(range(3))], learning_rate=0.5)
    return [first, second]


def compare(files):
    return render_page(build_comparison([load_run(one) for one in files])).decode()


def test_runs_stand_side_by_side(two, tmp_path):
    result = run_module("report", *(str(one.folder) for one in two), f"--output={tmp_path}/page.html")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"wrote {tmp_path}/page.html\n", "")
    page = (tmp_path / "page.html").read_text()
    assert sections_of(page) == ["scores", "epochs", "steps", "settings"]
    text = words(page)
    assert "2 runs: TSN" in text
    assert f"{two[0].folder} 1 0.5 70.00 % 99.00 % 65.0 to 75.0 2 running" in text
    assert f"{two[1].folder} 2 0.5 77.50 % 99.00 % 72.5 to 82.5 3 running" in text
    settings = text[text.index("setting ") :]
    assert "TRAIN.learning_rate 0.002 0.5" in settings
    assert "--grad-clip - 1.0" in settings
    assert "--ema" not in settings
    assert "TRAIN.batch_size" not in settings
    chart = re.search(r"<figcaption>top-1 accuracy in validation, %</figcaption>.*?</figure>", page, flags=re.DOTALL)[0]
    assert [f"{one.folder}</span>" in chart for one in two] == [True, True]


def test_one_run_is_its_own_page_made_anew(two):
    result = run_module("report", str(two[0].folder))
    assert (result.returncode, result.stdout) == (0, f"wrote {two[0].page}\n")
    assert "classes" in sections_of(two[0].page.read_text())
    again = run_module("report", str(two[0].numbers))
    assert (again.returncode, again.stdout) == (0, f"wrote {two[0].page}\n")


def test_a_line_that_a_kill_cut_is_passed_over_and_said(two):
    two[0].numbers.write_text(two[0].numbers.read_text()[:-30])
    result = run_module("report", str(two[0].folder))
    assert result.returncode == 0
    said = f"{two[0].numbers}: passed over 1 line that cannot be read; a kill may have cut the last."
    assert result.stdout == f"{said}\nwrote {two[0].page}\n"
    assert said in words(two[0].page.read_text())
    assert said in words(compare(two))


def test_what_is_no_run_is_one_line(two, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    for path, reason in {
        tmp_path / "none": "does not exist; a run is the --save-dir of train.py",
        tmp_path / "notes.txt": "is no folder; a run is the --save-dir of train.py",
        tmp_path / "empty": "holds no training run: no {model}_train.jsonl",
    }.items():
        with pytest.raises(DataError, match=re.escape(f"{path} {reason}")):
            find_run(path, None)
    with pytest.raises(DataError, match=r"holds no run of STNET; it holds TSN"):
        find_run(two[0].folder, "stnet")
    result = run_module("report", str(two[0].folder), str(two[0].folder))
    assert (result.returncode, result.stderr) == (1, f"error: {two[0].numbers} is given twice\n")
    (tmp_path / "empty" / "TSN_train.jsonl").touch()
    result = run_module("report", str(tmp_path / "empty"))
    assert result.stderr == (
        f"error: {tmp_path}/empty/TSN_train.jsonl holds no step and no score; the run has not begun to train\n"
    )


def test_of_several_models_in_a_folder_one_is_chosen(two):
    other = two[0].folder / "STNET_train.jsonl"
    other.write_text(two[0].numbers.read_text())
    with pytest.raises(ConfigError, match="holds runs of STNET, TSN; choose one with --model-name"):
        find_run(two[0].folder, None)
    assert find_run(two[0].folder, "stnet") == find_run(other, None) == RunFiles(two[0].folder, "STNET")


def test_a_file_of_somebody_else_is_not_overwritten(two, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("<h1>mine</h1>")
    with pytest.raises(ConfigError, match=r"mine\.html is there already and is no page of this project; --output"):
        choose_output(str(mine), two)
    with pytest.raises(DataError, match="cannot be written"):
        choose_output(str(tmp_path), two)
    assert choose_output(None, two[:1]) == two[0].page
    assert choose_output(None, two).name == "runs_report.html"
    assert mine.read_text() == "<h1>mine</h1>"


def test_runs_of_different_models_are_called_by_them_and_share_the_charts_that_both_have(two, tmp_path):
    values = {"event": "valid_epoch", "epoch": 0, "videos": 5, "loss": 1.0, "hit_at_one": 0.5, "perr": 0.5, "gap": 0.25}
    files = RunFiles(tmp_path / "features", "AttentionCluster")
    files.folder.mkdir()
    files.numbers.write_text(json.dumps(values) + "\n")
    runs = [load_run(two[0]), load_run(files)]
    assert label_runs(runs) == [f"{two[0].folder} (TSN)", f"{files.folder} (AttentionCluster)"]
    text = words(render_page(build_comparison(runs)).decode())
    assert "They train different models: TSN, AttentionCluster." in text
    assert "each chart holds the runs that have the score" in text
    assert f"The settings of {files.folder} (AttentionCluster) are not known." in text
    assert "STNET" not in text


def test_averaged_weights_choose_and_folders_with_hostile_names_stay_text(tmp_path):
    names = [name.replace("/", "_").replace("\0", "_") for name in HOSTILE if len(name) < 200 and name.strip()]
    files = [
        write_run(
            tmp_path / name.encode("utf-8", "replace").decode(),
            [START, *events_of([0]), valid_of(0, 99.0, averaged=True)],
        )
        for name in names
    ]
    page = compare(files)
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert words(page).count("99.00 % 99.00 %") == len(files)
