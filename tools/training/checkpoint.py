"""Checkpoints: folders that are complete or not there, and what is read back from them.

``{save_dir}/{model}_epoch{N}`` holds everything after epoch N, ``{model}_epoch{N}_step{S}`` after S
steps of it, and ``{model}_best`` the best validated epoch. In each:

- ``model.pdparams``: a pickled dict of NumPy arrays by parameter name, which ``paddle.load`` reads;
- ``optimizer.pdopt``: the same for the optimizer, by accumulator and parameter name;
- ``averaged.pdparams``: as the first, with the averages that ``--ema`` keeps of the weights, if it does;
- ``state.json``: position, scores and settings, and the size and CRC-32 of the other files.

A folder is written under a temporary name, synced and renamed, so its name alone says it is whole.
"""

import fcntl
import json
import math
import os
import pickle
import re
import shutil
import time
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from tools.errors import CheckpointError
from tools.files.atomic import atomic_write, sync_folder
from tools.files.pickles import DAMAGED, load_pickle, require_bounded

WEIGHTS, OPTIMIZER, AVERAGED, STATE = "model.pdparams", "optimizer.pdopt", "averaged.pdparams", "state.json"
_NAME_TABLE = "StructuredToParameterName@@"  # what paddle.save adds to a state dict


@dataclass
class Progress:
    """Where a run stands.

    epoch, step: what comes next; a step of 0 begins an epoch. validated: whether the epoch before has
    been scored, if it was to be. batch_size, seed, records, data: what the meaning of a position inside
    an epoch depends on; data is a checksum of the training list's files and lengths.
    """

    batch_size: int
    seed: int
    records: int
    data: int
    epoch: int = 0
    step: int = 0
    steps_taken: int = 0
    validated: bool = True
    best_score: float | None = None
    best_epoch: int | None = None
    world: int = 1
    loss_scaling: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds. weights: name -> array. optimizer: see ``optimizer_arrays``; None to start it afresh.

    notes: what a log should say of it. averaged: as weights; None where none were kept.
    """

    path: Path
    weights: dict[str, np.ndarray]
    optimizer: dict | None
    progress: Progress
    notes: tuple[str, ...] = ()
    averaged: dict[str, np.ndarray] | None = None


class CheckpointStore:
    """The checkpoints of one model in one save_dir.

    keep: how many finished epochs to keep besides the best; 0 keeps all.
    """

    def __init__(self, save_dir: str, model_name: str, keep: int = 0):
        self.save_dir = Path(save_dir)
        self.model_name = model_name
        self.keep = keep
        self.best_path = self.save_dir / f"{model_name}_best"
        self._lock = -1  # held open for as long as this store is used
        self._prepare()

    def close(self) -> None:
        """Let another run use the folder; the end of the process does the same."""
        os.close(self._lock)

    def save(self, weights: dict, optimizer: dict, progress: Progress, averaged: dict | None = None) -> Path:
        """Write a checkpoint for a position and drop those that it replaces.

        Raises CheckpointError, with nothing changed, when the disk refuses or a weight is not finite.
        """
        if bad := [key for key, value in weights.items() if not np.isfinite(value).all()]:
            raise CheckpointError(f"{bad[0]} is no longer finite; the checkpoints in {self.save_dir} are as they were")
        if progress.step:
            name = f"{self.model_name}_epoch{progress.epoch}_step{progress.step}"
        else:
            name = f"{self.model_name}_epoch{progress.epoch - 1}"
        path = self.save_dir / name
        try:
            files = {WEIGHTS: weights, OPTIMIZER: optimizer} | ({AVERAGED: averaged} if averaged else {})
            _write_folder(path, files, asdict(progress) | {"model": self.model_name})
            self._drop_old()
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {path} could not be written ({error}); earlier checkpoints are as they were"
            ) from None
        return path

    def set_best(self, path: Path) -> Path:
        """Make ``{model}_best`` a copy of a checkpoint, sharing its files where the disk allows."""
        temporary, old = self._temporary(self.best_path), self._old_best()
        try:
            temporary.mkdir()
            for file in path.iterdir():
                try:
                    os.link(file, temporary / file.name)
                except OSError:
                    shutil.copyfile(file, temporary / file.name)
            if self.best_path.exists():
                self.best_path.rename(old)
            temporary.rename(self.best_path)
            sync_folder(self.save_dir)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise CheckpointError(f"{self.best_path} could not be written: {error}") from None
        return self.best_path

    def add_to_state(self, path: Path, **values) -> None:
        """Set values in a checkpoint's state.json."""
        try:
            state = json.loads((path / STATE).read_text()) | values
            with atomic_write(path / STATE) as file:
                file.write(_json(state))
        except OSError as error:
            raise CheckpointError(f"{path / STATE} could not be written: {error}") from None

    def found(self) -> list[Path]:
        """The complete checkpoints, latest position first; without the best, which is one of them."""
        return [path for _, path in sorted(self._positions(), reverse=True)]

    def set_aside(self, after: tuple[int, int] = (0, 0)) -> Path | None:
        """Move checkpoints of an earlier run out of the way of this one; return where they went.

        after: the position that this run starts from. What lies past it is moved, the best included; a
        best that cannot be read is moved too.
        """
        paths = [path for position, path in self._positions() if position > after]
        if self.best_path.exists() and self._best_epoch() > after[0]:
            paths.append(self.best_path)
        if not paths:
            return None
        target = self.save_dir / time.strftime(f"{self.model_name}_before_%Y%m%d_%H%M%S")
        try:
            target.mkdir()
            for path in paths:
                path.rename(target / path.name)
        except OSError as error:
            raise CheckpointError(f"checkpoints of an earlier run could not be moved to {target}: {error}") from None
        return target

    def _best_epoch(self) -> float:
        try:
            return _parse_progress(_read_state(self.best_path), self.best_path).epoch
        except CheckpointError:
            return math.inf

    def _positions(self) -> list[tuple[tuple[int, int], Path]]:
        """((epoch, step) that comes next, path) of every checkpoint; a step of 0 begins an epoch."""
        pattern = re.compile(re.escape(self.model_name) + r"_epoch(\d+)(?:_step(\d+))?")
        matches = [(pattern.fullmatch(path.name), path) for path in self.save_dir.iterdir() if path.is_dir()]
        return [
            ((int(match[1]), int(match[2])) if match[2] else (int(match[1]) + 1, 0), path)
            for match, path in matches
            if match
        ]

    def _drop_old(self) -> None:
        """Keep the latest checkpoint, and of the others the finished epochs that ``keep`` allows."""
        latest, *rest = sorted(self._positions(), reverse=True)
        epochs = [path for (_, step), path in rest if not step]
        kept = set(epochs[: self.keep - (latest[0][1] == 0)] if self.keep else epochs)
        for _, path in rest:
            if path not in kept:
                doomed = self._temporary(path)
                path.rename(doomed)  # so that a half-deleted folder never carries a checkpoint's name
                shutil.rmtree(doomed, ignore_errors=True)

    def _prepare(self) -> None:
        """Make sure that save_dir can be written, and mend what a killed run left behind."""
        try:
            self.save_dir.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.save_dir / f".{self.model_name}.lock", os.O_WRONLY | os.O_CREAT)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise CheckpointError(
                f"--save-dir {self.save_dir} is in use by another run of {self.model_name}; name another folder"
            ) from None
        except OSError as error:
            raise CheckpointError(f"--save-dir {self.save_dir} cannot be written: {error}") from None
        if self._old_best().exists() and not self.best_path.exists():
            self._old_best().rename(self.best_path)
        for leftover in self.save_dir.glob(f".{self.model_name}_*.tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink()
        shutil.rmtree(self._old_best(), ignore_errors=True)

    def _old_best(self) -> Path:
        return self.save_dir / f".{self.best_path.name}.old"

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.tmp-{os.getpid()}")


def load_checkpoint(path: Path, model_name: str) -> Checkpoint:
    """Read a whole training state. Raises CheckpointError naming what is missing or damaged."""
    state = _read_state(path)
    if state is None:
        raise CheckpointError(f"{path} holds no training state ({STATE}); {describe_contents(path)}")
    _require_model(path, state, model_name)
    progress = _parse_progress(state, path)
    has_averaged = (path / AVERAGED).exists()
    for name in (WEIGHTS, OPTIMIZER, *[AVERAGED] * has_averaged):
        _require_whole(path / name, state)
    averaged = load_arrays(path / AVERAGED) if has_averaged else None
    return Checkpoint(path, load_arrays(path / WEIGHTS), _load_dict(path / OPTIMIZER), progress, averaged=averaged)


def load_checkpoint_weights(place: Path, model_name: str | None) -> dict[str, np.ndarray]:
    """The weights of a checkpoint folder by name; state.json may be missing. Raises CheckpointError.

    model_name: whose they have to be, if the folder says it; None for any.
    """
    state = _read_state(place)
    if state is not None and model_name:
        _require_model(place, state, model_name)
    if not (place / WEIGHTS).is_file():
        raise CheckpointError(f"{place} holds no weights ({WEIGHTS}); {describe_contents(place)}")
    if state is not None:
        _require_whole(place / WEIGHTS, state)
    return load_arrays(place / WEIGHTS)


def network_arrays(network) -> dict[str, np.ndarray]:
    """A network's parameters and buffers by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def optimizer_arrays(optimizer, network) -> dict:
    """An optimizer's state, accumulators under ``(accumulator, parameter)`` joined by a slash.

    Paddle names them after counters that depend on what else was built in the process.
    """
    names = {parameter.name: name for name, parameter in network.named_parameters()}
    arrays = {}
    for key, value in optimizer.state_dict().items():
        owner = max((own for own in names if key.startswith(own + "_")), key=len, default=None)
        if owner is None:
            arrays[key] = value
        else:
            accumulator = re.sub(r"_\d+$", "", key[len(owner) + 1 :])
            # A state that was filled in and not used yet is still the array that it was filled from.
            arrays[f"{accumulator}/{names[owner]}"] = value.numpy() if hasattr(value, "numpy") else value
    return arrays


def load_into_optimizer(optimizer, network, arrays: dict, source: str) -> None:
    """The reverse of ``optimizer_arrays``, for an optimizer that has not taken a step.

    Raises CheckpointError naming an entry that does not belong to this network.
    """
    trained = [(name, parameter) for name, parameter in network.named_parameters() if not parameter.stop_gradient]
    parameters = dict(trained)
    state, owners = {}, {}
    for key, value in arrays.items():
        accumulator, slash, name = str(key).partition("/")
        if not slash:
            if key != "steps" or not isinstance(value, int) or value < 0:
                raise CheckpointError(f"{source}: {key!r} = {value!r} is no state of an optimizer")
            state[key] = value
        elif name not in parameters or not isinstance(value, np.ndarray) or value.dtype != np.float32:
            raise CheckpointError(f"{source}: {key!r} does not belong to the optimizer of this network")
        elif list(value.shape) not in ([1], list(parameters[name].shape)):
            raise CheckpointError(f"{source}: {key!r} of the optimizer has shape {list(value.shape)}")
        else:
            state[f"{parameters[name].name}_{accumulator}_0"] = value
            owners.setdefault(accumulator, set()).add(name)
    for accumulator, names in owners.items():
        if missing := parameters.keys() - names:
            raise CheckpointError(f"{source}: the optimizer's {accumulator} of {', '.join(sorted(missing))} is missing")
    optimizer.set_state_dict(state)


def _write_folder(path: Path, contents: dict[str, dict], state: dict) -> None:
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir()
        files = {}
        for name, content in contents.items():
            with atomic_write(temporary / name) as file:
                pickle.dump(content, file, protocol=4)
            files[name] = {"size": (temporary / name).stat().st_size, "crc32": _crc32(temporary / name)}
        with atomic_write(temporary / STATE) as file:
            file.write(_json(state | {"files": files}))
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _crc32(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            value = zlib.crc32(chunk, value)
    return value


def _read_state(path: Path) -> dict | None:
    """state.json of a folder; None where there is none."""
    if not path.exists():
        raise CheckpointError(f"{path} does not exist")
    try:
        state = json.loads((path / STATE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path / STATE} cannot be read: {error}") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path / STATE} holds a {type(state).__name__}, expected a training state")
    return state


def _parse_progress(state: dict | None, path: Path) -> Progress:
    """The fields of a Progress, each of its own type and none negative. Earlier versions left out the last two."""
    state = {"world": 1, "loss_scaling": {}} | (state or {})
    values = {field.name: state.get(field.name) for field in fields(Progress)}
    for name, value in values.items():
        if name == "validated":
            good = isinstance(value, bool)
        elif name == "loss_scaling":
            good = isinstance(value, dict) and all(isinstance(number, float | int) for number in value.values())
        elif name == "best_score":
            good = value is None or (isinstance(value, float | int) and math.isfinite(value))
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            good = good or (name == "best_epoch" and value is None)
        if not good:
            raise CheckpointError(f"{path / STATE}: {name} is {value!r}, which no run has written")
    return Progress(**values)


def _require_whole(content: Path, state: dict) -> None:
    """A file must have the size and checksum that its state.json says."""
    facts = state.get("files")
    facts = facts.get(content.name) if isinstance(facts, dict) else None
    if not isinstance(facts, dict):
        raise CheckpointError(f"{content.parent / STATE} does not say what {content.name} should be")
    try:
        whole = content.is_file() and content.stat().st_size == facts.get("size")
        whole = whole and _crc32(content) == facts.get("crc32")
    except OSError as error:
        raise CheckpointError(f"{content} cannot be read: {error}") from None
    if not whole:
        raise CheckpointError(f"{content} is damaged: its size or checksum is not what {STATE} says")


def _require_model(path: Path, state: dict, model_name: str) -> None:
    if state.get("model") != model_name:
        raise CheckpointError(f"{path} holds {state.get('model')}, but --model-name is {model_name}")


def describe_contents(path: Path) -> str:
    """What a folder holds, as the end of a message; checkpoints in it are named as what to give instead."""
    if not path.is_dir():
        return "it is not a folder"
    names = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    if inner := [name for name in names if (path / name / WEIGHTS).is_file()]:
        return f"name one of the checkpoints in it: {', '.join(inner)}"
    return f"it holds {', '.join(names[:8]) or 'nothing'}"


def _load_dict(path: Path) -> dict:
    try:
        with open(path, "rb") as file:
            require_bounded(file)
            content = load_pickle(file)
    except (OSError, *DAMAGED) as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}: {error})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected weights by name")
    plain = {key: value.view(np.ndarray) if isinstance(value, np.ndarray) else value for key, value in content.items()}
    plain = {key.decode() if isinstance(key, bytes) else key: value for key, value in plain.items()}
    plain.pop(_NAME_TABLE, None)
    return plain


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled dict by name, all of them finite. Raises CheckpointError."""
    content = _load_dict(path)
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, np.ndarray):
            raise CheckpointError(f"{path}: {key!r} is not an array under a name, so this is no file of weights")
        if not np.isfinite(value).all():
            raise CheckpointError(f"{path}: {key} holds values that are not finite")
    return content
