"""Which settings of a training are not those of the checkpoint that it resumes from. Needs no Paddle.

The former ones are in the checkpoint's config.txt and, of flags and device, in its state.json.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.config.compare import Difference, flatten, list_differences
from tools.config.load import Config
from tools.errors import CheckpointError, ConfigError
from tools.runtime.text import short_repr
from tools.training.checkpoint import Checkpoint, Progress
from tools.training.options import TrainingOptions
from tools.weights.self_description import CONFIG, find_self_description, read_own_config

_SECTIONS = ["MODEL", "TRAIN"]
# Keys that change nothing in what is learnt: of the data and the device more is known than what they are called, and a
# checkpoint takes the place of other weights to begin with.
_WITHOUT_EFFECT = {"filelist", "format", "num_reader_threads", "pretrain_base", "topk", "use_gpu"}
_PROCESSES = "the number of processes"
_DATA = "the data (the files, their order, or TRAIN.sampling)"
_OF_ORDER = {"TRAIN.batch_size", "TRAIN.seed", "TRAIN.sampling", "TRAIN.sort_by_length", _PROCESSES, _DATA}
_POINTS = 1000  # of the steps to come, at which two schedules are compared


@dataclass(frozen=True)
class TrainingSettings:
    """What a training goes by. spec: see ``models/spec.py``. flags: name -> value, of what no config holds."""

    model_name: str
    spec: Any
    config: Config
    flags: Mapping[str, Any]
    steps_per_epoch: int


@dataclass(frozen=True)
class Changes:
    """The settings that change what is learnt and are not the checkpoint's. notes: what cannot be told of them."""

    differences: list[Difference]
    notes: list[str]

    def lines(self) -> list[str]:
        """One for each difference."""
        return [f"{one.name} was {_show(one.was)} and is {_show(one.value)} now" for one in self.differences]

    @property
    def of_order(self) -> bool:
        """Whether a number of steps no longer stands for the same records of an epoch."""
        return any(one.name in _OF_ORDER for one in self.differences)


def flags_of(options: TrainingOptions, device: str) -> dict[str, Any]:
    """What a checkpoint keeps of how it is trained beside its config. device: "gpu" or "cpu"."""
    return options.learning() | {"device": device}


def find_changes(checkpoint: Checkpoint, now: Progress, settings: TrainingSettings) -> Changes:
    """Compare a run with the checkpoint that it is to resume. now: the run's position at its beginning."""
    saved = checkpoint.progress
    current = {**flatten(settings.config, _SECTIONS), **settings.flags, **_facts(now)}
    own, notes = _read_config(checkpoint, settings)
    former = {**own, **_facts(saved)}
    if checkpoint.flags is not None:
        former |= TrainingOptions().learning() | checkpoint.flags  # flags that are newer than it were not there
    elif own:
        told = ", ".join(TrainingOptions().learning())
        notes.append(f"it does not say with which flags it was trained: whether {told} have changed cannot be told")
    found = [
        one
        for one in list_differences(current, former)
        if one.name.rpartition(".")[2] not in _WITHOUT_EFFECT
        and not (one.name == "TRAIN.epoch" and _same_rates(settings, one.was, saved.steps_taken))
    ]
    return Changes(found, notes)


def require_unchanged(checkpoint: Checkpoint, changes: Changes) -> None:
    """Raise CheckpointError, which names them, where there are changes and the checkpoint stands inside an epoch."""
    if changes.differences and checkpoint.progress.step:
        raise CheckpointError(
            f"{checkpoint.path} stands inside an epoch, where a run can resume only as it was, but "
            f"{', '.join(changes.lines())}; resume from a finished epoch, or with the former settings and data, or "
            "pass --resume-changed to go on all the same"
        )


def _facts(progress: Progress) -> dict[str, Any]:
    """What a checkpoint of any version says of its settings."""
    return {
        "TRAIN.batch_size": progress.batch_size,
        "TRAIN.seed": progress.seed,
        _PROCESSES: progress.world,
        _DATA: f"{progress.records} records with checksum {progress.data}",
    }


def _read_config(checkpoint: Checkpoint, settings: TrainingSettings) -> tuple[dict[str, Any], list[str]]:
    """The values of a checkpoint's config, none where it cannot be told, and a line on that."""
    described = find_self_description(str(checkpoint.path))
    if described is None or described.config is None:
        of_flags = "" if checkpoint.flags else " and no flags"
        return {}, [
            f"it holds no {CONFIG}{of_flags}, as those of earlier versions: whether settings such as the learning rate "
            "have changed cannot be told"
        ]
    try:
        own = read_own_config(described, settings.spec, settings.model_name, _SECTIONS)
    except ConfigError as error:
        return {}, [f"whether settings of a config have changed cannot be told: {error}"]
    return flatten(own, _SECTIONS), []


def _same_rates(settings: TrainingSettings, epochs: int, steps_taken: int) -> bool:
    """Whether the learning rates to come are those of a run of another number of epochs."""
    config, build, steps = settings.config, settings.spec.build_schedule, settings.steps_per_epoch
    other = Config(config.path, {"TRAIN": replace(config.TRAIN, epoch=epochs)}, [])
    one, two = build(config, steps), build(other, steps)
    end = max(epochs, config.TRAIN.epoch) * steps
    to_come = range(steps_taken, end, max((end - steps_taken) // _POINTS, 1))
    return all(one(step) == two(step) for step in to_come)


def _show(value: Any) -> str:
    return value if isinstance(value, str) and " " in value else short_repr(value, 60)
