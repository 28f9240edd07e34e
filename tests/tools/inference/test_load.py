"""Which engine runs a network: the one that was asked for, or the one that takes less time for so many videos."""

from pathlib import Path

import pytest

import models  # noqa: F401
from tests.conftest import PROJECT
from tools.config.flags import EngineOptions
from tools.config.load import Override, load_config
from tools.errors import ConfigError
from tools.inference import load
from tools.inference.load import choose_engine
from tools.registry import MODELS
from tools.weights.networks import published_networks


@pytest.fixture
def processor(monkeypatch):
    """A function that says what Paddle's wheel and the processor have."""

    def have(*, onednn, amx, vectors="AVX2"):
        monkeypatch.setattr(load, "name_vectors", lambda: vectors)
        monkeypatch.setattr(load, "find_onednn", lambda: Path("libdnnl.so.3") if onednn else None)
        monkeypatch.setattr(load, "has_amx", lambda: amx)

    have(onednn=True, amx=False)
    return have


def choose(name, num_records, *, engine="auto", precision="fp32", device="cpu", section="INFER", more=()):
    spec = MODELS.get(name)()
    overrides = [Override(section, key, value, "test") for key, value in more]
    config = load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", section], name, overrides)
    return choose_engine(name, spec, config, section, device, EngineOptions(engine, precision), num_records)


@pytest.mark.parametrize(
    ("name", "num_records", "options", "engine"),
    [
        ("TSN", 1, {}, "onednn"),
        ("STNET", None, {}, "onednn"),  # windows, however many
        ("TSN", 1, {"precision": "bf16"}, "predictor"),  # which simulates it
        ("TSN", 1, {"engine": "predictor"}, "predictor"),
        ("TSN", 1, {"engine": "onnxruntime"}, "onnxruntime"),
        ("TSN", 10**6, {"engine": "dygraph"}, "dygraph"),
        ("TSN", 10**6, {"device": "gpu"}, "dygraph"),
        ("AttentionLSTM", 10**6, {}, "dygraph"),  # not exported
        ("AttentionLSTM", None, {}, "dygraph"),
    ],
)
def test_the_engine_is_the_one_that_was_asked_for_or_the_faster_one(name, num_records, options, engine, processor):
    assert choose(name, num_records, **options) == engine


@pytest.mark.parametrize(
    ("num_records", "options", "engine"),
    [
        (1, {}, "dygraph"),
        (19, {}, "dygraph"),
        (20, {}, "predictor"),  # of 3 frames of 224 px
        (30, {"more": [("target_size", 112), ("short_size", 128)]}, "dygraph"),
        (1, {"section": "TEST", "more": [("num_clips", 2), ("num_crops", 10)]}, "predictor"),
        (None, {}, "predictor"),
        (1, {"precision": "bf16"}, "predictor"),
    ],
)
def test_without_onednn_the_predictor_runs_what_it_pays_for(num_records, options, engine, processor):
    processor(onednn=False, amx=True)
    assert choose("TSN", num_records, **options) == engine


def test_a_processor_without_avx2_is_left_to_the_predictor(processor):
    processor(onednn=True, amx=False, vectors=load.WITHOUT_AVX2)
    assert choose("TSN", None) == "predictor"


def test_a_processor_with_amx_computes_bf16_by_onednn(processor):
    processor(onednn=True, amx=True)
    assert choose("TSN", 1, precision="bf16") == "onednn"


def test_a_network_has_what_its_spec_says_of_onednn():
    for name, network in published_networks():
        assert MODELS.get(name).infers_by_onednn == hasattr(network, "infer_by_onednn")


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
        ("AttentionLSTM", {"engine": "onednn"}, "--engine onednn: AttentionLSTM has no ResNet that oneDNN computes"),
        ("TSN", {"engine": "onednn", "device": "gpu"}, "--engine onednn computes on the CPU"),
        ("TSN", {"engine": "onednn", "precision": "bf16"}, "needs a processor with amx_bf16; say predictor"),
    ],
)
def test_what_does_not_go_together_is_told(name, options, text, processor):
    with pytest.raises(ConfigError, match=text):
        choose(name, 1, **options)
