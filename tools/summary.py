"""What a training run left: its scores epoch by epoch, and where everything is.

python -m tools.summary checkpoints --model-name=AttentionCluster
"""

import json
import math
from pathlib import Path

import models  # noqa: F401  (registers the names)
from tools.config.flags import make_parser, parse_text
from tools.errors import DataError
from tools.registry import MODELS
from tools.runtime.entry import run_program
from tools.runtime.tables import format_columns


def load_epochs(path: Path) -> list[dict]:
    """The validations of a run's .jsonl in order, those of averaged weights behind those of the epoch itself.

    Where a run went back, as with --resume, what it had left of the epochs from there on no longer counts.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    scores = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the line that a killed run was writing, or one that is damaged
        if not isinstance(event, dict):
            continue
        if event.get("event") == "begin":
            scores = []  # earlier runs in this folder are another matter
        if not isinstance(epoch := event.get("epoch"), int):
            continue
        if not event.get("averaged"):
            scores = [score for score in scores if score["epoch"] < epoch]
        if event.get("event") == "valid_epoch":
            scores.append(event)
    return scores


def format_epochs(epochs: list[dict]) -> str:
    """A table with a line a validation; epoch -1 is the score before training, nan what was not measured."""
    if not epochs:
        return "no validation yet"
    columns = [key for key in epochs[-1] if key not in ("event", "time", "epoch", "videos", "averaged")]
    rows = [["after epoch", *columns]]
    for event in epochs:
        name = "(none)" if event["epoch"] < 0 else str(event["epoch"])
        name = f"averaged {name}" if event.get("averaged") else name
        rows.append([name, *(f"{event.get(key, math.nan):.4f}" for key in columns)])
    return format_columns(rows, align=">")


def main() -> None:
    parser = make_parser(__doc__, prog="python -m tools.summary")
    parser.add_argument("save_dir", type=Path, help="the --save-dir of train.py")
    parser.add_argument("--model-name", type=parse_text, required=True, metavar="NAME", help=", ".join(MODELS.names()))
    args = parser.parse_args()
    base = args.save_dir / MODELS.canonical_name(args.model_name)
    print(format_epochs(load_epochs(Path(f"{base}_train.jsonl"))))
    print()
    for title, path in (
        ("best checkpoint", f"{base}_best"),
        ("log", f"{base}_train.log"),
        ("numbers", f"{base}_train.jsonl"),
        ("settings", f"{base}_config.txt"),
        ("results", f"{base}_infer_result.csv"),
    ):
        if Path(path).exists():
            print(f"{title:<16} {path}")


if __name__ == "__main__":
    run_program(main)
