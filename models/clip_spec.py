"""What the specs of models on clips share: sections of a config and their checks, optimizer, schedule. Without Paddle.

``ClipSpec`` is for any model on clips, ``ResNetClipSpec`` for those with a ResNet as their backbone.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from models.spec import (
    OBSOLETE_KEYS,
    Choice,
    DataSection,
    InferSection,
    InputArray,
    ModelSection,
    ModelSpec,
    TrainSection,
    check_class_weights,
    compare_length,
)
from tools.config.load import Config
from tools.config.schema import Schema, key
from tools.errors import ConfigError
from tools.runtime.text import count_of

NUM_LAYERS = (50, 101, 152)  # of a ResNet
NUM_CROPS = (1, 3, 10)
# What a training step takes for each pixel of each segment. Measured with Paddle 3.3.1 on a CPU at 224 x 224 as the
# growth of the most memory held, per video more in the batch: TSN of 3 segments 240 to 267 MB (1600 to 1770 bytes),
# STNET of 7 segments 509 to 620 MB (1450 to 1770). Nearly all of it is what the layers of ResNet-50 keep for gradients.
BYTES_PER_PIXEL = 1800
_SEG_NUM = "segments here; None: as many as in MODEL"


@dataclass(frozen=True, kw_only=True)
class ClipModelSection(ModelSection):
    """MODEL."""

    format: str = key("pkl", meaning="without effect: file types are detected from content")
    seg_num: int = key(minimum=1, meaning="equal segments that a video is cut into")
    seglen: int = key(minimum=1, meaning="neighbouring frames taken from each segment")
    image_mean: list[float] = key(meaning="mean of red, green and blue: pixels become (x / 255 - mean) / std")
    image_std: list[float] = key(meaning="deviation of red, green and blue")


@dataclass(frozen=True, kw_only=True)
class ResNetModelSection(ClipModelSection):
    """MODEL of a network with a ResNet of num_layers."""

    num_layers: int = key(meaning="layers of the ResNet: 50, 101 or 152")


@dataclass(frozen=True, kw_only=True)
class ClipSection(DataSection):
    """VALID, and the beginning of the others.

    seg_num: None for that of MODEL. num_clips, num_crops: views of a video, whose probabilities are averaged.
    """

    seg_num: ClassVar[int | None] = None
    num_clips: ClassVar[int] = 1
    num_crops: ClassVar[int] = 1
    short_size: int = key(minimum=1, meaning="pixels of the short side that frames are scaled to")
    target_size: int = key(minimum=1, meaning="pixels of the square that is cropped of them")
    keep_aspect: bool = key(False, meaning="scale without distorting; False makes every long side 4/3 of the short one")
    fast_decode: bool = key(False, meaning="read JPEG at a smaller size where that is enough: other pixels, faster")


@dataclass(frozen=True, kw_only=True)
class ClipTrainSection(TrainSection, ClipSection):
    """TRAIN."""

    learning_rate_decay: float = key(
        minimum=0,
        meaning="the factor by which the learning rate falls, after a third and after two thirds of the epochs",
    )
    l2_weight_decay: float = key(minimum=0, meaning="L2 decay of everything that is trained")
    momentum: float = key(minimum=0, below=1, meaning="momentum")
    total_videos: int | Literal["auto"] = key(
        minimum=1, meaning="videos that an epoch of the schedule counts; 'auto': those of the list"
    )


@dataclass(frozen=True, kw_only=True)
class ResNetTrainSection(ClipTrainSection):
    """TRAIN."""

    pretrain_base: str | None = key(
        "ResNet50_pretrained",
        meaning="weights of a ResNet to begin with, fetched where they are called as the released; None: random ones",
    )


@dataclass(frozen=True, kw_only=True)
class ClipTestSection(ClipSection):
    """TEST."""

    seg_num: int | None = key(None, minimum=1, meaning=_SEG_NUM)
    num_clips: int = key(1, minimum=1, meaning="clips of a video, whose probabilities are averaged")
    num_crops: int = key(
        1, meaning="crops of each clip, averaged too: 1, 3 along the long side, or 10 with mirror images"
    )


@dataclass(frozen=True, kw_only=True)
class ClipInferSection(InferSection, ClipSection):
    """INFER."""

    seg_num: int | None = key(None, minimum=1, meaning=_SEG_NUM)


def clip_schema(model: type = ClipModelSection, train: type = ClipTrainSection) -> Schema:
    """The schema of a model on clips. model, train: its sections."""
    sections = {
        "MODEL": model,
        "TRAIN": train,
        "VALID": ClipSection,
        "TEST": ClipTestSection,
        "INFER": ClipInferSection,
    }
    return Schema(sections, obsolete=OBSOLETE_KEYS, check=check_clips)


def check_clips(config: Config) -> None:
    """The backbone exists, each colour has its mean and deviation, crops fit their frames, classes their weights."""
    check_class_weights(config)
    if "MODEL" in config:
        model, where = config.MODEL, config.where("MODEL")
        if isinstance(model, ResNetModelSection):
            _check_choice(where, "num_layers", model.num_layers, NUM_LAYERS)
        for name in ("image_mean", "image_std"):
            values = getattr(model, name)
            if len(values) != 3:
                raise ConfigError(f"{where}: {name} = {values} should be 3 numbers, for red, green and blue")
        if min(model.image_std) <= 0:
            raise ConfigError(f"{where}: image_std = {model.image_std} should be above 0; pixels are divided by it")
    for name in ("TRAIN", "VALID", "TEST", "INFER"):
        if name not in config:
            continue
        section, where = config[name], config.where(name)
        if section.target_size > section.short_size:
            raise ConfigError(
                f"{where}: target_size = {section.target_size} should be at most short_size = {section.short_size}; "
                "frames are scaled to short_size and cropped to target_size"
            )
    if "TEST" in config:
        _check_choice(config.where("TEST"), "num_crops", config.TEST.num_crops, NUM_CROPS)


def _check_choice(where: str, name: str, value: int, choices: tuple[int, ...]) -> None:
    if value not in choices:
        *others, last = choices
        raise ConfigError(f"{where}: {name} = {value} should be {', '.join(map(str, others))} or {last}")


class ClipSpec(ModelSpec):
    """Momentum with L2 decay of everything; the rate falls twice, after equal parts of the epochs."""

    data = "clips"
    reader = "clips"
    metrics = "kinetics"
    optimizer_states = 1
    rate_rule = "linear"
    schema = clip_schema()

    def video_bytes(self, config) -> int:
        return BYTES_PER_PIXEL * config.MODEL.seg_num * config.TRAIN.target_size**2

    def build_optimizer(self, config, network):
        """Batch normalisation's parameters decay too."""
        import paddle

        train = config.TRAIN
        parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
        return paddle.optimizer.Momentum(
            train.learning_rate, train.momentum, parameters, weight_decay=train.l2_weight_decay
        )

    def build_schedule(self, config, steps_per_epoch: int) -> Callable[[int], float]:
        """The rate falls by learning_rate_decay after a third and after two thirds of the epochs.

        2019: an epoch is int(total_videos / batch_size + 1) steps of the config, whatever the list holds.
        With total_videos = "auto" it is steps_per_epoch.
        """
        train = config.TRAIN
        if train.total_videos != "auto":
            steps_per_epoch = train.total_videos // train.batch_size + 1
        steps = train.epoch * steps_per_epoch
        return lambda step: train.learning_rate * train.learning_rate_decay ** min(3 * step // steps, 2)

    def input_shape(self, config, section: str) -> tuple[int, int, int, int]:
        """(S, 3 * seglen, H, W) of a clip that a section's reader makes."""
        part = config[section]
        return part.seg_num or config.MODEL.seg_num, 3 * config.MODEL.seglen, part.target_size, part.target_size

    def inputs(self, config, section: str) -> tuple[InputArray, ...]:
        model = config.MODEL
        colours = list(zip(model.image_mean, model.image_std, strict=True))
        low, high = min(-mean / std for mean, std in colours), max((1 - mean) / std for mean, std in colours)
        values = "(x / 255 - mean) / std of the pixels' red, green and blue"
        return (InputArray("clips", self.input_shape(config, section), "float32", low, high, values),)

    def describe_video(self, config, section: str, frames: int) -> str:
        segments, _, height, width = self.input_shape(config, section)
        seglen = config.MODEL.seglen
        of_each = f"{count_of(seglen, 'frame')}{' each' * (segments > 1)}"
        return f"one view: {count_of(segments, 'segment')} of {of_each}, {width} x {height} pixels"

    def num_views(self, config, section: str) -> int:
        return config[section].num_clips * config[section].num_crops

    def fit_schedule(self, num_videos: int, epochs: int) -> dict[str, Choice]:
        return {
            "total_videos": Choice("auto", "the list is counted, so that the rate falls after each third of the epochs")
        }

    def notices(self, config, num_videos: int) -> list[str]:
        total = config.TRAIN.total_videos
        if total == "auto":
            return []
        found = compare_length(config, "total_videos", total, num_videos)
        return [f'{notice}; total_videos = "auto" counts the list' for notice in found]


class ResNetClipSpec(ClipSpec):
    """A network with a ResNet as its backbone, from which its training starts."""

    infers_by_onednn = True
    schema = clip_schema(ResNetModelSection, ResNetTrainSection)

    @abstractmethod
    def network_class(self) -> type:
        """The network's class, imported here as it needs Paddle."""

    def build_network(self, config):
        model = config.MODEL
        return self.network_class()(
            num_layers=model.num_layers,
            num_classes=model.num_classes,
            image_mean=model.image_mean,
            image_std=model.image_std,
            seglen=model.seglen,
        )
