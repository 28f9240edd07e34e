"""ONNX Runtime answers as Paddle does; what is missing, or cannot be converted, is one error."""

import sys

import numpy as np
import paddle
import pytest

from tests.models.clip_networks import make_clips, normalize, score
from tests.tools.inference.kept_programs import Small, require_same_answers
from tools.errors import CheckpointError, PackageError
from tools.inference.onnx_engine import OnnxPredictor
from tools.inference.predictor import Predictor

CONVERTERS = {  # stand in for paddle2onnx -> what is told
    "raise ImportError(name='paddle2onnx')": (PackageError, "needs paddle2onnx, which is not installed: python -m pip"),
    "import os; os._exit(3)": (CheckpointError, r"could not be written \(the process of paddle2onnx was ended\)"),
    "def export(*_, **__): raise RuntimeError('no operator relu7')": (CheckpointError, r"\(no operator relu7\)"),
    "def export(*_, **__): pass": (CheckpointError, "could not be written .*model.onnx"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_a_converted_network_answers_as_in_paddle_and_is_kept(networks, name, programs, log_lines, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    network, x = networks[name], normalize(make_clips(name, videos=3))
    expected = network.probs(paddle.to_tensor(score(network, x))).numpy()
    converted = OnnxPredictor(network, x.shape[1:])
    for clips in (x, x[:1]):
        found = converted.probs(converted(paddle.to_tensor(clips))).numpy()
        np.testing.assert_allclose(found, expected[: len(clips)], atol=1e-5)
    assert [path.name.partition("-")[0] for path in programs.iterdir()] == [f"{name}_onnx"]
    monkeypatch.syspath_prepend(str(write_module(programs.parent, "raise ImportError")))
    OnnxPredictor(network, x.shape[1:])
    assert len(log_lines) == 1  # converted once


def test_programs_of_both_engines_are_kept_side_by_side(programs):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    network = Small()
    for _ in range(2):
        require_same_answers(network, Predictor(network, (300,), "fp32"))
        require_same_answers(network, OnnxPredictor(network, (300,)))
        assert len(list(programs.iterdir())) == 2


@pytest.mark.parametrize("code", CONVERTERS)
def test_what_keeps_a_network_from_being_converted_is_one_error(programs, code, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.syspath_prepend(str(write_module(programs.parent, code)))
    kind, text = CONVERTERS[code]
    with pytest.raises(kind, match=text) as error:
        OnnxPredictor(Small(), (300,))
    assert "\n" not in str(error.value)
    assert list(programs.iterdir()) == []


def test_without_onnx_runtime_its_package_is_named(programs, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackageError, match="--engine onnxruntime needs onnxruntime, which is not installed"):
        OnnxPredictor(Small(), (300,))


def write_module(folder, code):
    """A folder with a paddle2onnx of this code."""
    place = folder / "modules"
    place.mkdir()
    (place / "paddle2onnx.py").write_text(code)
    return place
