"""Registries, and that what is registered fits together."""

import pytest

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from tests.conftest import PROJECT
from tools.errors import ConfigError
from tools.registry import METRICS, MODELS, READERS, Registry


def test_every_model_has_a_reader_metrics_scripts_a_page_and_a_config():
    assert MODELS.names()
    for name in MODELS.names():
        assert READERS.get(MODELS.get(name).reader)
        assert METRICS.get(MODELS.get(name).metrics)
        config = PROJECT / MODELS.get(name).default_config
        assert config.is_file()
        assert (PROJECT / "configs" / "demo" / config.name).is_file()
        assert (PROJECT / "models" / config.stem / "README.md").is_file()
        for kind in ("train", "test", "infer"):
            assert (PROJECT / "scripts" / kind / f"{kind}_{name}.sh").is_file()


def test_every_reader_and_all_metrics_are_used_by_a_model():
    specs = [MODELS.get(name) for name in MODELS.names()]
    assert set(READERS.names()) == {spec.reader for spec in specs}
    assert set(METRICS.names()) == {spec.metrics for spec in specs}


def test_names_ignore_case_and_keep_their_published_spelling():
    assert MODELS.get("attentioncluster") is MODELS.get("ATTENTIONCLUSTER")
    assert MODELS.canonical_name("aTTentioncluster") == "AttentionCluster"


def test_an_unknown_name_lists_the_known_ones():
    registry = Registry("model")
    registry.register("TSN", "STNET")(object)
    with pytest.raises(ConfigError) as error:
        registry.get("TSM")
    assert str(error.value) == "no model named 'TSM'; known: STNET, TSN"


def test_a_name_is_registered_once():
    registry = Registry("model")
    registry.register("TSN")(object)
    with pytest.raises(ValueError, match="model 'tsn' is already registered"):
        registry.register("tsn")(object)
