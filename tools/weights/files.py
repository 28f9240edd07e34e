"""What --weights, --pretrain and --resume can be given, told apart by content.

- our checkpoint folder, with ``model.pdparams``;
- a folder of Fluid variables, one a file, as released in 2019;
- a single file of Fluid variables, whose names the network has to say;
- a ``.pdparams``: a pickled dict of arrays, by the names of 2019 as released in 2020, or by ours;
- what PyTorch saves, and a ``.safetensors``, by the names of torchvision and timm.
"""

import contextlib
import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.errors import CheckpointError
from tools.files.recognise import FileKind, recognise_file
from tools.files.sums import SumError, accept_or_renew, check_sums, sha256_of, sums_beside
from tools.runtime.text import printable
from tools.weights.advice import WEIGHTS, describe_contents, is_exported, refuse, refuse_exported, refuse_missing
from tools.weights.checkpoint_files import (
    AVERAGED,
    STATE,
    listed_files,
    load_arrays,
    load_checkpoint_weights,
    read_state,
    require_whole,
)
from tools.weights.fluid_files import begins_as_variable, read_file, read_folder
from tools.weights.safetensors_files import load_safetensors
from tools.weights.torch_files import load_torch

CHECKPOINT = "checkpoint folder"
FLUID_FOLDER = "folder of Fluid variables"
FLUID_FILE = "single file of Fluid variables"
PICKLE = "pickled dict of arrays"
TORCH = "PyTorch checkpoint"
SAFETENSORS = "safetensors file"
_BY_KIND = {FileKind.PICKLE: PICKLE, FileKind.TORCH: TORCH, FileKind.SAFETENSORS: SAFETENSORS}
_LARGEST_CONFIG = 100_000  # bytes of a config.json; timm's have 1,000
_NAMED_BY_HASH = re.compile(r".+-([0-9a-f]{8,64})\.\w+")  # resnet50-0676ba61.pth


@dataclass(frozen=True)
class WeightFile:
    """Weights as they lie on the disk.

    path: as given. kind: one of the constants of this module.
    arrays: by name; those of a single Fluid file by number, "0" first; ``StoredArray`` of a safetensors file.
    ignored: what else is in a folder of variables. notes: on what was taken of a file, and how, a sentence each.
    claims: what is said of the network that the weights are of: the path, and what is noted in the file or beside it.
    """

    path: str
    kind: str
    arrays: dict[str, np.ndarray]
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def recognise(path: str, model_name: str | None = None) -> str:
    """The kind of what lies at a path. Raises CheckpointError saying what it is instead."""
    place = Path(path)
    try:
        if place.is_dir():
            if (place / WEIGHTS).is_file() or (place / STATE).is_file():
                return CHECKPOINT
            if variables := _files_of_variables(place):
                if all(map(is_exported, variables)):
                    raise refuse_exported(variables[0])
                return FLUID_FOLDER
            raise CheckpointError(f"{place} holds no weights ({WEIGHTS}, or variables); {_describe(place)}")
        if not place.is_file():
            raise refuse_missing(place, model_name)
        kind = recognise_file(place)
        if kind in _BY_KIND:
            return _BY_KIND[kind]
        if kind in (FileKind.FLUID, None) and begins_as_variable(_head(place)):
            if is_exported(place):
                raise refuse_exported(place)
            return FLUID_FILE
        raise refuse(place, kind)
    except OSError as error:
        raise CheckpointError(f"{place} cannot be read: {error}") from None


