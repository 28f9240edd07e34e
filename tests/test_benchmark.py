"""The benchmark and the summary, as programs."""

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env


def run_module(name, *arguments, cwd=PROJECT):
    command = [sys.executable, "-m", f"tools.{name}", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean_env(), capture_output=True, text=True, check=False)


def test_every_figure_is_printed_and_written(tmp_path):
    config = tmp_path / "small.txt"
    text = (PROJECT / "configs/demo/attention_cluster.txt").read_text()
    config.write_text(text)
    flags = [f"--config={config}", "--batch-size=4", "--repeat=1", f"--json={tmp_path}/figures.json"]
    result = run_module("benchmark", "--model-name=attentioncluster", *flags)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    assert report["model"] == "AttentionCluster"
    figures = report["figures"]
    assert all(value > 0 for value in figures.values())
    for title in ("inference, times faster than plain", "training step, times faster than plain"):
        assert title in figures
    assert all(title in result.stdout for title in figures)


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
