import sys

import numpy as np
import paddle
import pytest

from tests.conftest import PROJECT
from tests.tools.program_runs import run_module
from tools.benchmark import __main__ as benchmark
from tools.benchmark import peers
from tools.errors import PackageError

CLUSTER = str(PROJECT / "configs/demo/attention_cluster.txt")
CLIPS = {"TSN": "configs/demo/tsn.txt", "STNET": "configs/stnet.txt"}


class FakeWorker:
    """A process whose tasks take so many seconds, one after another."""

    def __init__(self, sec: dict[str, list[float]], answers):
        self.sec, self.answers = {task: iter(times) for task, times in sec.items()}, np.array(answers)
        self.tasks = frozenset(sec)

    def __call__(self, task):
        return lambda: next(self.sec[task])


def test_times_are_medians_and_shares_those_of_pairs(tmp_path):
    job = peers.make_job("AttentionCluster", CLUSTER, 2, 1, tmp_path)
    ours = FakeWorker({"inference 2": [9, 1, 2, 6], "training": [9, 8, 8, 8]}, [0.5, 0.25])
    torch = FakeWorker({"inference 2": [9, 4, 4, 4], "training": [9, 16, 32, 4]}, [0.5, 0.75])
    onnx = FakeWorker({"inference 2": [9, 1, 1, 1]}, [0.375, 0.25])
    workers = {"ours": ours, "PyTorch": torch, "ONNX Runtime": onnx}
    assert peers.compare_workers(job, workers, repeat=3) == {
        "inference, batches of 2, ours, CPU ms a video": 1000,
        "inference, batches of 2, PyTorch, CPU ms a video": 2000,
        "inference, batches of 2, ONNX Runtime, CPU ms a video": 500,
        "inference, batches of 2, share of PyTorch's time": 0.5,
        "inference, batches of 2, share of ONNX Runtime's time": 2,
        "training step, batches of 2, ours, CPU ms a video": 4000,
        "training step, batches of 2, PyTorch, CPU ms a video": 8000,
        "training step, batches of 2, share of PyTorch's time": 0.5,
        "largest difference of probabilities from PyTorch's": 0.5,
        "largest difference of probabilities from ONNX Runtime's": 0.125,
    }


def test_the_floor_is_what_multiply_adds_take_and_thrice_that_in_training(tmp_path):
    job = peers.make_job("AttentionCluster", CLUSTER, 2, 1, tmp_path)
    figures = {
        "inference, batches of 2, ours, CPU ms a video": 3,
        "training step, batches of 2, ours, CPU ms a video": 24,
    }
    assert peers.compare_with_floor(job, figures, speed=5e9, multiply_adds=10e6) == {
        "multiply-adds of a video, millions": 10,
        "fastest matrix product, GFLOP a CPU second": 10,
        "inference, batches of 2, arithmetic floor, CPU ms a video": 2,
        "inference, batches of 2, ours, times the floor": 1.5,
        "training step, batches of 2, arithmetic floor, CPU ms a video": 6,
        "training step, batches of 2, ours, times the floor": 4,
    }


def test_all_processes_make_the_same_batch_of_features(tmp_path):
    job = peers.make_job("AttentionCluster", CLUSTER, 3, 1, tmp_path)
    one, other = job.make_batch(3), job.make_batch(3)
    assert [array.shape for array in one.inputs] == [(3, 60, 1024), (3, 60, 128)]
    assert all(np.array_equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))
    assert np.array_equal(one.labels, other.labels)
    assert one.labels.shape == (3, 20)
    assert set(np.unique(one.labels)) == {0, 1}


@pytest.mark.parametrize(("name", "sizes"), [("TSN", [1, 8, 32]), ("STNET", [1, 8])])
def test_clips_are_run_in_batches_that_memory_can_hold(name, sizes, tmp_path):
    job = peers.make_job(name, str(PROJECT / CLIPS[name]), 4, 1, tmp_path)
    assert job.test_sizes == sizes
    batch = job.make_batch(4)
    assert batch.inputs[0].shape[0] == len(batch.labels) == 4
    assert batch.labels.max() < job.config.MODEL.num_classes


class OneLayer(paddle.nn.Layer):
    classifier = "fc"

    def __init__(self):
        super().__init__()
        self.fc = paddle.nn.Linear(8, 40, weight_attr=paddle.nn.initializer.Normal(0, 500), bias_attr=False)

    def forward(self, x):
        return self.fc(x)


