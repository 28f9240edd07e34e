"""The networks of PyTorch that stand beside ours; without PyTorch there is nothing to test."""

import math
import re

import numpy as np
import paddle
import pytest

from tests.conftest import PROJECT
from tools.benchmark import peers
from tools.registry import MODELS

pytest.importorskip("torch", reason="PyTorch, of requirements-benchmark.txt, is not installed")

CONFIGS = {
    "AttentionCluster": "attention_cluster.txt",
    "AttentionLSTM": "attention_lstm.txt",
    "NEXTVLAD": "nextvlad.txt",
}
RGB_ALONE = {  # key -> its value, None for no such key
    "feature_num": "1",
    "feature_names": "['rgb']",
    "feature_dims": "[1024]",
    "cluster_nums": "[8]",
    "audio_feature_size": None,
}


def write_config(name, folder, *, audio):
    """The demo config of a model, with both streams or rgb alone."""
    text = (PROJECT / "configs/demo" / CONFIGS[name]).read_text()
    for key, value in RGB_ALONE.items() if not audio else ():
        line = "" if value is None else f"{key} = {value}\n"
        text = re.sub(rf"^{key} = .*\n", line, text, flags=re.MULTILINE)
    (folder / "config.txt").write_text(text)
    return str(folder / "config.txt")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("audio", [True, False])
def test_a_network_of_pytorch_has_our_streams_and_answers(name, audio, tmp_path):
    job = peers.make_job(name, write_config(name, tmp_path, audio=audio), 3, 1, tmp_path)
    assert [*job.config.MODEL.feature_dims] == [1024, 128][: 1 + audio]
    paddle.seed(0)
    ours = MODELS.get(name)().build_network(job.config)
    ours.eval()
    peers.save_weights(job, ours)
    batch, theirs = job.make_batch(3), peers.build_torch(job)
    with paddle.no_grad():
        probs = ours.probs(ours(*map(paddle.to_tensor, batch.inputs))).numpy()
    assert np.abs(peers.run_torch(theirs, batch) - probs).max() < 1e-3 * np.ptp(probs)
    assert math.isfinite(peers.make_torch_training(job, theirs.train())())


def test_multiply_adds_are_counted_by_hand_in_a_network_on_rgb_alone(tmp_path):
    job = peers.make_job("NEXTVLAD", write_config("NEXTVLAD", tmp_path, audio=False), 3, 1, tmp_path)
    peers.save_weights(job, MODELS.get("NEXTVLAD")().build_network(job.config))
    _, counted = peers.open_count(job)
    frames = np.mean(job.make_batch(3).inputs[0])
    per_frame = 1024 * 2048 + 2048 * 8 + 2048 * 64 + 8 * 256 * 8  # expansion, attention, clusters, sums
    of_video = 8 * 256 * 256 + 256 * 32 * 2 + 256 * 20  # hidden layer, gate, classifier
    assert counted == pytest.approx(frames * per_frame + of_video, rel=1e-9)
