"""Training steps of several processes are timed with gradients that travel in both ways."""

import json
import sys

import pytest

from tests.conftest import PROJECT
from tests.tools.program_runs import run_module
from tools.benchmark import __main__ as benchmark


@pytest.mark.slow
def test_both_ways_of_two_processes_are_timed_and_told_once(tmp_path):
    config = PROJECT / "configs/demo/attention_cluster.txt"
    flags = ["--nproc=2", f"--config={config}", "--batch-size=4", "--repeat=1", f"--json={tmp_path}/figures.json"]
    result = run_module("benchmark", "--model-name=AttentionCluster", *flags)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "figures.json").read_text())
    figures = report.pop("figures")
    assert report == {"model": "AttentionCluster", "batch_size": 4, "processes": 2}
    assert {name.partition(",")[0] for name in figures} == {"training step", "times faster", "exchange alone"}
    assert all(value > 0 for value in figures.values())
    assert result.stdout.startswith(f"AttentionCluster, {config}, 2 processes with batches of 4 each, median of 1\n")
    assert all(result.stdout.count(name) == 1 for name in figures)


@pytest.mark.parametrize(
    "flags",
    [["--extraction"], ["--model-name=TSN", "--only-reading"], ["--model-name=TSN", "--against=torch"]],
)
def test_processes_without_a_model_to_train_are_refused(flags, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--nproc=2", *flags])
    with pytest.raises(SystemExit):
        benchmark.parse_args()
    said = "--nproc trains a model; give --model-name, not --only-reading, --against or --scaling"
    assert said in capsys.readouterr().err
