"""Show what a training run left: its scores epoch by epoch, and where everything is.

python -m tools.summary checkpoints --model-name=AttentionCluster
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import json
from dataclasses import dataclass

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from metrics.metric import Metric
from tools.config.flags import parse_text
from tools.config.load import load_config
from tools.config.parser import Group, make_parser
from tools.errors import CheckpointError, DataError
from tools.files.texts import NO_JSON
from tools.inference.predictions import describe_mixture
from tools.registry import METRICS, MODELS
from tools.runtime.entry import run_program
from tools.runtime.tables import format_columns
from tools.weights.checkpoint_files import read_state

_OF_THE_EVENT = ("event", "time", "epoch", "videos", "averaged")  # what is no score in it


@dataclass(frozen=True)
class Scores:
    """What a run's .jsonl says of its validations.

    epochs: the validations in order, those of averaged weights behind those of the epoch itself. earlier_runs: how
    many others the file holds, whose validations are not among them.
    """

    epochs: list[dict]
    earlier_runs: int


def load_scores(path: Path) -> Scores:
    """The validations of the last run that is in a file.

    Where a run went back, as with --resume, what it had left of the epochs from there on no longer counts.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    scores, runs, is_empty = [], 0, True
    for line in lines:
        try:
            event = json.loads(line)
        except NO_JSON:
            continue  # the line that a killed run was writing, or one that is damaged
        if not isinstance(event, dict):
            continue
        if event.get("event") == "begin":  # earlier versions let several runs write to one file
            scores, runs, is_empty = [], runs + (not is_empty), True
        if not isinstance(epoch := event.get("epoch"), int):
            continue
        is_empty = False
        if not event.get("averaged"):
            scores = [score for score in scores if score["epoch"] < epoch]
        if event.get("event") == "valid_epoch":
            scores.append(event)
    return Scores(scores, runs)


def format_epochs(epochs: list[dict], best_epoch: int | None = None, metric: Metric | None = None) -> str:
    """A table with a line a validation; epoch -1 is the score before training, - what was not measured.

    best_epoch: the one that is marked, in the line of its averaged weights where it has one. metric: that of the run,
    which knows the units; without it values are as they are.
    """
    if not epochs:
        return "no validation yet"
    columns = [key for key in epochs[-1] if key not in _OF_THE_EVENT]
    rows = [["after epoch", *columns, ""]]
    best = max((place for place, event in enumerate(epochs) if event["epoch"] == best_epoch), default=None)
    for place, event in enumerate(epochs):
        name = "(none)" if event["epoch"] < 0 else str(event["epoch"])
        name = f"averaged {name}" if event.get("averaged") else name
        values = {key: event[key] for key in columns if key in event}
        texts = dict(metric.rows(values)) if metric else {key: f"{value:.6f}" for key, value in values.items()}
        rows.append([name, *(texts.get(key, "-") for key in columns), "best" if place == best else ""])
    return format_columns(rows, align=">")


def find_metric(model_name: str, settings: Path) -> Metric | None:
    """The metric of a run by the settings that it left; None without them."""
    if not settings.exists():
        return None
    spec = MODELS.get(model_name)()
    config = load_config(str(settings), spec.schema, ["MODEL"], model_name, check=False)
    return METRICS.get(spec.metrics)(config)


def find_best(path: Path) -> int | None:
    """The epoch of the best checkpoint; None where there is none, or nothing that says so."""
    try:
        state = read_state(path)
    except CheckpointError:
        return None
    return state.get("best_epoch") if state else None


def main() -> None:
    parser = make_parser(__doc__, prog="python -m tools.summary")
    parser.add_argument("save_dir", type=Path, help="the --save-dir of train.py")
    add = parser.group(Group.MODEL).add_argument
    add("--model-name", type=parse_text, required=True, metavar="NAME", help=", ".join(MODELS.names()))
    args = parser.parse_args()
    name = MODELS.canonical_name(args.model_name)
    base = args.save_dir / name
    numbers, settings = Path(f"{base}_train.jsonl"), Path(f"{base}_config.txt")
    scores = load_scores(numbers)
    print(format_epochs(scores.epochs, find_best(Path(f"{base}_best")), find_metric(name, settings)))
    if count := scores.earlier_runs:
        print()
        print(f"{numbers} holds {count} earlier run{'s' * (count > 1)} too; these are the scores of the last")
    print()
    for title, path in (
        ("best checkpoint", f"{base}_best"),
        ("log", f"{base}_train.log"),
        ("numbers", numbers),
        ("settings", settings),
        ("results", f"{base}_infer_result.csv"),
    ):
        if Path(path).exists():
            print(f"{title:<16} {path}")
    if mixture := describe_mixture(Path(f"{base}_infer_result")):
        print(mixture)


if __name__ == "__main__":
    run_program(main)
