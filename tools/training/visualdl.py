"""What a run records, also as scalars for VisualDL, a package that is imported only where it is asked for.

VisualDL shows the newest file of a folder and takes every folder for a run: one writes ``DIR/{model}/vdlrecords.log``,
a resumed one goes on in it, and a new one moves it to ``DIR/{model}_before_{time}/``.
"""

import contextlib
import io
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

from tools.errors import ConfigError, PackageError
from tools.files.atomic import require_writable
from tools.runtime.log import hear_events

log = logging.getLogger(__name__)

NAME = "vdlrecords.log"  # VisualDL knows its files by the first part
_NO_SCALARS = ("epoch", "iter", "videos", "averaged", "steps_taken")


def require_visualdl(folder: Path) -> None:
    """Raise PackageError where VisualDL cannot be imported, and ConfigError where the folder cannot be written."""
    try:
        import visualdl  # noqa: F401
    except ImportError as error:
        reason = "is not installed" if error.name == "visualdl" else f"cannot be imported ({error})"
        raise PackageError(
            f"--visualdl: VisualDL {reason}; python -m pip install -r requirements-visualdl.txt, or leave the flag out"
        ) from None
    try:
        require_writable(folder / NAME)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--visualdl {folder} cannot be written: {error}") from None


@contextlib.contextmanager
def write_scalars(folder: Path | None, model_name: str) -> Iterator[None]:
    """Write scalars of what is recorded meanwhile. folder: None to write none."""
    if folder is None:
        yield
        return
    scalars = _Scalars(folder, model_name)
    try:
        with hear_events(scalars.hear):
            yield
    finally:
        scalars.close()


class _Scalars:
    """The writer of a run. An error ends it with a line, and not the training."""

    def __init__(self, folder: Path, model_name: str):
        self._folder, self._model_name = folder, model_name
        self._writer, self._has_failed = None, False

    def hear(self, event: str, values: dict) -> None:
        if self._has_failed:
            return
        try:
            if event == "start":
                self._open(is_new=values["resumed"] is None)
            elif self._writer and event in ("train_step", "valid_epoch"):
                self._add(event, values)
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not end a training)
            self._fail(error)

    def close(self) -> None:
        try:
            if self._writer:
                self._writer.close()
        except Exception as error:  # noqa: BLE001  (as above)
            self._fail(error)

    def _open(self, is_new: bool) -> None:
        from visualdl import LogWriter

        own = self._folder / self._model_name
        if is_new and (own / NAME).exists():
            aside = self._folder / time.strftime(f"{self._model_name}_before_%Y%m%d_%H%M%S")
            while aside.exists():  # of this second, by a run that was stopped at once
                aside = aside.with_name(f"{aside.name}_")
            own.rename(aside)
        with contextlib.redirect_stdout(io.StringIO()):  # VisualDL 2.5.3 prints that it goes on in a file
            self._writer = LogWriter(logdir=str(own), file_name=NAME)

    def _add(self, event: str, values: dict) -> None:
        is_step = event == "train_step"
        kind = "train" if is_step else "valid averaged" if values.get("averaged") else "valid"
        step = values["steps_taken"] if is_step else values["epoch"]
        for name, value in values.items():
            if name not in _NO_SCALARS and math.isfinite(value):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def _fail(self, error: Exception) -> None:
        self._writer, self._has_failed = None, True
        log.info(f"warning: no more scalars for VisualDL in {self._folder}: {type(error).__name__}: {error}")
