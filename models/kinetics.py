"""What the recipes of the models on clips share: their keys' checks, optimizer and schedule. Without Paddle."""

from collections.abc import Callable

from tools.config import Config, Key
from tools.errors import ConfigError

NUM_LAYERS = (50, 101, 152)  # of a ResNet
NUM_CROPS = (1, 3, 10)

MODEL_KEYS = {"num_layers": Key(int)}
TRAIN_KEYS = {
    "learning_rate_decay": Key(float, minimum=0),
    "l2_weight_decay": Key(float, minimum=0),
    "momentum": Key(float, minimum=0, below=1),
    "total_videos": Key(int, minimum=1, words=("auto",)),
    # Weights of a ResNet to begin with, fetched where they have the name of the released ones; None: random ones.
    "pretrain_base": Key(str, default="ResNet50_pretrained", optional=True),
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


def build_momentum(config: Config, network):
    """Momentum with L2 decay of everything that is trained, batch normalisation included."""
    import paddle

    train = config.TRAIN
    parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    return paddle.optimizer.Momentum(
        train.learning_rate, train.momentum, parameters, weight_decay=train.l2_weight_decay
    )


def build_thirds(config: Config, steps_per_epoch: int) -> Callable[[int], float]:
    """The rate falls by learning_rate_decay after a third and after two thirds of the epochs.

    2019: an epoch is int(total_videos / batch_size + 1) steps of the config, whatever the list holds.
    With total_videos = "auto" it is steps_per_epoch.
    """
    train = config.TRAIN
    if train.total_videos != "auto":
        steps_per_epoch = train.total_videos // train.batch_size + 1
    steps = train.epoch * steps_per_epoch
    return lambda step: train.learning_rate * train.learning_rate_decay ** min(3 * step // steps, 2)


def compare_total_videos(config: Config, num_videos: int) -> list[str]:
    """A line of warning if total_videos is more than 10 % away from the length of the training list."""
    total = config.TRAIN.total_videos
    if total == "auto" or abs(total - num_videos) <= 0.1 * num_videos:
        return []
    effect = "late or never" if total > num_videos else "early"
    return [
        f"{config.where('TRAIN')}: total_videos = {total}, but the list holds {num_videos} videos; the learning "
        f'rate falls by total_videos, so too {effect}; total_videos = "auto" counts the list'
    ]


def clip_shape(config: Config, section: str) -> tuple[int, int, int, int]:
    """(S, 3 * seglen, H, W) of a clip that a section's reader makes."""
    part = getattr(config, section)
    seg_num = getattr(part, "seg_num", None) or config.MODEL.seg_num
    return seg_num, 3 * config.MODEL.seglen, part.target_size, part.target_size
