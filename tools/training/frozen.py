"""Training of what lies behind a backbone, which stays as it is and describes each clip once. Imports Paddle."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import paddle

from tools.errors import ConfigError
from tools.files.kept_arrays import ArrayStore
from tools.inference.predict import to_tensor
from tools.training.ema import ExponentialMovingAverage
from tools.training.options import TrainingOptions
from tools.weights.fluid_names import published

log = logging.getLogger(__name__)

WIDTH = 2048  # numbers that describe a segment
FILE = "features.sqlite"
_GIGABYTE = 10**9


class Head(paddle.nn.Layer):
    """A network behind its backbone, with the members of a network: described segments (N, S, 2048) -> logits."""

    def __init__(self, network, parts: tuple[str, ...]):
        super().__init__()
        self._network = [network]  # in a list it is no layer of this one, so that the backbone is not in training mode
        for name, layer in network.named_children():
            if name not in parts:
                self.add_sublayer(name, layer)

    @property
    def loss_reduction(self) -> str:
        return self._network[0].loss_reduction

    def forward(self, features):
        return self._network[0].classify_segments(features)

    def losses(self, logits, labels, **options):
        return self._network[0].losses(logits, labels, **options)

    def probs(self, logits):
        return self._network[0].probs(logits)


def names_of_backbone(network) -> set[str]:
    """The parameters of a network's backbone, by their names in the network; none where it has none."""
    parts = published(network, "backbone_parts")
    return {name for name, _ in network.named_parameters() if name.partition(".")[0] in parts}


class FrozenBackbone:
    """The backbone of a network in training, as long as it is frozen, and what it has made of the clips.

    datasets: of the run; see ``ClipViews`` in datareader/dataset.py. ema: its averaged weights, None without. Raises
    ConfigError for a network without a backbone.
    """

    def __init__(
        self, name: str, network, options: TrainingOptions, seed: int, datasets: list,
        ema: ExponentialMovingAverage | None = None,
    ):  # fmt: skip
        self.parts = published(network, "backbone_parts")
        if not self.parts:
            raise ConfigError(f"--freeze backbone: {name} has none; TSN and STNET have one")
        self.is_active = False
        self._network, self._options, self._seed, self._datasets = network, options, seed, datasets
        self._ema = ema
        self._layers = [layer for name, layer in network.named_children() if name in self.parts]
        parameters = [parameter for layer in self._layers for parameter in layer.parameters()]
        self._trained = [one for one in parameters if not one.stop_gradient]  # running statistics never are
        self._head = Head(network, self.parts)

    def is_due(self, epoch: int) -> bool:
        """Whether the backbone is frozen in an epoch."""
        end = self._options.unfreeze_at
        return end is None or epoch < end

    def describe_start(self, initialised: Iterable[str]) -> list[str]:
        """A line where some of the backbone is frozen as it was drawn at random. initialised: names of what is."""
        found = {name.partition(".")[0] for name in initialised if name.startswith(self._prefixes())}
        if not found:
            return []
        own = ", ".join(part for part in self.parts if part in found)
        return [
            f"--freeze backbone: {own} of it {'are' if len(found) > 1 else 'is'} newly initialised and stays so; "
            "--pretrain takes weights of the whole network, which have been trained"
        ]

    def set_for(self, epoch: int) -> None:
        """Freeze the backbone, or let it be trained, as is due in an epoch."""
        if self.is_due(epoch) == self.is_active:
            return
        self.is_active = not self.is_active
        for parameter in self._trained:
            parameter.stop_gradient = self.is_active
        if self.is_active:
            self._freeze()
            return
        log.info(f"epoch {epoch}: the backbone is trained too from here on")
        for clips in self._datasets:
            clips.unfreeze()

    @property
    def network(self):
        """What is trained and scored now."""
        return self._head if self.is_active else self._network

    def describe(self, batches: Iterable) -> Iterator:
        """Batches of frames as they are, or of what the frozen backbone makes of them."""
        return map(self._describe, batches) if self.is_active else iter(batches)

    def _describe(self, batch):
        """The batch with what describes its clips for its only input."""
        (frames,) = batch.inputs
        described = batch.described[:0]
        if len(frames):
            with paddle.no_grad():
                described = self._network.describe_segments(to_tensor(frames)).numpy()
        return batch.complete(described)

    def _freeze(self) -> None:
        options = self._options
        for layer in self._layers:
            layer.eval()
        if self._ema and self._ema.follow_frozen():
            log.info("the backbone is frozen as it is now: its averaged weights are these from here on")
        open_set = None
        if options.cache_size:
            folder = Path(options.cache_dir or Path.home() / ".paddle" / "features")
            store = ArrayStore(folder / FILE, int(options.cache_size * _GIGABYTE))
            weights = self._digest()

            def open_set(identity: bytes, shape: tuple[int, ...]):
                return store.open_set(weights + identity, shape)

        for clips in self._datasets:
            clips.freeze(open_set, options.cache_views, self._seed, WIDTH)

    def _digest(self) -> bytes:
        """Of all that the backbone's numbers depend on: its weights, what computes them, and how."""
        what = paddle.__version__, paddle.get_device().partition(":")[0]
        digest = hashlib.blake2b(repr(what).encode(), digest_size=16)
        for name, value in sorted(self._network.state_dict().items()):
            if name.startswith(self._prefixes()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(value.numpy()).data)
        return digest.digest()

    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{part}." for part in self.parts)
