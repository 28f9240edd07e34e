"""What a training run left: its scores epoch by epoch, and where everything is.

python -m tools.summary checkpoints --model-name=AttentionCluster
"""

import argparse
import json
import sys
from pathlib import Path

import models  # noqa: F401  (registers the names)
from tools.errors import DataError, ZooError
from tools.registry import MODELS


def load_epochs(path: Path) -> list[dict]:
    """The validations of a run's .jsonl, one an epoch (the last, where a run was repeated), in order."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    events = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue  # the line that a killed run was writing
    events = [event for event in events if isinstance(event, dict)]
    begins = [i for i, event in enumerate(events) if event.get("event") == "begin"]
    run = events[begins[-1] :] if begins else events  # earlier runs in this folder are another matter
    latest = {event["epoch"]: event for event in run if event.get("event") == "valid_epoch" and "epoch" in event}
    return [latest[epoch] for epoch in sorted(latest)]


def format_epochs(epochs: list[dict]) -> str:
    """A table with a line an epoch; epoch -1 is the score before training."""
    if not epochs:
        return "no validation yet"
    columns = [key for key in epochs[-1] if key not in ("event", "time", "epoch", "videos")]
    rows = [["after epoch", *columns]]
    for event in epochs:
        name = "(none)" if event["epoch"] < 0 else str(event["epoch"])
        rows.append([name, *(f"{event[key]:.4f}" for key in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("save_dir", type=Path, help="the --save-dir of train.py")
    parser.add_argument("--model-name", required=True)
    args = parser.parse_args()
    try:
        base = args.save_dir / MODELS.spelling(args.model_name)
        print(format_epochs(load_epochs(Path(f"{base}_train.jsonl"))))
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