def test_logits_that_say_nothing_of_answers_are_made_moderate(tmp_path):
    network, job = OneLayer(), peers.make_job("TSN", str(PROJECT / CLIPS["TSN"]), 4, 1, tmp_path)
    batch = job.make_batch(4)
    inputs = (batch.inputs[0].reshape(-1, 8)[:50],)
    peers.moderate(network, type(batch)([], [], [], inputs, None))
    assert float(network(paddle.to_tensor(inputs[0])).std()) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--model-name=TSN", "--against=tensorflow"], "--against: 'tensorflow' is none of torch, onnxruntime"),
        (["--extraction", "--against=torch"], "--against compares the network of a model; give --model-name"),
        (["--model-name=TSN", "--only-reading", "--against=torch"], "and not --only-reading"),
        (["--model-name=TSN", "--scaling", "--against=torch"], "not --only-reading or --against"),
        (["--extraction", "--scaling"], "--scaling measures the network of a model; give --model-name"),
        (["--model-name=TSN", "--conv-engine=onednn"], "what --against or --scaling measures; give one of them"),
        (
            ["--model-name=TSN", "--scaling", "--amp=bf16"],
            "--amp bf16 needs --conv-engine onednn, and a processor with",
        ),
        (["--model-name=TSN", "--scaling", "--amp=bf16", "--conv-engine=onednn"], "needs --conv-engine onednn, and a"),
        (["--model-name=NEXTVLAD", "--scaling", "--conv-engine=onednn"], "trains a ResNet, which NEXTVLAD has not"),
        (
            ["--model-name=NEXTVLAD", "--scaling", "--precision=bf16"],
            "--precision bf16 is for models on clips, not for",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(flags, text, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "has_amx", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmark", *flags])
    with pytest.raises(SystemExit) as ended:
        benchmark.parse_args()
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_peers_are_named_once_in_any_order(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--model-name=TSN", "--against=onnxruntime, torch,torch"])
    assert benchmark.parse_args().against == ("onnxruntime", "torch")


def test_a_peer_that_is_not_installed_ends_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None if name == "onnx" else name)
    monkeypatch.setattr(peers, "make_job", None)
    with pytest.raises(PackageError) as ended:
        peers.measure_against("TSN", CLUSTER, ["torch", "onnxruntime"], batch_size=1, repeat=1, threads=1)
    assert str(ended.value) == (
        "--against onnxruntime: onnx cannot be found; python -m pip install -r requirements-benchmark.txt, or leave it "
        "out"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AttentionCluster", "TSN"])
def test_ours_is_measured_in_its_process(name, monkeypatch):
    config = {"AttentionCluster": CLUSTER, **CLIPS}[name]
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # so that it is set back
    monkeypatch.setattr(peers, "count_in", lambda job: 1e6)
    figures = peers.measure_against(name, str(PROJECT / config), [], batch_size=2, repeat=1, threads=1)
    assert all(value > 0 for value in figures.values())
    count = 2 if name == "AttentionCluster" else 4
    for end in ("ours, CPU ms a video", "arithmetic floor, CPU ms a video", "ours, times the floor"):
        assert sum(title.endswith(end) for title in figures) == count


@pytest.mark.parametrize("flag", [[], ["--config=configs/demo/tsn.txt"]])
def test_the_title_names_the_config_and_whether_processes_are_pinned(flag, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure_against", lambda *_, **__: {"figure": 1})
    monkeypatch.setattr(sys, "argv", ["benchmark", "--model-name=TSN", "--against=torch", "--threads=2", *flag])
    config = "configs/demo/tsn.txt" if flag else "configs/tsn.txt"
    titles = []
    for can_pin in (True, False):
        monkeypatch.setattr(benchmark, "can_pin", lambda can_pin=can_pin: can_pin)
        benchmark.benchmark_model(benchmark.parse_args())
        titles.append(capsys.readouterr().out.splitlines()[0])
    assert all(title.startswith(f"TSN, {config}, CPU time, median of 5; ") for title in titles)
    assert titles[0].endswith(", 2 cores")
    assert titles[1].endswith(", threads: 2, not pinned to cores")


def test_the_help_names_what_installs_the_peers():
    assert "requirements-benchmark.txt" in " ".join(run_module("benchmark", "--help").stdout.split())
