"""Which engine runs a network: the one that was asked for, or the one that takes less time for so many videos."""

import pytest

import models  # noqa: F401
from tests.conftest import PROJECT
from tools.config.flags import EngineOptions
from tools.config.load import Override, load_config
from tools.errors import ConfigError
from tools.inference.load import choose_engine
from tools.registry import MODELS


def choose(name, num_records, *, engine="auto", precision="fp32", device="cpu", section="INFER", more=()):
    spec = MODELS.get(name)()
    overrides = [Override(section, key, value, "test") for key, value in more]
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", section], name, overrides)
    return choose_engine(name, spec, config, section, device, EngineOptions(engine, precision), num_records)


@pytest.mark.parametrize(
    ("name", "num_records", "options", "engine"),
    [
        ("TSN", 1, {}, "dygraph"),
        ("TSN", 19, {}, "dygraph"),
        ("TSN", 20, {}, "predictor"),  # of 3 frames of 224 px
        ("TSN", 30, {"more": [("target_size", 112), ("short_size", 128)]}, "dygraph"),
        ("TSN", 1, {"section": "TEST", "more": [("num_clips", 2), ("num_crops", 10)]}, "predictor"),
        ("TSN", None, {}, "predictor"),  # windows, however many
        ("TSN", 1, {"precision": "bf16"}, "predictor"),
        ("TSN", 1, {"engine": "predictor"}, "predictor"),
        ("TSN", 1, {"engine": "onnxruntime"}, "onnxruntime"),
        ("TSN", 10**6, {"engine": "dygraph"}, "dygraph"),
        ("TSN", 10**6, {"device": "gpu"}, "dygraph"),
        ("AttentionLSTM", 10**6, {}, "dygraph"),  # not exported
        ("AttentionLSTM", None, {}, "dygraph"),
    ],
)
def test_the_engine_is_the_one_that_was_asked_for_or_the_faster_one(name, num_records, options, engine):
    assert choose(name, num_records, **options) == engine


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("AttentionLSTM", {"engine": "predictor"}, "--engine predictor: AttentionLSTM is not exported"),
        ("TSN", {"engine": "predictor", "device": "gpu"}, "add --use-gpu false, or say dygraph"),
        ("TSN", {"engine": "onnxruntime", "device": "gpu"}, "--engine onnxruntime computes on the CPU"),
        ("AttentionCluster", {"engine": "onnxruntime"}, "--engine onnxruntime: AttentionCluster is not exported"),
        ("TSN", {"engine": "onnxruntime", "precision": "bf16"}, "here the engine is onnxruntime"),
        ("TSN", {"engine": "dygraph", "precision": "bf16"}, "here the engine is dygraph"),
        ("AttentionLSTM", {"precision": "bf16"}, "here the engine is dygraph"),
    ],
)
def test_what_does_not_go_together_is_told(name, options, text):
    with pytest.raises(ConfigError, match=text):
        choose(name, 1, **options)
