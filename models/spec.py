"""What train.py, test.py and infer.py need of a model: the written contract.

A model is two files. ``spec.py``, which needs no Paddle, says what a config may hold, which data the model reads, and
how the network and its optimizer are built; ``<model>.py`` is the network. ``@MODELS.register("Name")`` makes the spec
known, and an import in ``models/__init__.py`` runs that line.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from models.card import ModelCard
from tools.config.load import Override
from tools.config.schema import Schema, key
from tools.errors import ConfigError

LENGTHS = "lengths"  # the input that says how many frames each video has
OBSOLETE_KEYS = frozenset({"dataset", "bone_network", "bone_nework", "pretrain_base", "num_gpus", "buf_size"})


# What every config holds: rooms that know no model read these keys and no others.


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """MODEL."""

    num_classes: int = key(minimum=1, meaning="classes; their ids are 0 to num_classes - 1")


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """VALID and TEST, and the beginning of the others."""

    class_names: ClassVar[str | None] = None
    batch_size: int = key(minimum=1, meaning="videos in a batch, in training and validation of all processes together")
    filelist: str = key(meaning="the list of the data")
    num_reader_threads: int = key(2, minimum=0, meaning="threads that read ahead; 0 for none")


@dataclass(frozen=True, kw_only=True)
class TrainSection(DataSection):
    """TRAIN.

    pretrain_base: weights of a ResNet to begin with, whose MODEL has num_layers too; None: random ones.
    """

    pretrain_base: ClassVar[str | None] = None
    epoch: int = key(minimum=1, meaning="epochs in all")
    learning_rate: float = key(minimum=0, meaning="learning rate to begin with")
    use_gpu: bool = key(True, meaning="whether to train on a GPU where there is one")
    seed: int = key(0, minimum=0, below=2**63, meaning="of everything random: weights, order, views, dropout")
    class_weights: list[float] | Literal["balanced"] | None = key(
        None,
        minimum=0,
        below=1e30,
        meaning="what the loss of each class counts, by class id; 'balanced': as much as the class is rare; None: all "
        "the same",
    )
    sampling: Literal["shuffle", "balanced"] = key(
        "shuffle", meaning="which records an epoch holds: each once, or as many of every class"
    )


@dataclass(frozen=True, kw_only=True)
class InferSection(DataSection):
    """INFER."""

    class_names: str | None = key(None, meaning="a file of the names by class id, one a line or a CSV; None: ids alone")


class Choice(NamedTuple):
    """A value that was chosen for a key of a config, and why, as a sentence without its full stop."""

    value: Any
    reason: str


class InputArray(NamedTuple):
    """An input of a network, or of what ``ModelSpec.graph`` makes of it, beside the axis of videos, which comes first.

    shape: None for as many frames as a video has. low, high: the usual range of its values. values: what these are.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: Literal["float32", "int64"]
    low: float
    high: float
    values: str


class Network(Protocol):
    """A ``paddle.nn.Layer`` that this project can train, score and run. All tensors are Paddle's.

    classifier: name of the layer whose parameters change shape with num_classes.
    loss_reduction: how training makes one number of a batch's losses.
    average_views is needed of models whose data set gives several views of a video. One with weights of 2019, or that
    can start from those of a backbone, has more: see ``PublishedNetwork``.
    """

    classifier: str
    loss_reduction: Literal["mean", "sum"]

    def __call__(self, *inputs) -> Any:
        """The reader's inputs -> logits (N, num_classes) float32; ``forward`` of the layer."""

    def losses(self, logits, labels, class_weights=None, label_smoothing: float = 0.0) -> Any:
        """logits (N, num_classes), labels as the reader gives them -> (N,) float32, the loss of each video.

        class_weights, label_smoothing: of training alone; ``models.layers.losses`` says what they do.
        """

    def probs(self, logits) -> Any:
        """logits (N, num_classes) -> (N, num_classes) float32 in [0, 1]."""

    def average_views(self, logits, views: int) -> Any:
        """logits (N * views, num_classes), the views of a video one after another -> (N, num_classes)."""


