"""The files of a run that lie beside its checkpoints, and what a page needs of them. Needs no Paddle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.config.flags import ConfigSource, read_config
from tools.config.load import Config
from tools.errors import ConfigError, DataError
from tools.inference.run_blocks import load_published
from tools.registry import METRICS, MODELS
from tools.training.history import History
from tools.training.validation_file import Validation, load_validation

NUMBERS = "_train.jsonl"  # behind the model's name; a run is there where this is


@dataclass(frozen=True)
class RunFiles:
    """The places of a run's files. model_name: as published."""

    folder: Path
    model_name: str

    @property
    def numbers(self) -> Path:
        return self._file(NUMBERS)

    @property
    def settings(self) -> Path:
        return self._file("_config.txt")

    @property
    def validation(self) -> Path:
        """What the scores of the last validation do not tell, as JSON."""
        return self._file("_valid.json")

    @property
    def page(self) -> Path:
        return self._file("_report.html")

    def _file(self, end: str) -> Path:
        return self.folder / f"{self.model_name}{end}"


@dataclass
class RecordedRun:
    """What is known of a run.

    spec, metric: see ``models/spec.py`` and ``metrics/metric.py``. metric, config: None without the run's settings.
    published: the model's own config. validation: the last one, None where there was none. problems: what could not be
    read, and why, a sentence each.
    """

    files: RunFiles
    spec: Any
    history: History
    metric: Any
    config: Config | None
    published: Config | None
    validation: Validation | None
    problems: tuple[str, ...] = ()

    def describe_problems(self) -> list[str]:
        """What of the run's files could not be read, a sentence each."""
        found, history = list(self.problems), self.history
        if history.damaged:
            lines = "1 line" if history.damaged == 1 else f"{history.damaged} lines"
            found.append(
                f"{self.files.numbers}: passed over {lines} that cannot be read; a kill may have cut the last."
            )
        if history.earlier_runs:
            found.append(f"{self.files.numbers} holds {history.earlier_runs} earlier runs too; this is the last.")
        return found


def load_run(files: RunFiles) -> RecordedRun:
    """A run by what it has left. Raises DataError where it has left no numbers, or none yet."""
    spec = MODELS.get(files.model_name)()
    history, problems = History(files.numbers), []
    try:
        history.update()
    except OSError as error:
        raise DataError(f"{files.numbers} cannot be read: {error}") from None
    if history.is_empty:
        raise DataError(f"{files.numbers} holds no step and no score; the run has not begun to train")
    try:
        config = read_config(ConfigSource(str(files.settings)), spec, files.model_name, ["MODEL"], check=False)
    except ConfigError as error:
        config = None
        problems.append(f"The settings are not known, nor the units of scores: {error}")
    validation, more = read_validation(files)
    metric = METRICS.get(spec.metrics)(config) if config else None
    published = load_published(spec, files.model_name)
    return RecordedRun(files, spec, history, metric, config, published, validation, (*problems, *more))


def read_validation(files: RunFiles) -> tuple[Validation | None, tuple[str, ...]]:
    """What is known of the last validation, None where nothing is, and a sentence on a file that cannot be used."""
    try:
        return load_validation(files.validation), ()
    except DataError as error:
        return None, (str(error),)


def find_models(folder: Path) -> list[str]:
    """The models, as published, of which a folder holds runs."""
    known = {name.upper(): name for name in MODELS.names()}
    names = (path.name.removesuffix(NUMBERS).upper() for path in folder.glob(f"*{NUMBERS}"))
    return sorted({known[name] for name in names if name in known})
