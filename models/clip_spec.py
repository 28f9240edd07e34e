"""The spec that the models on clips share: their keys and checks, optimizer and schedule. Without Paddle."""

from abc import abstractmethod
from collections.abc import Callable

from models.spec import OBSOLETE_KEYS, ModelSpec, compare_length
from tools.config.load import Config, Key, Schema
from tools.errors import ConfigError

NUM_LAYERS = (50, 101, 152)  # of a ResNet
NUM_CROPS = (1, 3, 10)

_DATA = {
    "short_size": Key(int, minimum=1),
    "target_size": Key(int, minimum=1),
    "num_reader_threads": Key(int, default=2, minimum=0),
    "batch_size": Key(int, minimum=1),
    "filelist": Key(str),
    "keep_aspect": Key(bool, default=False),
    "fast_decode": Key(bool, default=False),
}
_SEG_NUM = {"seg_num": Key(int, default=None, minimum=1)}  # None: that of MODEL
SECTIONS = {
    "MODEL": {
        "format": Key(str, default="pkl"),  # a hint; each line of a list shows what it is
        "num_classes": Key(int, minimum=1),
        "seg_num": Key(int, minimum=1),
        "seglen": Key(int, minimum=1),
        "image_mean": Key(list[float]),
        "image_std": Key(list[float]),
        "num_layers": Key(int),
    },
    "TRAIN": {
        "epoch": Key(int, minimum=1),
        "learning_rate": Key(float, minimum=0),
        "learning_rate_decay": Key(float, minimum=0),
        "l2_weight_decay": Key(float, minimum=0),
        "momentum": Key(float, minimum=0, below=1),
        "total_videos": Key(int, minimum=1, words=("auto",)),
        # Weights of a ResNet to begin with, fetched where they have the name of the released ones; None: random ones.
        "pretrain_base": Key(str, default="ResNet50_pretrained", optional=True),
        **_DATA,
        "use_gpu": Key(bool, default=True),
        "seed": Key(int, default=0, minimum=0, below=2**63),
    },
    "VALID": _DATA,
    "TEST": {**_DATA, **_SEG_NUM, "num_clips": Key(int, default=1, minimum=1), "num_crops": Key(int, default=1)},
    "INFER": {**_DATA, **_SEG_NUM, "class_names": Key(str, default=None)},
}


def check_clips(config: Config) -> None:
    """The trunk exists, each colour has its mean and deviation, crops fit their frames."""
    if "MODEL" in config:
        model, where = config.MODEL, config.where("MODEL")
        _check_choice(where, "num_layers", model.num_layers, NUM_LAYERS)
        for key in ("image_mean", "image_std"):
            values = getattr(model, key)
            if len(values) != 3:
                raise ConfigError(f"{where}: {key} = {values} should be 3 numbers, for red, green and blue")
        if min(model.image_std) <= 0:
            raise ConfigError(f"{where}: image_std = {model.image_std} should be above 0; pixels are divided by it")
    for name in ("TRAIN", "VALID", "TEST", "INFER"):
        if name not in config:
            continue
        section, where = getattr(config, name), config.where(name)
        if section.target_size > section.short_size:
            raise ConfigError(
                f"{where}: target_size = {section.target_size} should be at most short_size = {section.short_size}; "
                "frames are scaled to short_size and cropped to target_size"
            )
    if "TEST" in config:
        _check_choice(config.where("TEST"), "num_crops", config.TEST.num_crops, NUM_CROPS)


def _check_choice(where: str, key: str, value: int, choices: tuple[int, ...]) -> None:
    if value not in choices:
        *others, last = choices
        raise ConfigError(f"{where}: {key} = {value} should be {', '.join(map(str, others))} or {last}")


class ClipSpec(ModelSpec):
    """Momentum with L2 decay of everything; the rate falls twice, after equal parts of the epochs."""

    optimizer_states = 1
    schema = Schema(sections=SECTIONS, obsolete=OBSOLETE_KEYS, check=check_clips)

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
        part = getattr(config, section)
        seg_num = getattr(part, "seg_num", None) or config.MODEL.seg_num
        return seg_num, 3 * config.MODEL.seglen, part.target_size, part.target_size

    def notices(self, config, num_videos: int) -> list[str]:
        total = config.TRAIN.total_videos
        if total == "auto":
            return []
        found = compare_length(config, "total_videos", total, num_videos)
        return [f'{notice}; total_videos = "auto" counts the list' for notice in found]
