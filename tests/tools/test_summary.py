"""The summary of a training run."""

import json
import re

from tests.tools.program_runs import run_module
from tools.summary import format_epochs, load_scores


def test_a_summary_without_a_run_is_one_line(tmp_path):
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}/NEXTVLAD_train.jsonl cannot be read")


def valid(epoch, gap, **facts):
    return {"event": "valid_epoch", "time": 0, "epoch": epoch, **facts, "videos": 2, "gap": gap}


def summarize(folder, *events, best=None):
    """The rows of the summary's table on a run with these events."""
    path = folder / "NEXTVLAD_train.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return [re.split(r"  +", line.strip()) for line in format_epochs(load_scores(path).epochs, best).splitlines()]


def test_a_summary_passes_over_lines_that_are_cut_or_not_utf_8(tmp_path):
    lines = [json.dumps(valid(epoch, 0.5 + epoch / 10)).encode() for epoch in (0, 1)]
    bad = lines[0].replace(b"gap", b"g\xffp")
    (tmp_path / "NEXTVLAD_train.jsonl").write_bytes(
        b"\n".join([lines[0], bad, b"[" * 200_000, b"9" * 5000, lines[1], b'{"event": "val'])
    )
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.returncode == 0
    table, places = result.stdout.split("\n\n")
    assert table.split() == ["after", "epoch", "gap", "0", "0.500000", "1", "0.600000"]
    assert places.split() == ["numbers", f"{tmp_path}/NEXTVLAD_train.jsonl"]


def test_scores_of_averaged_weights_have_rows_of_their_own(tmp_path):
    events = [valid(-1, 0.1), valid(0, 0.5), valid(0, 0.6, averaged=True), valid(1, 0.7), valid(1, 0.8, averaged=True)]
    assert summarize(tmp_path, *events) == [
        ["after epoch", "gap"],
        ["(none)", "0.100000"],
        ["0", "0.500000"],
        ["averaged 0", "0.600000"],
        ["1", "0.700000"],
        ["averaged 1", "0.800000"],
    ]


def test_a_summary_of_a_run_that_went_back_forgets_the_epochs_after_that_place(tmp_path):
    step = {"event": "train_step", "time": 0, "epoch": 3, "iter": 0, "loss": 1.0}
    first = [event for epoch in range(10) for event in (valid(epoch, epoch / 10), valid(epoch, 0.9, averaged=True))]
    kept = [["0", "0.000000"], ["averaged 0", "0.900000"], ["1", "0.100000"], ["averaged 1", "0.900000"]]
    kept += [["2", "0.200000"], ["averaged 2", "0.900000"]]
    assert summarize(tmp_path, *first, step)[1:] == kept
    assert summarize(tmp_path, *first, step, valid(3, 0.5))[1:] == [*kept, ["3", "0.500000"]]
    assert summarize(tmp_path, *first, valid(3, 0.5))[1:] == [*kept, ["3", "0.500000"]]
    assert summarize(tmp_path, *first, {"event": "begin"}, valid(0, 0.5))[1:] == [["0", "0.500000"]]


def test_the_best_epoch_is_marked_with_its_averaged_weights_where_those_were_scored(tmp_path):
    events = [valid(-1, 0.1), valid(0, 0.8), valid(1, 0.7)]
    assert summarize(tmp_path, *events, best=0)[1:] == [
        ["(none)", "0.100000"],
        ["0", "0.800000", "best"],
        ["1", "0.700000"],
    ]
    averaged = [valid(0, 0.8), valid(0, 0.85, averaged=True), valid(1, 0.9), valid(1, 0.2, averaged=True)]
    rows = summarize(tmp_path, *averaged, best=0)
    assert [row for row in rows if "best" in row] == [["averaged 0", "0.850000", "best"]]


def test_of_a_file_with_several_runs_the_last_counts_and_the_others_are_told(tmp_path):
    path, begin = tmp_path / "NEXTVLAD_train.jsonl", {"event": "begin", "time": 0}
    events = [begin, valid(0, 0.9), begin, begin, valid(0, 0.8), begin, valid(0, 0.5), valid(1, 0.6)]
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (tmp_path / "NEXTVLAD_best").mkdir()
    (tmp_path / "NEXTVLAD_best/state.json").write_text('{"best_epoch": 1}')
    shown = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD").stdout
    assert [line.split() for line in shown.splitlines()[1:3]] == [["0", "0.500000"], ["1", "0.600000", "best"]]
    assert f"\n{path} holds 2 earlier runs too; these are the scores of the last\n" in shown


def test_shares_have_their_unit_where_the_run_left_its_settings(trained):
    arguments = [str(trained / "checkpoints"), "--model-name=AttentionCluster"]
    header, epoch, *_ = run_module("summary", *arguments).stdout.splitlines()
    assert header.split() == ["after", "epoch", "loss", "hit_at_one", "perr", "gap", "map"]
    assert re.fullmatch(r" *0  \d+\.\d{6}(  +\d+\.\d{6} %){4}  best", epoch)