def load_weights(path: str, model_name: str | None) -> WeightFile:
    """Read what lies at a path, all values finite. Raises CheckpointError naming what is missing or damaged.

    Of a safetensors file, values are read when they are taken, see ``StoredArray``: others may be many more.
    model_name: whose weights they have to be, if they say it; None for any.
    """
    place, kind = Path(path), recognise(path, model_name)
    ignored, notes, claims = [], [], []
    if kind == CHECKPOINT:
        return WeightFile(path, kind, load_checkpoint_weights(place, model_name))
    _require_unchanged(place, kind)
    if kind == PICKLE:
        return WeightFile(path, kind, load_arrays(place))
    if kind == FLUID_FOLDER:
        arrays, ignored = read_folder(place)
    elif kind == TORCH:
        arrays, found = load_torch(place)
        notes, claims = found.notes, [found.network, *_claims_beside(place)]
    elif kind == SAFETENSORS:
        arrays, notes = load_safetensors(place)
        return WeightFile(path, kind, arrays, notes=tuple(notes), claims=tuple(_claims_beside(place)))
    else:
        arrays = {str(number): value for number, value in enumerate(read_file(place))}
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"{place}: {printable(name)} holds values that are not finite")
    return WeightFile(path, kind, arrays, tuple(ignored), tuple(notes), tuple(claims))


def _claims_beside(place: Path) -> list[str]:
    """The name of a file, and the architecture in the config.json that timm's weights come with."""
    claims = [place.name]
    try:
        with open(place.with_name("config.json"), "rb") as file:
            config = json.loads(file.read(_LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError):
        return claims
    architecture = config.get("architecture") if isinstance(config, dict) else None
    return [*claims, architecture[:100]] if isinstance(architecture, str) else claims


def _require_unchanged(place: Path, kind: str) -> None:
    """Raise CheckpointError for weights that are not what the sums say that lie beside them, whoever put these there.

    They are those of ``sums_beside``, or else of the checkpoint folder that a file is from, or a SHA-256 as
    ``sha256sum`` writes it, which takes longer, or the beginning of one in the name of a file of PyTorch.
    """
    place = place.resolve()  # what is called "." has a name too
    note, published = sums_beside(place), place.with_name(f"{place.name}.sha256")
    try:
        with contextlib.suppress(FileNotFoundError):
            check_sums(note, place if place.is_dir() else place.parent)
            return
        if place.name in (WEIGHTS, AVERAGED) and (state := read_state(place.parent)):
            if place.name in listed_files(state):
                require_whole(place, state)
        elif place.is_file() and published.is_file():
            _require_published(place, published)
        elif kind in (TORCH, SAFETENSORS):
            _require_name(place)
    except SumError as error:
        raise CheckpointError(f"{error}; {accept_or_renew(place)}") from None
    except OSError as error:
        raise CheckpointError(f"{place} cannot be checked: {error}") from None


def _require_published(place: Path, note: Path) -> None:
    noted = re.search("[0-9a-fA-F]{64}", note.read_text(errors="replace"))
    if noted is None:  # of some other form
        return
    if (came := sha256_of(place)) != noted[0].lower():
        raise CheckpointError(
            f"{place} is not the file it was: its SHA-256 is {came}, and {note} says {noted[0]}; delete the former to "
            "have it fetched anew, or the latter if you trust the file as it is"
        )


def _require_name(place: Path) -> None:
    """Raise CheckpointError for a file that is not the one whose SHA-256 its name has, as torchvision's and timm's do.

    A name whose last part may be a date, of digits alone, says nothing.
    """
    named = _NAMED_BY_HASH.fullmatch(place.name)
    if named is None or named[1].isdecimal():
        return
    if not (came := sha256_of(place)).startswith(named[1]):
        raise CheckpointError(
            f"{place} is not the file that its name says: its SHA-256 begins with {came[: len(named[1])]}; fetch it "
            "again, or give it another name if you trust it as it is"
        )


def _files_of_variables(folder: Path) -> list[Path]:
    """Up to two of them, which is enough to know."""
    with os.scandir(folder) as entries:
        files = [Path(entry.path) for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    return list(itertools.islice((path for path in files if begins_as_variable(_head(path))), 2))


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(16)


def _describe(folder: Path) -> str:
    """As ``describe_contents``; a folder inside that holds variables is what to give instead."""
    inner = (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))
    inner = [path.name for path in itertools.islice(inner, 100) if _files_of_variables(path)]
    return f"name the folder in it: {', '.join(inner)}" if inner else describe_contents(folder)
