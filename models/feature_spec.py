"""What the specs of models on frame features share: the sections of a config and their checks. Without Paddle.

A model adds keys of its own in sub-classes of ``FeatureModelSection`` and ``FeatureTrainSection``.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.spec import OBSOLETE_KEYS, ModelSpec
from tools.config.load import Config
from tools.config.schema import Schema, key
from tools.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FeatureModelSection:
    """MODEL. topk: how many predictions of a video count for GAP and MAP.

    A model's own section has ``feature_names`` and ``feature_dims`` too, the streams of a record and their widths.
    seg_num: frames that the model takes of a video; None for all of them.
    """

    seg_num: ClassVar[int | None] = None
    num_classes: int = key(minimum=1)
    topk: int = key(20, minimum=1)


@dataclass(frozen=True, kw_only=True)
class FeatureSection:
    """VALID and TEST, and the beginning of the others."""

    class_names: ClassVar[str | None] = None
    batch_size: int = key(minimum=1)
    filelist: str = key()
    num_reader_threads: int = key(2, minimum=0)


@dataclass(frozen=True, kw_only=True)
class FeatureTrainSection(FeatureSection):
    """TRAIN. pretrain_base: of models with a backbone, which these are not."""

    pretrain_base: ClassVar[str | None] = None
    sort_by_length: ClassVar[bool] = False
    epoch: int = key(minimum=1)
    learning_rate: float = key(minimum=0)
    use_gpu: bool = key(True)
    seed: int = key(0, minimum=0, below=2**63)


@dataclass(frozen=True, kw_only=True)
class FeatureInferSection(FeatureSection):
    """INFER. class_names: a file of the names by class id."""

    class_names: str | None = key(None)


class FeatureSpec(ModelSpec):
    """A model on YouTube-8M's frame features, scored as in its challenge."""

    data = "features"
    metrics = "youtube8m"


def feature_schema(model: type, train: type = FeatureTrainSection, **options) -> Schema:
    """The schema of a model on features. model, train: its sections. options: more fields of Schema."""
    sections = {"MODEL": model, "TRAIN": train, "VALID": FeatureSection, "TEST": FeatureSection}
    return Schema(sections | {"INFER": FeatureInferSection}, obsolete=OBSOLETE_KEYS, **options)


def check_streams(config: Config, keys: tuple[str, ...]) -> None:
    """Each of these keys of MODEL holds one value a stream, feature_num in all."""
    model = config.MODEL
    for name in keys:
        count = len(getattr(model, name))
        if count != model.feature_num:
            raise ConfigError(
                f"{config.where('MODEL')}: {name} has {count} entries, but feature_num = {model.feature_num}"
            )
