"""The inference engine answers as Paddle does."""

import os

import numpy as np
import paddle
import pytest

from tests.models.clip_networks import make_clips, normalize, score
from tools.inference.export import PADDLE, exported_program
from tools.inference.predictor import Predictor


@pytest.mark.parametrize("name", [pytest.param("TSN", marks=pytest.mark.slow), "STNET"])
def test_an_exported_network_answers_alike_in_paddle_and_in_the_inference_engine(
    networks, name, tmp_path, monkeypatch, log_lines
):
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(tmp_path))
    network, x = networks[name], normalize(make_clips(name, videos=3))
    expected = score(network, x)
    predictor = Predictor(network, x.shape[1:], "fp32")
    found = predictor.probs(predictor(paddle.to_tensor(x))).numpy()
    expected_probs = network.probs(paddle.to_tensor(expected)).numpy()
    np.testing.assert_allclose(found, expected_probs, atol=1e-4)
    assert (found.argmax(axis=1) == expected_probs.argmax(axis=1)).all()
    (kept,) = tmp_path.iterdir()
    os.utime(kept, (0, 0))
    with exported_program(network, x.shape[1:], PADDLE) as program:
        assert program == kept
    assert len(log_lines) == 1  # exported once, and kept
    assert program.stat().st_mtime > 0
    loaded = paddle.jit.load(str(program / "model"))
    loaded.eval()
    np.testing.assert_allclose(score(loaded, x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(score(loaded, x[:1]), expected[:1], rtol=1e-4, atol=1e-5)
