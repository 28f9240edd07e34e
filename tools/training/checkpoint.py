"""Checkpoints: folders that are complete or not there, and what is read back from them.

``{save_dir}/{model}_epoch{N}`` holds everything after epoch N, ``{model}_epoch{N}_step{S}`` after S
steps of it, and ``{model}_best`` the best validated epoch; ``tools/weights/checkpoint_files.py`` says
what is in each. A folder is written under a temporary name, synced and renamed, so its name alone says
it is whole.
"""

import math
import os
import pickle
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tools.errors import CheckpointError
from tools.files.atomic import atomic_folder, atomic_write, remove_unfinished, temporary_path
from tools.files.locks import HeldLock
from tools.files.sums import seal, sum_of
from tools.runtime.log import log_folder
from tools.runtime.packages import VERSION, find_installed
from tools.runtime.text import short_repr
from tools.weights.checkpoint_files import (
    AVERAGED,
    FORMAT,
    OPTIMIZER,
    STATE,
    WEIGHTS,
    describe_contents,
    listed_files,
    load_arrays,
    load_dict,
    read_state,
    require_model,
    require_whole,
)


@dataclass
class Progress:
    """Where a run stands.

    epoch, step: what comes next; a step of 0 begins an epoch. validated: whether the epoch before has
    been scored, if it was to be. batch_size, seed, records, data: what the meaning of a position inside
    an epoch depends on; data is a checksum of the training list's files and lengths, and of what else the order of its
    records depends on. validations_since_best: those in a row that gave no better score. best_score, best_loss: of the
    best validation, see ``rank_validation``; None before it, and for a loss that is not finite.
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
    validations_since_best: int = 0
    best_loss: float | None = None


def rank_validation(score: float, loss: float | None) -> tuple[float, float]:
    """The greater, the better: of equal scores, as short lists have them again and again, that of the lower loss.

    loss: one that is not finite, or not known as in checkpoints of earlier versions, is the worst.
    """
    return score, -loss if loss is not None and math.isfinite(loss) else -math.inf


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds. weights: name -> array. optimizer: see ``optimizer_state.py``; None to initialise it anew.

    notes: what a log should say of it. averaged: as weights; None where none were kept. flags: see ``changes.py``; None
    where it does not say.
    """

    path: Path
    weights: dict[str, np.ndarray]
    optimizer: dict | None
    progress: Progress
    notes: tuple[str, ...] = ()
    averaged: dict[str, np.ndarray] | None = None
    flags: dict[str, Any] | None = None


