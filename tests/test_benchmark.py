"""The benchmark and the summary, as programs."""

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env


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
def test_gap_of_a_whole_data_set_and_both_ratios_are_as_promised(tmp_path):
    flags = ["--model-name=AttentionCluster", f"--json={tmp_path}/figures.json"]
    assert run_module("benchmark", *flags).returncode == 0
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures["inference, times faster than plain"] >= 12
    assert figures["training step, times faster than plain"] >= 4
    assert figures["GAP of 1.1 million videos x 20, MB with its pairs"] < 300


def test_a_summary_without_a_run_is_one_line(tmp_path):
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}/NEXTVLAD_train.jsonl cannot be read")


def test_a_summary_passes_over_the_line_that_a_killed_run_was_writing(tmp_path):
    events = [
        {"event": "valid_epoch", "epoch": epoch, "time": 0, "videos": 2, "gap": 0.5 + epoch / 10} for epoch in (0, 1)
    ]
    lines = [json.dumps(event) for event in events]
    (tmp_path / "NEXTVLAD_train.jsonl").write_text("\n".join([*lines, '{"event": "val']))
    result = run_module("summary", str(tmp_path), "--model-name=NEXTVLAD")
    assert result.stdout.split() == [
        "after",
        "epoch",
        "gap",
        "0",
        "0.5000",
        "1",
        "0.6000",
        "numbers",
        f"{tmp_path}/NEXTVLAD_train.jsonl",
    ]
