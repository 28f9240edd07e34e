"""What a run records of itself for its page, and the page: made anew at every validation, by the first process.

Nothing that goes wrong here ends a training: it is one line in the log. The modules that make pages are imported when
the first page is made.
"""

import sys
from collections.abc import Sequence

from tools.config.load import Config
from tools.inference.mistakes import WorstMistakes, picture_mistakes
from tools.inference.run_blocks import load_published
from tools.registry import METRICS
from tools.runtime.environment import describe_environment
from tools.runtime.log import record_event
from tools.training.checkpoint import CheckpointStore
from tools.training.history import History
from tools.training.options import TrainingOptions
from tools.training.run_files import RecordedRun, RunFiles, read_validation
from tools.training.validation_file import Validation


class RunReport:
    """The page of a run. In the processes but the first, which have no store, all of its methods do nothing.

    spec: see ``models/spec.py``. class_names: by class id, None where they are not known. device: "gpu" or "cpu".
    """

    def __init__(
        self, store: CheckpointStore | None, spec, config: Config, options: TrainingOptions,
        class_names: Sequence[str] | None, device: str,
    ):  # fmt: skip
        self._files = RunFiles(store.save_dir, store.model_name) if store else None
        self._spec, self._config, self._options = spec, config, options
        self._class_names, self._device = class_names, device
        self._run: RecordedRun | None = None
        self._last = None  # of the validations: what ``keep`` was given
        self._told_skipped: dict[str, list[str]] = {}

    def begin(self, *, resumed: str | None, processes: int, steps: int, datasets: dict, notices: Sequence[str]) -> None:
        """Record how the run was started. datasets: section -> data set. steps: of an epoch."""
        if not self._files:
            return
        notices = [*notices, *(f"[{name}] {text}" for name, dataset in datasets.items() for text in dataset.notices)]
        record_event(
            "start",
            resumed=resumed,
            command=sys.orig_argv,
            flags=self._options.changed(),
            environment={**describe_environment(), "device": self._device, "processes": str(processes)},
            epochs=self._config.TRAIN.epoch,
            steps_per_epoch=steps,
            records={name: len(dataset) for name, dataset in datasets.items()},
            notices=notices,
        )

    def skipped(self, section: str, texts: list[str]) -> None:
        """Record all that has been skipped of a section so far, by all processes, where that has become more."""
        if self._files and texts and texts != self._told_skipped.get(section):
            self._told_skipped[section] = texts
            record_event("skipped", section=section, texts=texts)

    def keep(self, metric, worst: WorstMistakes, dataset, *, epoch: int, averaged: bool = False) -> None:
        """Of a validation, what ``write`` needs; the last one counts."""
        if self._files:
            self._last = (metric, worst, dataset, epoch, averaged)

    def end(self, reason: str) -> None:
        """Record what the run ends with, and write its page for the last time."""
        if self._files:
            record_event("end", reason=reason)
            self.write()

    def describe(self) -> list[str]:
        """A line on where the page is, for the end of a run."""
        return [f"page of this run: {self._files.page}"] if self._files and self._files.page.is_file() else []

    def write(self) -> None:
        """Make the page of what has been recorded so far."""
        if not self._files:
            return
        from tools.pages.page import try_to_write

        try_to_write(self._files.page, self._build)

    def _build(self):
        from tools.training.run_page import build_run_page

        if self._run is None:
            metric = METRICS.get(self._spec.metrics)(self._config)
            published = load_published(self._spec, self._files.model_name)
            history, validation = History(self._files.numbers), read_validation(self._files)
            self._run = RecordedRun(self._files, self._spec, history, metric, self._config, published, *validation)
        if self._last:
            self._run.validation, self._run.problems = self._describe_last(), ()
            self._last = None
            self._run.validation.write(self._files.validation)
        self._run.history.update()
        return build_run_page(self._run)

    def _describe_last(self) -> Validation:
        metric, worst, dataset, epoch, averaged = self._last
        before = self._run.validation
        mistakes = picture_mistakes(worst.found, dataset, before.mistakes if before else ())
        names = None if self._class_names is None else list(self._class_names)
        return Validation(epoch, averaged, self._config.MODEL.num_classes, names, metric.report(), mistakes)