class CheckpointStore:
    """The checkpoints of one model in one save_dir.

    keep: how many finished epochs to keep besides the best; 0 keeps all. companions: files that every checkpoint has
    besides, name -> content.
    """

    def __init__(
        self,
        save_dir: str,
        model_name: str,
        keep: int = 0,
        companions: Mapping[str, bytes] = MappingProxyType({}),
    ):
        self.save_dir = Path(save_dir)
        self.model_name = model_name
        self.keep = keep
        self.companions = companions
        self.best_path = self.save_dir / f"{model_name}_best"
        self._lock = self._prepare()  # held for as long as this store is used

    def close(self) -> None:
        """Let another run use the folder; the end of the process does the same."""
        self._lock.release()

    def save(
        self,
        weights: dict,
        optimizer: dict,
        progress: Progress,
        averaged: dict | None = None,
        flags: dict | None = None,
    ) -> Path:
        """Write a checkpoint for a position and drop those that it replaces.

        flags: what state.json is to say of them.
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
            facts = {"model": self.model_name, "versions": list_versions()} | ({"flags": flags} if flags else {})
            _write_folder(path, files, self.companions, asdict(progress) | facts)
            self._drop_old()
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {path} could not be written ({error}); earlier checkpoints are as they were"
            ) from None
        return path

    def set_best(self, path: Path, **values) -> Path:
        """Make ``{model}_best`` a copy of a checkpoint, sharing its files where the disk allows.

        values: set in the state.json of the copy alone.
        """
        old = self._old_best()
        try:
            with atomic_folder(self.best_path, aside=old) as folder:
                for file in path.iterdir():
                    _link_or_copy(file, folder / file.name)
                if values:
                    self.add_to_state(folder, **values)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise CheckpointError(f"{self.best_path} could not be written: {error}") from None
        return self.best_path

    def add_to_state(self, path: Path, **values) -> None:
        """Set values in a checkpoint's state.json."""
        try:
            state = read_state(path) or {}
            with atomic_write(path / STATE) as file:
                file.write(seal(state | values, STATE))
        except OSError as error:
            raise CheckpointError(f"{path / STATE} could not be written: {error}") from None

    def found(self) -> list[Path]:
        """The complete checkpoints, latest position first; without the best, which is one of them."""
        return [path for _, path in sorted(self._positions(), reverse=True)]

    def set_aside(self, after: tuple[int, int] | None = None) -> Path | None:
        """Move what an earlier run left out of the way of this one; return where it went, None for nothing.

        after: the position that a resumed run starts from: checkpoints past it are moved, the best included; a best
        that cannot be read is moved too. None for a run of its own: all is moved, logs and settings too.
        """
        paths = [path for position, path in self._positions() if position > (after or (0, 0))]
        if self.best_path.exists() and self._best_epoch() > (after or (0, 0))[0]:
            paths.append(self.best_path)
        if after is None:
            paths += self._files_beside(bool(paths))
        if not paths:
            return None
        target = self.save_dir / time.strftime(f"{self.model_name}_before_%Y%m%d_%H%M%S")
        while target.exists():  # of this second, by a run that was stopped at once
            target = target.with_name(f"{target.name}_")
        try:
            target.mkdir()
            for path in paths:
                place = target / path.relative_to(self.save_dir)
                place.parent.mkdir(exist_ok=True)
                path.rename(place)
        except OSError as error:
            raise CheckpointError(f"what an earlier run left could not be moved to {target}: {error}") from None
        return target

    def _files_beside(self, has_checkpoints: bool) -> list[Path]:
        """The settings, page, logs and numbers of a run that has saved something or at least begun to train.

        The numbers come last: they tell, should moving all of it be interrupted.
        """
        base = self.save_dir / self.model_name
        log, numbers = Path(f"{base}_train.log"), Path(f"{base}_train.jsonl")
        if not has_checkpoints and not (numbers.exists() and numbers.stat().st_size):
            return []
        # The logs of processes have no model's name: they stay where another model is trained too, perhaps now.
        alone = all(path == log for path in self.save_dir.glob("*_train.log"))
        of_processes = sorted(log_folder(str(self.save_dir)).glob("rank*.log")) if alone else []
        others = (Path(f"{base}_{end}") for end in ("config.txt", "report.html", "valid.json"))
        return [path for path in (*others, log, *of_processes, numbers) if path.exists()]

    def _best_epoch(self) -> float:
        try:
            return _parse_progress(read_state(self.best_path), self.best_path).epoch
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

    def drop_old(self) -> None:
        """Do what a run that was killed after it had saved did not come to. Raises CheckpointError."""
        try:
            self._drop_old()
        except OSError as error:
            raise CheckpointError(f"older checkpoints in {self.save_dir} could not be removed: {error}") from None

    def _drop_old(self) -> None:
        """Keep the latest checkpoint, and of the others the finished epochs that ``keep`` allows."""
        positions = sorted(self._positions(), reverse=True)
        if not positions:
            return
        latest, *rest = positions
        epochs = [path for (_, step), path in rest if not step]
        kept = set(epochs[: self.keep - (latest[0][1] == 0)] if self.keep else epochs)
        for _, path in rest:
            if path not in kept:
                doomed = temporary_path(path)
                path.rename(doomed)  # so that a half-deleted folder never carries a checkpoint's name
                shutil.rmtree(doomed, ignore_errors=True)

    def _prepare(self) -> HeldLock:
        """Make sure that save_dir can be written and is ours, and mend what a killed run left behind."""
        try:
            self.save_dir.mkdir(parents=True, exist_ok=True)
            lock = HeldLock(self.save_dir / f".{self.model_name}.lock")
        except BlockingIOError:
            raise CheckpointError(
                f"--save-dir {self.save_dir} is in use by another run of {self.model_name}; name another folder"
            ) from None
        except OSError as error:
            raise CheckpointError(f"--save-dir {self.save_dir} cannot be written: {error}") from None
        if self._old_best().exists() and not self.best_path.exists():
            self._old_best().rename(self.best_path)
        remove_unfinished(self.save_dir, begins=f"{self.model_name}_")
        for folder in (*self.found(), self.best_path):
            remove_unfinished(folder)
        shutil.rmtree(self._old_best(), ignore_errors=True)
        self._mend_best()
        return lock

    def _mend_best(self) -> None:
        """Give a best whose state.json lacks its scores, or is damaged, that of the epoch that it is a copy of.

        Earlier versions wrote the one after the other, and could be killed in between.
        """
        if not self.best_path.is_dir():
            return
        try:
            if (read_state(self.best_path) or {}).get("validated"):
                return
        except CheckpointError:
            pass
        for path in self.found():
            try:
                state = read_state(path) or {}
                if state.get("validated") and state.get("best_epoch") == state.get("epoch", 0) - 1:
                    for name in {WEIGHTS, *listed_files(state)}:
                        require_whole(self.best_path / name, state)
                    with atomic_write(self.best_path / STATE) as file:
                        file.write(seal(state, STATE))
                    return
            except (CheckpointError, OSError, TypeError):  # another epoch, or no state that a run has written
                pass

    def _old_best(self) -> Path:
        return self.save_dir / f".{self.best_path.name}.old"


