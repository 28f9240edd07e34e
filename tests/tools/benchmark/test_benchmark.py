"""The benchmark and the summary, as programs."""

import json
import re
import subprocess
import sys

import pytest

from datareader.sharding import Shard
from tests.conftest import PROJECT, clean_env
from tools.benchmark import __main__ as benchmark
from tools.benchmark import simulation
from tools.summary import format_epochs, load_epochs


def run_module(name, *arguments, cwd=PROJECT):
    command = [sys.executable, "-m", f"tools.{name}", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean_env(), capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "model", "config", "titles"),
    [
        (
            "benchmark",
            "AttentionCluster",
            "configs/demo/attention_cluster.txt",
            ("inference, times faster than plain", "training step, times faster than plain"),
        ),
        (
            "benchmark_clips",
            "TSN",
            "configs/demo/tsn.txt",
            ("reading, mp4, GOP 12, times faster than in 2019", "inference, times faster than dygraph"),
        ),
    ],
)
def test_every_figure_is_printed_and_written(program, model, config, titles, tmp_path):
    flags = [f"--config={PROJECT / config}", "--batch-size=4", "--repeat=1", f"--json={tmp_path}/figures.json"]
    result = run_module(program, f"--model-name={model.lower()}", *flags)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    assert report["model"] == model
    figures = report["figures"]
    assert all(value > 0 for value in figures.values())
    assert all(title in figures for title in titles)
    assert all(title in result.stdout for title in figures)


def test_each_benchmark_names_the_one_for_other_models():
    for program, model, other in (
        ("benchmark", "TSN", "benchmark_clips"),
        ("benchmark_clips", "NEXTVLAD", "benchmark"),
    ):
        result = run_module(program, f"--model-name={model}")
        assert result.returncode == 1
        assert f"python -m tools.{other} --model-name {model}" in result.stderr


@pytest.mark.slow
def test_the_pairs_of_a_whole_data_set_fit_into_300_mb():
    assert benchmark.measure_gap_at_scale()[1] < 300


def test_a_summary_without_a_run_is_one_line(tmp_path):
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}/NEXTVLAD_train.jsonl cannot be read")


def valid(epoch, gap, **facts):
    return {"event": "valid_epoch", "time": 0, "epoch": epoch, **facts, "videos": 2, "gap": gap}


def summarize(folder, *events):
    """The rows of the summary's table on a run with these events."""
    path = folder / "NEXTVLAD_train.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return [re.split(r"  +", line.strip()) for line in format_epochs(load_epochs(path)).splitlines()]


def test_a_summary_passes_over_lines_that_are_cut_or_not_utf_8(tmp_path):
    lines = [json.dumps(valid(epoch, 0.5 + epoch / 10)).encode() for epoch in (0, 1)]
    bad = lines[0].replace(b"gap", b"g\xffp")
    (tmp_path / "NEXTVLAD_train.jsonl").write_bytes(b"\n".join([lines[0], bad, lines[1], b'{"event": "val']))
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.returncode == 0
    table, places = result.stdout.split("\n\n")
    assert table.split() == ["after", "epoch", "gap", "0", "0.5000", "1", "0.6000"]
    assert places.split() == ["numbers", f"{tmp_path}/NEXTVLAD_train.jsonl"]


def test_scores_of_averaged_weights_have_rows_of_their_own(tmp_path):
    events = [valid(-1, 0.1), valid(0, 0.5), valid(0, 0.6, averaged=True), valid(1, 0.7), valid(1, 0.8, averaged=True)]
    assert summarize(tmp_path, *events) == [
        ["after epoch", "gap"],
        ["(none)", "0.1000"],
        ["0", "0.5000"],
        ["averaged 0", "0.6000"],
        ["1", "0.7000"],
        ["averaged 1", "0.8000"],
    ]


def test_a_summary_of_a_run_that_went_back_forgets_the_epochs_after_that_place(tmp_path):
    step = {"event": "train_step", "time": 0, "epoch": 3, "iter": 0, "loss": 1.0}
    first = [event for epoch in range(10) for event in (valid(epoch, epoch / 10), valid(epoch, 0.9, averaged=True))]
    kept = [["0", "0.0000"], ["averaged 0", "0.9000"], ["1", "0.1000"], ["averaged 1", "0.9000"]]
    kept += [["2", "0.2000"], ["averaged 2", "0.9000"]]
    assert summarize(tmp_path, *first, step)[1:] == kept
    assert summarize(tmp_path, *first, step, valid(3, 0.5))[1:] == [*kept, ["3", "0.5000"]]
    assert summarize(tmp_path, *first, valid(3, 0.5))[1:] == [*kept, ["3", "0.5000"]]
    assert summarize(tmp_path, *first, {"event": "begin"}, valid(0, 0.5))[1:] == [["0", "0.5000"]]


@pytest.mark.parametrize("world", [1, 4, 7])
def test_plans_of_all_processes_are_disjoint_and_equally_long(world, tmp_path):
    """And the figures are those of counting record by record."""
    features = simulation.open_features(simulation.make_feature_list(tmp_path, num_files=30, num_records=3000))
    clips = simulation.open_clips(simulation.make_clip_list(tmp_path, num_clips=1000))
    for dataset, count in ((features, 3000), (clips, 1000)):
        plans = [simulation.plan(dataset, Shard(rank, world), batch_size=8) for rank in range(world)]
        read = [record for plan in plans for batch in plan for record in batch.tolist()]
        assert len(set(read)) == len(read) == count // (8 * world) * 8 * world
        found = simulation.compare_processes(dataset, world, batch_size=8)
        assert found["steps of a process, fewest"] == found["steps of a process, most"] == count // (8 * world)
        assert found["records of a process, most"] == len(read) // world
        assert (found["records read twice"], found["records left out"]) == (0, count - len(read))


def test_files_are_counted_as_processes_open_and_hold_them(tmp_path):
    dataset = simulation.open_features(simulation.make_feature_list(tmp_path, num_files=30, num_records=3000))
    found = simulation.compare_processes(dataset, world=3, batch_size=8)
    opened, held = [], []
    for rank in range(3):
        batches = simulation.plan(dataset, Shard(rank, 3), batch_size=8)
        files = [
            {sum(record >= first for first in dataset.first[1:]) for record in batch.tolist()} for batch in batches
        ]
        opened.append(len(set.union(*files)))
        held += [len(set.union(*files[: i + 1]) & set.union(*files[i:])) for i in range(len(files))]
    assert found["files opened by a process, most"] == max(opened)
    assert found["files opened in all"] == sum(opened) <= 30 + 2
    assert found["files in memory at once, most"] == max(held)


@pytest.mark.slow
def test_planning_for_64_processes_takes_little_time_and_memory(tmp_path):
    assert run_module("benchmark", "--simulate-world=64", f"--json={tmp_path}/figures.json").returncode == 0
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    for data in ("YouTube-8M", "Kinetics-400"):
        assert figures[f"{data}: planning an epoch, CPU s"] < 5
        assert 10 < figures[f"{data}: memory of a process, MB"] < 500
        assert figures[f"{data}: records read twice"] == 0
        assert figures[f"{data}: steps of a process, fewest"] == figures[f"{data}: steps of a process, most"]


def test_the_benchmark_needs_a_model_or_a_number_of_processes():
    result = run_module("benchmark")
    assert result.returncode == 2
    assert result.stderr.endswith("error: give --model-name or --simulate-world\n")