class PublishedNetwork(Network, Protocol):
    """What a network may have beyond ``Network``; one that leaves out a member has none of it.

    released_names: own name -> name in the weights of 2019, of every parameter and running statistic.
    released_layouts: own name -> how it lies there, one of ``tools.weights.fluid_names.LAYOUTS``, where that is
    not as here. released_buffers: own name -> name, of the buffers that some of those weights hold too.
    torchvision_names: own name -> name in torchvision's ResNet of that depth, of all that the pretrained part holds.
    pretrained_part: name of the layer that can start from weights of a bare ResNet, and that oneDNN can train, once its
    ``train_by_onednn`` is called; None for none.
    first_convolution: the parameter in it that is made from that of a ResNet for single images.
    backbone_parts: names of the layers that ``describe_segments`` runs through, which training may leave as they are;
    ``forward`` is ``classify_segments(describe_segments(x))``, with the other layers in the former.
    """

    released_names: dict[str, str]
    released_layouts: dict[str, str]
    released_buffers: dict[str, str]
    torchvision_names: dict[str, str]
    pretrained_part: str | None
    first_convolution: str
    backbone_parts: tuple[str, ...]

    def describe_segments(self, x) -> Any:
        """Clips as ``forward`` takes them -> (N, S, 2048) float32."""

    def classify_segments(self, features) -> Any:
        """(N, S, 2048) float32 -> logits (N, num_classes) float32."""

    def infer_by_onednn(self, dtype: str) -> None:
        """Have oneDNN compute the backbone in test mode, with the weights as they are now; on the CPU.

        dtype: of the maps between its layers, "float32" or "bfloat16". Raises ConfigError where oneDNN is missing.
        """

    def backbone(self) -> Any:
        """What describes segments: (M, 3 * seglen, H, W) float32 normalised -> (M, 2048) float32; a layer."""


class ModelSpec(ABC):
    """How one model goes from a checked config to a network in training. Holds no state.

    data: the kind of data, by which programs choose what they do: "clips" or "features".
    reader: the name of what reads it, registered in ``datareader``. metrics: that of its scores, in ``metrics``.
    schema: what its config may hold. default_config: path in the project.
    optimizer_states: numbers that the optimizer keeps for each one it trains.
    rate_rule: how the learning rate follows the batch size, as is usual for such an optimizer.
    infers_by_onednn: whether its network has ``infer_by_onednn``, see ``PublishedNetwork``.
    card: what is known of the model beside its code; None where nobody has written it down.
    """

    data: Literal["clips", "features"]
    reader: str
    metrics: str
    schema: Schema
    default_config: str
    optimizer_states: int
    rate_rule: Literal["linear", "square root"]
    infers_by_onednn: bool = False
    card: ModelCard | None = None

    @abstractmethod
    def video_bytes(self, config) -> int:
        """About how much memory a training step takes for each video of its batch, as was measured on a CPU."""

    @abstractmethod
    def build_network(self, config) -> Network:
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

    @abstractmethod
    def inputs(self, config, section: str) -> tuple[InputArray, ...]:
        """What ``graph`` takes of a section's videos.

        One that takes all frames of videos has ``LENGTHS`` first, and then arrays (N, T, D), of which what lies behind
        a video's length is ignored.
        """

    @abstractmethod
    def describe_video(self, config, section: str, frames: int) -> str:
        """What is counted as one video, in a few words. frames: of it, for models that take all of them."""

    def graph(self, network: Network) -> Any:
        """The layer that is exported and whose products are counted: from ``inputs`` to logits, in test mode.

        Its operations are the same for any values. Here the network itself.
        """
        return network

    def input_shape(self, config, section: str) -> tuple[int, ...] | None:
        """The shape of one record's only input, for exporting the network; None where it is not exported."""
        return None

    def num_views(self, config, section: str) -> int:
        """How many inputs of that shape the network has of each record of a section."""
        return 1

    def program_overrides(self, config) -> list[Override]:
        """Keys that name files whose values an exported program holds, as such a program needs them."""
        return []

    def fit_schedule(self, num_videos: int, epochs: int) -> dict[str, Choice]:
        """Keys of TRAIN, epoch aside, that make the schedule fit so many epochs of a list of so many videos."""
        return {}

    def notices(self, config, num_videos: int) -> list[str]:
        """Lines worth logging once it is known how many videos the training list holds."""
        return []

    def make_placeholders(self, folder: Path) -> list[Override]:
        """Write files in place of those a config names, for uses of a network to which their values do not matter."""
        return []


def check_class_weights(config) -> None:
    """Raise ConfigError unless TRAIN.class_weights, where it is a list, has a number for each class."""
    if "TRAIN" not in config or "MODEL" not in config:
        return
    weights, num_classes = config.TRAIN.class_weights, config.MODEL.num_classes
    if not isinstance(weights, list):
        return
    where = f"{config.where('TRAIN')}: class_weights"
    if len(weights) != num_classes:
        raise ConfigError(f'{where} has {len(weights)} entries, but num_classes = {num_classes}; or "balanced"')
    if not any(weights):
        raise ConfigError(f"{where}: all of them are 0, so that nothing would be learnt")


def compare_length(config, key: str, value: int, num_videos: int) -> list[str]:
    """A line of warning if a key of TRAIN is more than 10 % away from the training list's length it stands for."""
    if abs(value - num_videos) <= 0.1 * num_videos:
        return []
    effect = "late or never" if value > num_videos else "early"
    return [
        f"{config.where('TRAIN')}: {key} = {value}, but the list holds {num_videos} videos; the learning rate falls by "
        f"{key}, so too {effect}"
    ]