def load_checkpoint(path: Path, model_name: str) -> Checkpoint:
    """Read a whole training state. Raises CheckpointError naming what is missing or damaged."""
    state = read_state(path)
    if state is None:
        raise CheckpointError(f"{path} holds no training state ({STATE}); {describe_contents(path)}")
    require_model(path, state, model_name)
    progress = _parse_progress(state, path)
    has_averaged = (path / AVERAGED).exists()
    for name in dict.fromkeys([WEIGHTS, OPTIMIZER, *[AVERAGED] * has_averaged, *listed_files(state)]):
        require_whole(path / name, state)
    averaged = load_arrays(path / AVERAGED) if has_averaged else None
    flags = state.get("flags")
    if flags is not None and not isinstance(flags, dict):
        raise CheckpointError(f"{path / STATE}: flags is {short_repr(flags, 60)}, which no run has written")
    weights, optimizer = load_arrays(path / WEIGHTS), load_dict(path / OPTIMIZER)
    return Checkpoint(path, weights, optimizer, progress, averaged=averaged, flags=flags)


def list_versions() -> dict[str, str | int | None]:
    """What a checkpoint is written by and in. Paddle: None for one that was not installed by pip."""
    paddle = find_installed("paddlepaddle")
    return {"project": VERSION, "paddle": paddle and paddle[1], "format": FORMAT}


def _write_folder(path: Path, contents: dict[str, dict], companions: Mapping[str, bytes], state: dict) -> None:
    """contents: what is pickled, by name. companions: as they are."""
    with atomic_folder(path) as folder:
        for name, content in companions.items():
            with atomic_write(folder / name) as file:
                file.write(content)
        for name, content in contents.items():
            with atomic_write(folder / name) as file:
                pickle.dump(content, file, protocol=4)
        files = {name: sum_of(folder / name) for name in (*contents, *companions)}
        with atomic_write(folder / STATE) as file:
            file.write(seal(state | {"files": files}, STATE))


def _link_or_copy(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:
        with open(file, "rb") as source, atomic_write(copy) as target:
            shutil.copyfileobj(source, target)


def _parse_progress(state: dict | None, path: Path) -> Progress:
    """The fields of a Progress, each of its own type and none negative. Earlier versions left out the last four."""
    state = {"world": 1, "loss_scaling": {}, "validations_since_best": 0} | (state or {})
    values = {field.name: state.get(field.name) for field in fields(Progress)}
    for name, value in values.items():
        if name == "validated":
            good = isinstance(value, bool)
        elif name == "loss_scaling":
            good = isinstance(value, dict) and all(isinstance(number, float | int) for number in value.values())
        elif name in ("best_score", "best_loss"):
            good = value is None or (isinstance(value, float | int) and math.isfinite(value))
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            good = good or (name == "best_epoch" and value is None)
        if not good:
            raise CheckpointError(f"{path / STATE}: {name} is {short_repr(value)}, which no run has written")
    return Progress(**values)
