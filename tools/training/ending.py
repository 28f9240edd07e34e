"""What a training ends with: the best epoch, where it is, how much disk all takes, and the command that tests it."""

import shlex
import sys
from pathlib import Path

from tools.runtime.text import format_bytes
from tools.training.checkpoint import CheckpointStore, Progress
from tools.weights.checkpoint_files import AVERAGED


def describe_end(store: CheckpointStore, progress: Progress, metric, config_path: Path | None) -> list[str]:
    """Lines for the log; none where there is no checkpoint.

    metric: of the validations; see ``metrics/metric.py``. config_path: of a config that has a [TEST], or None.
    """
    folders = store.found()
    has_best = progress.best_epoch is not None and store.best_path.exists()
    if has_best:
        weights = store.best_path
        folders.append(weights)
        begin = f"best: epoch {progress.best_epoch}, {describe_score(metric, progress.best_score)}, in {weights}"
    elif folders:
        weights = folders[0]
        begin = f"no epoch was scored; the last is in {weights}"
    else:
        return []
    lines = [f"{begin}; the checkpoints take {format_bytes(_bytes_of(folders))}"]
    if config_path:
        lines.append(f"test it: {shlex.join(_test_command(store.model_name, config_path, weights))}")
    return lines


def describe_score(metric, value: float) -> str:
    """The score that chooses the best epoch, with its name and unit."""
    ((name, text),) = metric.rows({metric.score: value})
    return f"{name} {text}"


def _test_command(model_name: str, config_path: Path, weights: Path) -> list[str]:
    """As this program was started, with the weights that were scored: the averaged ones where there are some."""
    if (weights / AVERAGED).exists():
        weights /= AVERAGED
    script = Path(sys.argv[0]).with_name("test.py")
    flags = [f"--model-name={model_name}", f"--config={config_path}", f"--weights={weights}"]
    return [sys.orig_argv[0], str(script), *flags]


def _bytes_of(folders: list[Path]) -> int:
    """On the disk, where folders share files."""
    status = [path.stat() for folder in folders for path in folder.iterdir()]
    return sum({(one.st_dev, one.st_ino): one.st_size for one in status}.values())
