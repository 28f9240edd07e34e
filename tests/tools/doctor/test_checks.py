"""Checks of the config and what it names, of folders, processes, weights and the room for checkpoints."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from tests.conftest import PROJECT, TINY_CONFIG
from tests.tools.doctor.reports import examine, load_config
from tools.doctor import network as network_checks
from tools.doctor.text import format_report
from tools.registry import MODELS
from tools.training.optimizer_state import optimizer_arrays
from tools.weights.checkpoint_files import network_arrays


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch_size = 8", "batch_sise = 8", "tiny.txt [TRAIN]: unknown key 'batch_sise'; did you mean 'batch_size'?"),
        ("batch_size = 8", "batch_size = eight", "batch_size = eight should be a whole number"),
        ("[TRAIN]", "[TRIAN]", "section [TRAIN] is missing"),
        ("[MODEL]", "no section", "stands in no section"),
        ('name = "AttentionCluster"', 'name = "Attention"', "no model named 'Attention'"),
        ('name = "AttentionCluster"', "", "[MODEL] has no name; add one, or pass --model-name"),
        ("['rgb', 'audio']", "['rgb', 'sound']", "feature_names has 'sound'; records hold rgb, audio"),
        ("cluster_nums = [2, 2]", "cluster_nums = [2]", "cluster_nums has 1 entries, but feature_num = 2"),
    ],
)
def test_a_config_that_cannot_start_a_run_is_one_line_and_the_machine_is_looked_at_still(features, old, new, message):
    (features / "tiny.txt").write_text(TINY_CONFIG.replace(old, new, 1))
    report, sections = examine("tiny.txt")
    assert sections == []
    (reason,) = report["verdict"]["reasons"]
    assert message in reason
    assert "\n" not in reason
    assert {check["name"] for check in report["checks"]} >= {"Python", "Paddle", "NumPy", "OpenCV", "PyAV", "memory"}
    assert format_report(report).splitlines()[-1].startswith("training would fail: config: ")


def test_a_config_that_is_not_there_is_one_line(tmp_path):
    report, _ = examine(tmp_path / "none.txt")
    assert "does not exist" in report["verdict"]["reasons"][0]


def test_data_are_looked_at_where_only_the_eigenvalues_are_missing(features):
    config = (PROJECT / "configs/demo/nextvlad.txt").read_text()
    config = config.replace("dataset/youtube8m/demo/", "data/").replace("num_classes = 20", "num_classes = 12")
    eigen_file = next(line.split('"')[1] for line in config.splitlines() if line.startswith("eigen_file"))
    (features / "nextvlad.txt").write_text(config)
    report, _ = examine("nextvlad.txt", "--batch-size=8")
    assert report["sections"]["TRAIN"]["usable"] == 40
    (reason,) = report["verdict"]["reasons"]
    assert f"eigen_file {eigen_file} does not exist" in reason
    Path(eigen_file).parent.mkdir(parents=True, exist_ok=True)
    np.save(eigen_file, np.ones(10, np.float32))
    assert "is a (10,) float32 array" in examine("nextvlad.txt", "--batch-size=8")[0]["verdict"]["reasons"][0]
    np.save(eigen_file, np.ones((2048, 1), np.float32))
    assert not examine("nextvlad.txt", "--batch-size=8")[0]["verdict"]["fails"]


def test_class_names_of_another_number_are_noted(features):
    (features / "names.txt").write_text("one\ntwo\n")
    report, _ = examine("tiny.txt", '--set=INFER.class_names="names.txt"')
    notes = [check["text"] for check in report["checks"] if check["name"] == "names"]
    assert notes == ["[INFER] class names names.txt has 2 lines, but num_classes = 12"]
    assert not report["verdict"]["fails"]


def test_a_folder_that_cannot_be_written_fails(features):
    (features / "taken").write_text("a file")
    (reason,) = examine("tiny.txt", "--save-dir=taken/checkpoints")[0]["verdict"]["reasons"]
    assert reason == "folder: --save-dir taken/checkpoints: " + f"{features}/taken: Not a directory"
    assert sorted(path.name for path in features.iterdir()) == ["data", "taken", "tiny.txt"]  # nothing is made


def test_a_batch_that_does_not_split_over_the_processes_is_a_reason_to_fail(features):
    report, _ = examine("tiny.txt", "--nproc=3", "--accumulate=2")
    assert report["verdict"]["fails"]
    assert "TRAIN.batch_size = 8 does not split over 3 processes with --accumulate 2" in report["verdict"]["reasons"][0]
    assert not examine("tiny.txt", "--nproc=2", "--accumulate=2")[0]["verdict"]["fails"]


# The network, its weights, and their room


@pytest.mark.network
def test_weights_that_do_not_fit_or_are_none_fail_and_others_are_filled_in(features):
    def weights_of(*flags):
        report, _ = examine("tiny.txt", *flags)
        (check,) = [check for check in report["checks"] if check["name"] == "weights"]
        assert report["verdict"]["fails"] == (check["status"] == "fails")
        return check["text"]

    assert "gone does not exist" in weights_of("--weights=gone")
    (features / "page").write_text("<html>")
    assert "a web page" in weights_of("--pretrain=page")
    network = MODELS.get("AttentionCluster")().build_network(load_config("tiny.txt"))
    paddle.save(network.state_dict(), str(features / "whole.pdparams"))
    assert weights_of("--weights=whole.pdparams").startswith("--weights whole.pdparams; ")
    other = "--set=MODEL.num_classes=13"
    assert "13" in weights_of("--weights=whole.pdparams", other)
    assert weights_of("--pretrain=whole.pdparams", other).startswith("--pretrain whole.pdparams; ")


@pytest.mark.network
@pytest.mark.parametrize("name", MODELS.names())
def test_a_checkpoint_takes_the_room_that_is_said(name, tmp_path):
    spec = MODELS.get(name)()
    config = load_config(PROJECT / spec.default_config)
    network = paddle.nn.Linear(300, 7)
    network.classifier = "weight"
    optimizer = spec.build_optimizer(config, network)
    network(paddle.ones([1, 300])).sum().backward()
    optimizer.step()
    arrays = [*network_arrays(network).values(), *optimizer_arrays(optimizer, network).values()]
    size = sum(np.asarray(value).nbytes for value in arrays if hasattr(value, "shape"))
    weights = sum(np.asarray(value).nbytes for value in network_arrays(network).values())
    assert size == pytest.approx(weights * (1 + spec.optimizer_states), rel=0.01)
    check = network_checks.check_room(str(tmp_path), 0, spec, config.TRAIN.epoch, network)
    assert f"takes about {weights * (1 + spec.optimizer_states) / 1000:.1f} kB" in check.text


def test_a_disk_without_room_for_one_checkpoint_fails_and_for_all_is_noted(features, monkeypatch):
    epochs, spec = load_config("tiny.txt").TRAIN.epoch, MODELS.get("AttentionCluster")()
    network = paddle.nn.Linear(99, 1)  # 100 numbers, and two of Adam's for each
    for free, status in ((1199, "fails"), (1200, "note"), (2399, "note"), (2400, "ok")):
        monkeypatch.setattr(network_checks, "free_bytes", lambda folder, free=free: free)
        assert network_checks.check_room("checkpoints", 0, spec, epochs, network).status == status
