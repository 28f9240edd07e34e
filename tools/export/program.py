"""The program of an exported model, from a network with its weights. Imports Paddle: tune the CPU first."""

import tempfile
from pathlib import Path

import paddle
from paddle import nn

from models.spec import InputArray
from tools.inference.deployed import PROGRAM, STEM, WEIGHTS
from tools.inference.export import save_layer


class WithProbabilities(nn.Layer):
    """A network in test mode as it is exported: probabilities and logits, both (N, num_classes) float32.

    layer: from the program's inputs to logits. probs: from logits to probabilities.
    """

    def __init__(self, layer, probs):
        super().__init__()
        self.layer, self.probs = layer, probs
        self.eval()

    # Run as it is written while it is recorded: nothing in it, or below, depends on values, and the translator of
    # Paddle 3.3.1 knows no zip with strict. It asks for the number of inputs by their names.
    @paddle.jit.not_to_static
    def forward(self, first, second=None, third=None):
        logits = self.layer(*(part for part in (first, second, third) if part is not None))
        return self.probs(logits), logits


def write_program(spec, network, inputs: tuple[InputArray, ...], folder: Path) -> None:
    """Write the network's program into a folder. Raises CheckpointError, OSError and what Paddle raises."""
    layer = WithProbabilities(spec.graph(network), network.probs)
    specs = [paddle.static.InputSpec([None, *part.shape], part.dtype, part.name) for part in inputs]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:  # for what else Paddle writes
        inner = Path(temporary, STEM)
        inner.mkdir()
        save_layer(layer, specs, inner, STEM)
        for name in (PROGRAM, WEIGHTS):
            (inner / name).rename(folder / name)
