"""Which weights a run takes: what its flags and its config name, or else the released ones, fetched once."""

import logging
from pathlib import Path

from tools.config.load import Config
from tools.errors import CheckpointError, ConfigError, DownloadError
from tools.weights.checkpoint_files import AVERAGED
from tools.weights.files import WeightFile, load_weights
from tools.weights.released import RESNET50, find_released

log = logging.getLogger(__name__)


def find_weights(path: str | None, model_name: str, *, weights_dir: str | None, offline: bool) -> WeightFile:
    """What --weights names, or else the released weights of the model.

    weights_dir, offline: as ``find_released`` takes them.
    """
    if path:
        if (averaged := Path(path) / AVERAGED).is_file():
            log.info(f"{path} holds averaged weights too, which --weights {averaged} takes")
        return load_weights(path, model_name)
    found = find_released(model_name, weights_dir=weights_dir, offline=offline)
    log.info(f"released weights: {found}")
    return load_weights(str(found), model_name)


def choose_pretrain(
    pretrain: str | None, config: Config, *, weights_dir: str | None, offline: bool
) -> tuple[str, str] | None:
    """(where from, path) of the weights that a training begins with; None for random ones.

    pretrain: --pretrain, which comes before the config's TRAIN.pretrain_base. A base that is called as the released
    ResNet-50 is fetched where it does not exist. weights_dir, offline: as ``find_released`` takes them.
    Raises CheckpointError for another that does not exist, ConfigError for one that the network is too deep for, and
    DownloadError.
    """
    if pretrain:
        return "--pretrain", pretrain
    base = config.TRAIN.pretrain_base
    if not base:
        return None
    where = f"{config.where('TRAIN')}: pretrain_base = {base}"
    if Path(base).name == RESNET50 and config.MODEL.num_layers != 50:
        raise ConfigError(
            f"{where} has 50 layers, and MODEL.num_layers is {config.MODEL.num_layers}; --pretrain takes weights of "
            "that depth, and --set TRAIN.pretrain_base=None starts from random weights"
        )
    try:
        path = find_base(base, weights_dir=weights_dir, offline=offline)
    except DownloadError as error:
        advice = "--set TRAIN.pretrain_base=None starts from random weights, --pretrain PATH from others"
        raise DownloadError(f"{where}: {error}; {advice}") from None
    if not Path(path).exists():
        raise CheckpointError(f"{where} does not exist; a path to weights, {RESNET50}, or None for random weights")
    return "TRAIN.pretrain_base", path


def is_released_base(path: str) -> bool:
    """Whether a path is none and is called as the released ResNet-50, which is meant then."""
    return Path(path).name == RESNET50 and not Path(path).exists()


def find_base(path: str, *, weights_dir: str | None, offline: bool) -> str:
    """The released ResNet-50 where its name is given, fetched once, or else the path as it is. Raises DownloadError."""
    if is_released_base(path):
        return str(find_released(RESNET50, weights_dir=weights_dir, offline=offline))
    return path
