"""What every model's config holds, whatever the model."""

import pytest

import models  # noqa: F401  (registers the specs)
from models.spec import DataSection, InferSection, ModelSection, TrainSection
from tools.registry import MODELS

SECTIONS = {
    "MODEL": ModelSection,
    "TRAIN": TrainSection,
    "VALID": DataSection,
    "TEST": DataSection,
    "INFER": InferSection,
}


@pytest.mark.parametrize("name", MODELS.names())
def test_every_section_begins_with_the_keys_that_all_models_have(name):
    sections = MODELS.get(name).schema.sections
    assert sections.keys() == SECTIONS.keys()
    for title, section in sections.items():
        assert issubclass(section, SECTIONS[title])
