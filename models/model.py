"""What train.py, test.py and infer.py need of a model, and the config keys that models share.

A model is two files: ``recipe.py``, which needs no Paddle, says what a config may hold and how the
network and its optimizer are built from it; ``<model>.py`` is the network. A network is an
``nn.Layer`` with

- ``forward(*inputs)``: the reader's inputs -> logits (N, num_classes) float32;
- ``losses(logits, labels)``: (N,) float32, the loss of each video;
- ``loss_reduction``: ``"mean"`` or ``"sum"``, how training makes one number of a batch's losses;
- ``probs(logits)``: (N, num_classes) float32 in [0, 1];
- ``classifier``: the layer whose parameters change shape with num_classes.

A network with weights of 2019 has ``released_names``, and where they are needed ``released_layouts`` and
``released_buffers``: see ``tools.fluid_names``. One that can start from a trunk's weights has
``pretrained_part`` and ``first_convolution``: see ``tools.filling``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from tools.config import Config, Key, Schema
from tools.errors import ConfigError

DEAD_KEYS = frozenset({"dataset", "bone_network", "bone_nework", "pretrain_base", "num_gpus", "buf_size"})


class Recipe(ABC):
    """How one model goes from a checked config to a network in training. Holds no state."""

    schema: Schema
    default_config: str  # path in the project
    optimizer_states: int  # numbers that the optimizer keeps for each one it trains

    @abstractmethod
    def build_network(self, config):
        """The network, initialised from Paddle's global generator (seed it first)."""

    @abstractmethod
    def build_optimizer(self, config, network):
        """The optimizer. Its rate is set before every step, from the schedule."""

    @abstractmethod
    def build_schedule(self, config, steps_per_epoch: int) -> Callable[[int], float]:
        """The learning rate as a function of the number of steps taken since training began."""

    def input_shape(self, config, section: str) -> tuple[int, ...] | None:
        """The shape of one record's only input, for exporting the network; None where it is not exported."""
        return None

    def notices(self, config, num_videos: int) -> list[str]:
        """Lines worth logging once it is known how many videos the training list holds."""
        return []


def youtube8m_sections(model: dict[str, Key], train: dict[str, Key]) -> dict[str, dict[str, Key]]:
    """Sections of a model on YouTube-8M features: its own keys and those all of them have."""
    data = {
        "batch_size": Key(int, minimum=1),
        "filelist": Key(str),
        "num_reader_threads": Key(int, default=2, minimum=0),
    }
    return {
        "MODEL": {
            **model,
            "num_classes": Key(int, minimum=1),
            "topk": Key(int, default=20, minimum=1),
        },
        "TRAIN": {
            "epoch": Key(int, minimum=1),
            "learning_rate": Key(float, minimum=0),
            **train,
            **data,
            "use_gpu": Key(bool, default=True),
            "seed": Key(int, default=0, minimum=0, below=2**63),
        },
        "VALID": data,
        "TEST": data,
        "INFER": {**data, "class_names": Key(str, default=None)},
    }


def kinetics_sections(model: dict[str, Key], train: dict[str, Key]) -> dict[str, dict[str, Key]]:
    """Sections of a model on clips of Kinetics' videos: its own keys and those all of them have."""
    data = {
        "short_size": Key(int, minimum=1),
        "target_size": Key(int, minimum=1),
        "num_reader_threads": Key(int, default=2, minimum=0),
        "batch_size": Key(int, minimum=1),
        "filelist": Key(str),
        "keep_aspect": Key(bool, default=False),
        "fast_decode": Key(bool, default=False),
    }
    seg_num = {"seg_num": Key(int, default=None, minimum=1)}  # None: that of MODEL
    return {
        "MODEL": {
            "format": Key(str, default="pkl"),  # a hint; each line of a list shows what it is
            "num_classes": Key(int, minimum=1),
            "seg_num": Key(int, minimum=1),
            "seglen": Key(int, minimum=1),
            "image_mean": Key(list[float]),
            "image_std": Key(list[float]),
            **model,
        },
        "TRAIN": {
            "epoch": Key(int, minimum=1),
            "learning_rate": Key(float, minimum=0),
            **train,
            **data,
            "use_gpu": Key(bool, default=True),
            "seed": Key(int, default=0, minimum=0, below=2**63),
        },
        "VALID": data,
        "TEST": {
            **data,
            **seg_num,
            "num_clips": Key(int, default=1, minimum=1),
            "num_crops": Key(int, default=1),
        },
        "INFER": {**data, **seg_num, "class_names": Key(str, default=None)},
    }


def check_streams(config: Config, keys: tuple[str, ...]) -> None:
    """Each of these keys of MODEL holds one value a stream, feature_num in all."""
    model = config.MODEL
    for key in keys:
        count = len(getattr(model, key))
        if count != model.feature_num:
            raise ConfigError(
                f"{config.where('MODEL')}: {key} has {count} entries, but feature_num = {model.feature_num}"
            )
