"""Settings beside the published ones, the defaults, and those of other runs."""

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT
from tools.config.compare import Difference, differing, list_differences, list_settings
from tools.config.load import Override, load_config
from tools.registry import MODELS

SPEC = MODELS.get("TSN")()


def load(*overrides, path=PROJECT / "configs/tsn.txt"):
    return load_config(str(path), SPEC.schema, [], "TSN", [Override(*one, "test") for one in overrides])


def test_settings_differ_from_the_published_config_or_else_from_the_default():
    published = load()
    config = load(("TRAIN", "batch_size", 8), ("TRAIN", "seed", 3))
    settings = {one.name: one for one in list_settings(config, published, SPEC.schema)}
    assert [name for name, one in settings.items() if one.differs] == ["TRAIN.batch_size", "TRAIN.seed"]
    assert (settings["TRAIN.batch_size"].value, settings["TRAIN.batch_size"].published) == ("8", "256")
    assert settings["TRAIN.batch_size"].default is None  # it has to be given
    assert settings["TRAIN.seed"].default == settings["TRAIN.seed"].published == "0"
    alone = {one.name: one.differs for one in list_settings(config, None, SPEC.schema)}
    assert alone["TRAIN.seed"]
    assert not alone["TRAIN.batch_size"]


def test_every_setting_of_a_config_is_listed_once():
    config = load()
    names = [one.name for one in list_settings(config, config, SPEC.schema)]
    assert len(names) == len(set(names)) == config.text().count(" = ") - 1  # all but the model's name
    assert not any(one.differs for one in list_settings(config, config, SPEC.schema))


def test_of_several_runs_only_what_is_not_the_same_is_named():
    runs = [{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "c": "4"}]
    assert differing(runs) == {"b": ["2", "3", None], "c": [None, None, "4"]}


def test_differences_are_of_names_that_both_have():
    found = list_differences({"a": 1, "b": [2], "new": 3}, {"a": 1.0, "b": [2, 2], "gone": 4})
    assert found == [Difference("b", [2], [2, 2])]
