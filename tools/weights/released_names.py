"""The names of the classes that the released weights tell."""

from collections.abc import Callable

from tools.config.flags import PROJECT
from tools.weights.files import FLUID_FILE, FLUID_FOLDER, PICKLE, WeightFile
from tools.weights.published_files import require_unchanged
from tools.weights.released import KINETICS, RELEASED, YOUTUBE_8M
from tools.weights.vocabulary import vocabulary_path

KINETICS_NAMES = PROJECT / "dataset" / "kinetics" / "kinetics400_class_names.txt"
_RELEASED_KINDS = (FLUID_FOLDER, FLUID_FILE, PICKLE)
NUM_CLASSES = {KINETICS: 400, YOUTUBE_8M: 3862}


def find_released_names(
    model_name: str,
    weights: WeightFile,
    num_classes: int,
    *,
    by_names_of_2019: bool,
    weights_dir: str | None,
    load: Callable[[str, int], list[str]],
) -> tuple[list[str] | None, str]:
    """Names by class id for weights that nothing else names the classes of, and a line on whose, or how to get some.

    They are those of the data that the model's weights of 2019 and 2020 were trained on, for weights in the form of
    these. None for all others, such as a checkpoint of this project, which would hold the names that it knows.
    model_name: as published. by_names_of_2019: whether the weights' names are those. weights_dir: as ``find_released``
    takes it. load: reads a file of names, as (path, num_classes). Raises DataError for a file that cannot be read.
    """
    data = next((item.data for item in RELEASED if item.name == model_name), None)
    how = "--class-names FILE takes some"
    if data and num_classes == NUM_CLASSES[data] and by_names_of_2019 and weights.kind in _RELEASED_KINDS:
        path = KINETICS_NAMES if data == KINETICS else vocabulary_path(weights_dir)
        if path.is_file():
            require_unchanged(path)
            return load(str(path), num_classes), (
                f"class names: those of {data}, as {weights.path} has the form of the released weights, which tell its "
                f"{num_classes} classes; --class-names FILE names others"
            )
        how = f"python -m tools.download vocabulary brings those of {data}, --class-names FILE takes any"
    return None, f"classes have ids only, as no names are known; {how}"
