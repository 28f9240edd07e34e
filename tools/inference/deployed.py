"""The folders that ``python -m tools.export`` writes: what is in them, and how it is read and checked. Without Paddle.

- ``model.json``: what the program takes and gives, how videos become that, and the sums of the other files;
- ``program.json``, ``program.pdiparams``: the network as a program of Paddle's inference engine;
- ``model.onnx``: the same for ONNX Runtime, where it was asked for;
- ``config.txt``, ``class_names.csv``: as in a checkpoint folder, see ``tools.weights.self_description``;
- ``example.py``: how to use it without this project.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.errors import CheckpointError, ConfigError
from tools.files.sums import sha256_of
from tools.files.texts import NO_JSON
from tools.weights.files import WeightFile
from tools.weights.self_description import CLASS_NAMES, CONFIG, SelfDescription

FORMAT = "paddle-video exported model"
VERSION = 1
CARD, STEM, ONNX, EXAMPLE = "model.json", "program", "model.onnx", "example.py"
PROGRAM, WEIGHTS = f"{STEM}.json", f"{STEM}.pdiparams"
KIND = "exported model"
LENGTHS = "lengths"  # the input of a program that takes all frames of videos, see models/spec.py
_HOW = "python -m tools.export writes one"


@dataclass(frozen=True)
class DeployedModel:
    """An exported model whose files are as they were written. card: what its model.json holds."""

    folder: Path
    card: dict[str, Any]

    @property
    def described(self) -> SelfDescription:
        names = self.folder / CLASS_NAMES
        own_names = str(names) if names.name in self.card["sha256"] else None
        return SelfDescription(self.folder, self.card["model"], str(self.folder / CONFIG), own_names)

    @property
    def weights(self) -> WeightFile:
        """Its weights as runs tell of them, which stay in the program."""
        return WeightFile(str(self.folder), KIND, {})

    @property
    def input_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Input -> its axes behind that of videos, None for one of any length."""
        return {
            part["name"]: tuple(None if isinstance(size, str) else size for size in part["shape"][1:])
            for part in self.card["inputs"]
        }

    @property
    def takes_clips(self) -> bool:
        """Whether it looks at frames, not at features of them."""
        return any(len(shape) == 4 for shape in self.input_shapes.values())

    def require_inputs(self, inputs: Sequence[Any], origin: str) -> None:
        """Raise ConfigError unless the program takes these.

        inputs: of ``models.spec.InputArray``. origin: the section that they are of.
        """
        wanted = {part.name: part.shape for part in inputs}
        if wanted != self.input_shapes:
            raise ConfigError(
                f"{origin} makes inputs of {wanted}, but the program in {self.folder} takes {self.input_shapes}; leave "
                "the settings as they were exported, or export the weights again with these"
            )


def read_deployed(path: str) -> DeployedModel:
    """Read an exported model. Raises CheckpointError saying what is missing, changed or something else."""
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(
            f"{path} is {'a file' if folder.exists() else 'not there'}; an exported model is a folder"
        )
    try:
        card = json.loads((folder / CARD).read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} holds no {CARD}, so no exported model; {_HOW}") from None
    except (OSError, *NO_JSON) as error:
        raise CheckpointError(f"{folder / CARD} cannot be read ({error}); export the weights again") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CARD} is not that of an exported model; {_HOW}")
    if card.get("version") != VERSION:
        raise CheckpointError(
            f"{folder / CARD} is of version {card.get('version')!r}, and this program reads {VERSION}; export the "
            "weights again"
        )
    _require_unchanged(folder, card)
    return DeployedModel(folder, card)


def _require_unchanged(folder: Path, card: dict[str, Any]) -> None:
    sums = card.get("sha256")
    if not isinstance(sums, dict) or not {PROGRAM, WEIGHTS, CONFIG} <= sums.keys():
        raise CheckpointError(f"{folder / CARD} does not say which files belong to it; export the weights again")
    for name, wanted in sums.items():
        if Path(name).name != name:
            raise CheckpointError(f"{folder / CARD} names {name!r}, which is no file beside it")
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise CheckpointError(
                f"{folder / name} cannot be read ({error.strerror}); export the weights again"
            ) from None
        if found != wanted:
            raise CheckpointError(f"{folder / name} is not what was exported, as {CARD} says; export the weights again")


def pad_frames(lengths: np.ndarray, streams: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Frames of all videos one after another -> each video's own row, with zeros behind its end.

    lengths: (N,) int64. streams: (sum of lengths, D) each. Returns (N, longest, D) each.
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.arange(len(rows)) - begins
    padded = [np.zeros((len(lengths), lengths.max(), stream.shape[1]), stream.dtype) for stream in streams]
    for out, stream in zip(padded, streams, strict=True):
        out[rows, places] = stream
    return padded
