"""The best classes of each video, and the files that infer.py leaves."""

import csv
import io
import json
import pickle
import re
from pathlib import Path

import numpy as np

from tools.errors import DataError
from tools.files.atomic import atomic_write


def rank_classes(probs: np.ndarray, top_k: int) -> tuple[list[float], list[int]]:
    """The top_k highest probabilities (C,) and their class ids, highest first; 0 means all."""
    order = np.argsort(-probs, kind="stable")[: top_k or None]
    return probs[order].tolist(), order.tolist()


def load_class_names(path: str, num_classes: int) -> list[str]:
    """Class names by id: a text file as ``parse_class_names`` takes it, or a CSV with columns Index and Name.

    YouTube-8M's vocabulary.csv is of the second kind. Classes that a CSV leaves out have no name.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"class names {path} cannot be read: {error}") from None
    if Path(path).suffix.lower() != ".csv":
        names = parse_class_names(text)
        if len(names) != num_classes:
            raise DataError(f"class names {path} has {len(names)} lines, but num_classes = {num_classes}")
        return names
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(f"class names {path} is not a CSV: {error}") from None
    if not rows or not {"Index", "Name"} <= rows[0].keys():
        raise DataError(f"class names {path} needs the columns Index and Name")
    names = [""] * num_classes
    for number, row in enumerate(rows, start=2):
        if not re.fullmatch("[0-9]{1,9}", row["Index"] or "") or int(row["Index"]) >= num_classes:
            raise DataError(f"class names {path} line {number}: Index {row['Index']} is not in 0 to {num_classes - 1}")
        names[int(row["Index"])] = row["Name"] or ""
    return names


def parse_class_names(text: str) -> list[str]:
    """One name a line, or names with their ids behind them, as 2019 wrote them: every line ends with its own number.

    Names that differ in nothing but such a number keep it.
    """
    names = [line.strip() for line in text.splitlines()]
    if not all(name.endswith(f" {class_id}") for class_id, name in enumerate(names)):
        return names
    without_ids = [name.rsplit(" ", 1)[0].strip() for name in names]
    return without_ids if len(set(without_ids)) == len(names) else names


def write_predictions(base: Path, results: list[tuple[str, list[float], list[int]]], names: list[str] | None) -> list:
    """Write ``base`` (the pickle of 2019), ``base.json`` and ``base.csv``; return the three paths.

    results: (video id, probabilities, class ids) of each video, highest first. What of an id is not valid Unicode
    becomes a question mark in ``.json`` and ``.csv``.
    """
    videos = [
        {
            "id": video_id,
            "classes": [
                {"rank": rank, "class_id": class_id, "name": names[class_id] if names else "", "probability": prob}
                for rank, (prob, class_id) in enumerate(zip(probs, class_ids, strict=True), start=1)
            ],
        }
        for video_id, probs, class_ids in results
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "rank", "class_id", "name", "probability"])
    writer.writeheader()
    for video in videos:
        writer.writerows({"id": video["id"], **row} for row in video["classes"])
    contents = {
        base: pickle.dumps(results, protocol=2),  # what Python 2 reads too
        base.with_name(base.name + ".json"): json.dumps(videos, indent=1, ensure_ascii=False).encode(errors="replace"),
        base.with_name(base.name + ".csv"): table.getvalue().encode(errors="replace"),
    }
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            with atomic_write(path) as file:
                file.write(content)
    except OSError as error:
        raise DataError(f"results could not be written to {base.parent}: {error}") from None
    return list(contents)
