"""What the specs of models on frame features share: the sections of a config and their checks. Without Paddle.

A model adds keys of its own in sub-classes of ``FeatureModelSection`` and ``FeatureTrainSection``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from models.spec import (
    LENGTHS,
    OBSOLETE_KEYS,
    DataSection,
    InferSection,
    InputArray,
    ModelSection,
    ModelSpec,
    TrainSection,
    check_class_weights,
)
from tools.config.load import Config
from tools.config.schema import Schema, key
from tools.errors import ConfigError
from tools.runtime.text import count_of

FEATURE_RANGE = (-2.0, 2.01)  # of YouTube-8M's features, dequantised
LONGEST_VIDEO = 300  # frames; YouTube-8M has one a second of a video's first five minutes


@dataclass(frozen=True, kw_only=True)
class FeatureModelSection(ModelSection):
    """MODEL.

    A model's own section has ``feature_names`` and ``feature_dims`` too, the streams of a record and their widths.
    seg_num: frames that the model takes of a video; None for all of them.
    """

    seg_num: ClassVar[int | None] = None
    topk: int = key(20, minimum=1, meaning="predictions of a video that count for GAP and MAP")


@dataclass(frozen=True, kw_only=True)
class FeatureTrainSection(TrainSection):
    """TRAIN. sort_by_length: batches of videos of similar length, of models that take all frames."""

    sort_by_length: ClassVar[bool] = False


class FeatureSpec(ModelSpec):
    """A model on YouTube-8M's frame features, scored as in its challenge."""

    data = "features"
    metrics = "youtube8m"
    rate_rule = "square root"  # for the adaptive optimizers that all of these have
    # What a training step takes for each number of a video's features: the growth of the most memory held, per video
    # more in the batch, with Paddle 3.3.1 on a CPU and the model's own config. This is the most, of AttentionLSTM.
    bytes_per_value = 180

    def video_bytes(self, config) -> int:
        frames = config.MODEL.seg_num or LONGEST_VIDEO
        return self.bytes_per_value * frames * sum(config.MODEL.feature_dims)

    def inputs(self, config, section: str) -> tuple[InputArray, ...]:
        model = config.MODEL
        values = "features, dequantised: a stored byte of 0 to 255 stands for about -2 to 2"
        arrays = tuple(
            InputArray(name, (model.seg_num, width), "float32", *FEATURE_RANGE, values)
            for name, width in zip(model.feature_names, model.feature_dims, strict=True)
        )
        if model.seg_num:
            return arrays
        return InputArray(LENGTHS, (), "int64", 1, LONGEST_VIDEO, "frames of the video"), *arrays

    def describe_video(self, config, section: str, frames: int) -> str:
        return f"a video of {count_of(config.MODEL.seg_num or frames, 'frame')}"


def feature_schema(
    model: type, train: type = FeatureTrainSection, check: Callable[[Config], None] = lambda config: None
) -> Schema:
    """The schema of a model on features. model, train: its sections. check: as in Schema, of what is its own."""

    def check_all(config: Config) -> None:
        check_class_weights(config)
        check(config)

    sections = {"MODEL": model, "TRAIN": train, "VALID": DataSection, "TEST": DataSection, "INFER": InferSection}
    return Schema(sections, obsolete=OBSOLETE_KEYS, check=check_all)


def check_streams(config: Config, keys: tuple[str, ...]) -> None:
    """Each of these keys of MODEL holds one value a stream, feature_num in all."""
    model = config.MODEL
    for name in keys:
        count = len(getattr(model, name))
        if count != model.feature_num:
            raise ConfigError(
                f"{config.where('MODEL')}: {name} has {count} entries, but feature_num = {model.feature_num}"
            )
