"""What train.py, test.py and infer.py need of a model.

A model is two files: ``spec.py``, which needs no Paddle, says what a config may hold and how the
network and its optimizer are built from it; ``<model>.py`` is the network. A network is an
``nn.Layer`` with

- ``forward(*inputs)``: the reader's inputs -> logits (N, num_classes) float32;
- ``losses(logits, labels)``: (N,) float32, the loss of each video;
- ``loss_reduction``: ``"mean"`` or ``"sum"``, how training makes one number of a batch's losses;
- ``probs(logits)``: (N, num_classes) float32 in [0, 1];
- ``classifier``: the layer whose parameters change shape with num_classes.

A network with weights of 2019 has ``released_names``, and where they are needed ``released_layouts`` and
``released_buffers``: see ``tools.weights.fluid_names``. One that can start from a trunk's weights has
``pretrained_part`` and ``first_convolution``: see ``tools.weights.loading``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from tools.config.load import Schema

OBSOLETE_KEYS = frozenset({"dataset", "bone_network", "bone_nework", "pretrain_base", "num_gpus", "buf_size"})


class ModelSpec(ABC):
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

    def gradient_clip(self, config) -> float:
        """The largest norm of all gradients together that the config asks for; 0 for any."""
        return 0.0

    def input_shape(self, config, section: str) -> tuple[int, ...] | None:
        """The shape of one record's only input, for exporting the network; None where it is not exported."""
        return None

    def notices(self, config, num_videos: int) -> list[str]:
        """Lines worth logging once it is known how many videos the training list holds."""
        return []


def compare_length(config, key: str, value: int, num_videos: int) -> list[str]:
    """A line of warning if a key of TRAIN is more than 10 % away from the training list's length it stands for."""
    if abs(value - num_videos) <= 0.1 * num_videos:
        return []
    effect = "late or never" if value > num_videos else "early"
    return [
        f"{config.where('TRAIN')}: {key} = {value}, but the list holds {num_videos} videos; the learning rate falls by "
        f"{key}, so too {effect}"
    ]
