"""The benchmark, as a program under both its names, and its simulation of many processes."""

import importlib.util
import json
import runpy
import sys

import pytest

from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from tests.conftest import PROJECT
from tests.tools.program_runs import run_module
from tools.benchmark import __main__ as benchmark
from tools.benchmark import clips, extraction, features, simulation
from tools.benchmark.workers import PEERS
from tools.registry import MODELS, READERS

OWN_VIDEOS = "configs/demo/own_videos.txt"  # of one stream, as wide as a ResNet describes a frame


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


@pytest.mark.slow
def test_extraction_is_measured_and_peers_that_are_missing_are_named(tmp_path):
    result = run_module("benchmark", "--extraction", "--repeat=1", f"--json={tmp_path}/figures.json")
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures["extraction, seconds of video a second"] > 0
    assert all(value > 0 for value in figures.values())
    for module, peer in PEERS.items():
        # PyTorch's networks are those that ONNX Runtime is given too.
        is_there = all(importlib.util.find_spec(name) is not None for name in {"torch", module})
        assert (f"{peer} is left out" in result.stdout) != is_there
        assert (f"extraction, times faster than with {peer}" in figures) == is_there


def run_in_this_process(monkeypatch, program, *flags):
    """A program as ``python -m`` runs it, with what a test has changed; it has to end well."""
    monkeypatch.setattr(sys, "argv", [program, *flags])
    monkeypatch.delitem(sys.modules, benchmark.__name__, raising=False)  # runpy warns of what was imported before
    runpy.run_module(f"tools.{program}", run_name="__main__", alter_sys=True)


@pytest.mark.slow
def test_both_names_measure_the_same_of_reading_clips(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(clips, "SECONDS", 1)
    names = {}
    for program in ("benchmark", "benchmark_clips"):
        path = tmp_path / f"{program}.json"
        flags = ("--model-name=tsn", "--only-reading", "--repeat=1", f"--json={path}")
        run_in_this_process(monkeypatch, program, *flags)
        report = json.loads(path.read_text())
        assert report["model"] == "TSN"
        figures = report["figures"]
        names[program] = [*figures]
        title, *lines = capsys.readouterr().out.splitlines()
        assert title == "TSN, configs/tsn.txt, median of 1"
        assert lines == [f"{name:<50}  {value:12.4g}" for name, value in figures.items()]
        assert figures.pop("reading, 720p mp4, MB of these for the clip") >= 0
        assert all(value > 0 for value in figures.values())
    assert names["benchmark"] == names["benchmark_clips"]


def test_the_former_name_passes_flags_and_exit_codes_on():
    for flags, code in (
        (["--model-name=nextvlad", "--only-reading"], 2),
        (["--model-name=I3D"], 1),
        (["--model-name=TSN", "--config=nothing.txt"], 1),
        ([], 2),
    ):
        ours, former = (run_module(program, *flags) for program in ("benchmark", "benchmark_clips"))
        assert ours.returncode == former.returncode == code
        assert ours.stderr == former.stderr != ""


def test_the_former_name_says_so_in_its_help():
    ours, former = (run_module(program, "--help") for program in ("benchmark", "benchmark_clips"))
    assert ours.returncode == former.returncode == 0
    assert former.stdout.startswith("The former name of ``python -m tools.benchmark``")
    assert former.stdout.endswith(f"\n\n{ours.stdout}")


def test_only_reading_is_for_models_on_clips(monkeypatch, capsys):
    for flags, named in ((["--model-name=nextvlad"], "NEXTVLAD"), (["--simulate-world=2"], "anything else")):
        monkeypatch.setattr(sys, "argv", ["benchmark", "--only-reading", *flags])
        with pytest.raises(SystemExit, match="2"):
            benchmark.parse_args()
        assert capsys.readouterr().err.endswith(f"error: --only-reading is for models on clips, not for {named}\n")


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        (["--model-name=TSN"], 4),
        (["--model-name=AttentionCluster"], 64),
        (["--simulate-world=2"], 64),
        (["--model-name=TSN", "--batch-size=9"], 9),
        (["--model-name=AttentionCluster", "--batch-size=9"], 9),
    ],
)
def test_the_batch_size_depends_on_the_kind_of_data_unless_given(flags, size, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmark", *flags])
    assert benchmark.parse_args().batch_size == size


def test_synthetic_records_are_as_the_config_says(tmp_path):
    spec = MODELS.get("AttentionLSTM")()
    config = features.load_synthetic_config(str(PROJECT / OWN_VIDEOS), spec, "AttentionLSTM", tmp_path, count=4)
    dataset = READERS.get(spec.reader)(config, "TRAIN", training=True, skip_broken=0)
    batch = next(EvaluationLoader(dataset, 4, num_workers=0, as_float=True).epoch())
    lengths, rgb = batch.inputs
    assert rgb.shape == (lengths.sum(), 2048)
    assert batch.labels.shape == (4, 6)


class AbsentPeer:
    """A worker of ours, and none of another framework: PyTorch is not installed."""

    answers = ()

    def __init__(self, title, open_tasks, opener, *_):
        if opener is not extraction.open_ours:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    def __call__(self, task):
        return lambda: None

    def close(self):
        pass


def test_what_a_peer_lacks_is_what_its_line_says_how_to_install(monkeypatch):
    monkeypatch.setattr(extraction, "Worker", AbsentPeer)
    monkeypatch.setattr(extraction, "NUM_VIDEOS", 0)
    _, missing = extraction.measure_extraction(repeat=1, threads=1)
    assert missing == [
        f"{title} is left out: No module named 'torch'; python -m pip install torch"
        for title in ("PyTorch", "ONNX Runtime")
    ]


@pytest.mark.slow
def test_the_pairs_of_a_whole_data_set_fit_into_300_mb():
    assert features.measure_gap_at_scale()[1] < 300


@pytest.mark.parametrize("world", [1, 4, 7])
def test_plans_of_all_processes_are_disjoint_and_equally_long(world, tmp_path):
    """And the figures are those of counting record by record."""
    records = simulation.open_features(simulation.make_feature_list(tmp_path, num_files=30, num_records=3000))
    videos = simulation.open_clips(simulation.make_clip_list(tmp_path, num_clips=1000))
    for dataset, count in ((records, 3000), (videos, 1000)):
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
    assert result.stderr.endswith("error: give --model-name, --simulate-world or --extraction, one of them\n")
