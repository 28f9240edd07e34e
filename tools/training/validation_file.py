"""``{model}_valid.json``: what the scores of a run's last validation do not tell, for its page and for programs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.inference.mistakes import ShownMistake
from tools.pages.blocks import Picture

_TABLES = ("per_class", "confusions")  # of a metric's report


@dataclass(frozen=True)
class Validation:
    """One validation. report: as ``Metric.report`` gives it. class_names: by class id, None where not known."""

    epoch: int
    averaged: bool
    num_classes: int
    class_names: list[str] | None
    report: dict[str, list[dict]]
    mistakes: list[ShownMistake]

    def write(self, path: Path) -> None:
        """Raises OSError."""
        with atomic_write(path) as file:
            file.write(json.dumps(asdict(self)).encode() + b"\n")


def load_validation(path: Path) -> Validation | None:
    """None for no file. Raises DataError for one that cannot be read or is another."""
    try:
        found = json.loads(path.read_bytes())
        return Validation(
            epoch=int(found["epoch"]),
            averaged=bool(found["averaged"]),
            num_classes=int(found["num_classes"]),
            class_names=None if found["class_names"] is None else [str(name) for name in found["class_names"]],
            report={name: _parse_rows(found["report"][name]) for name in _TABLES if name in found["report"]},
            mistakes=[_parse_mistake(one) for one in found["mistakes"]],
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{path} is not what train.py writes; the next validation writes it anew") from None


def _parse_rows(rows: list[dict]) -> list[dict]:
    return [{str(key): _number(value) for key, value in row.items()} for row in rows]


def _parse_mistake(one: dict) -> ShownMistake:
    pictures = [
        Picture(*(str(picture[key]) for key in ("uri", "alternative", "caption"))) for picture in one["pictures"]
    ]
    if not all(picture.uri.startswith("data:image/") for picture in pictures):
        raise ValueError("a picture lies elsewhere")
    own, best = ([(int(c), float(p)) for c, p in one[key]] for key in ("own", "best"))
    return ShownMistake(str(one["video_id"]), str(one["source"]), own, best, pictures, str(one["note"]))


def _number(value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return value
