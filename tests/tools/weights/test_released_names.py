"""Names for the classes that released weights tell."""

import numpy as np
import pytest

from datareader.class_names import load_class_names
from tests.conftest import PROJECT
from tests.tools.weights.golden_networks import RELEASED, default_network
from tools.weights.files import CHECKPOINT, FLUID_FOLDER, PICKLE, WeightFile
from tools.weights.loading import own_arrays
from tools.weights.released_names import KINETICS_NAMES, find_released_names

OF_KINETICS = (PROJECT / "dataset/kinetics/kinetics400_class_names.txt").read_text().splitlines()
FETCH = "python -m tools.download vocabulary brings those of YouTube-8M, --class-names FILE takes any"


def find(model, weights, num_classes, weights_dir="/nowhere", by_names_of_2019=True):
    options = {"weights_dir": str(weights_dir), "load": load_class_names}
    return find_released_names(model, weights, num_classes, by_names_of_2019=by_names_of_2019, **options)


def folder_of_2019(path="w"):
    return WeightFile(path, FLUID_FOLDER, {})


@pytest.mark.parametrize("model", ["TSN", "STNET"])
def test_released_weights_of_the_models_on_clips_name_the_classes_of_kinetics(model):
    assert find(model, folder_of_2019("weights/2019"), 400) == (
        OF_KINETICS,
        "class names: those of Kinetics-400, as weights/2019 has the form of the released weights, which tell its 400 "
        "classes; --class-names FILE names others",
    )


@pytest.mark.parametrize("model", ["AttentionCluster", "AttentionLSTM", "NEXTVLAD"])
def test_released_weights_of_the_models_on_features_need_the_vocabulary(model, tmp_path):
    assert find(model, folder_of_2019(), 3862, tmp_path) == (
        None,
        f"classes have ids only, as no names are known; {FETCH}",
    )
    rows = "".join(f"{class_id},Name {class_id}\n" for class_id in range(3862))
    (tmp_path / "vocabulary.csv").write_text(f"Index,Name\n{rows}")
    names, line = find(model, folder_of_2019(), 3862, tmp_path)
    assert names == [f"Name {class_id}" for class_id in range(3862)]
    assert line.startswith(
        "class names: those of YouTube-8M, as w has the form of the released weights, which tell its"
    )


@pytest.mark.parametrize(
    ("model", "weights", "num_classes"),
    [
        ("TSN", WeightFile("c", CHECKPOINT, {}), 400),
        ("TSN", folder_of_2019(), 101),
        ("NEXTVLAD", folder_of_2019(), 20),
        ("MINE", folder_of_2019(), 400),
    ],
    ids=["own checkpoint", "other classes", "few classes", "other model"],
)
def test_other_weights_have_ids_and_a_line_on_how_to_name_them(model, weights, num_classes):
    assert find(model, weights, num_classes) == (
        None,
        "classes have ids only, as no names are known; --class-names FILE takes some",
    )


@pytest.mark.parametrize("model", ["TSN", "AttentionCluster"])
def test_a_pdparams_counts_as_released_by_the_names_in_it(model):
    network = default_network(model)
    released = {name: np.zeros(shape, np.float32) for name, shape, *_ in RELEASED[model]["variables"]}
    own = {name: np.zeros(value.shape, np.float32) for name, value in network.state_dict().items()}
    assert own_arrays(network, WeightFile("w", PICKLE, released))[1].released
    assert not own_arrays(network, WeightFile("w", PICKLE, own))[1].released


def test_the_file_of_names_is_in_the_project():
    assert KINETICS_NAMES == PROJECT / "dataset/kinetics/kinetics400_class_names.txt"
