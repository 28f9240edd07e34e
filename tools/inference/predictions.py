"""The best classes of each video, and the files that infer.py leaves."""

import csv
import io
import json
import pickle
from pathlib import Path

import numpy as np

from tools.errors import DataError
from tools.files.atomic import atomic_write


def rank_classes(probs: np.ndarray, top_k: int) -> tuple[list[float], list[int]]:
    """The top_k highest probabilities (C,) and their class ids, highest first; 0 means all."""
    order = np.argsort(-probs, kind="stable")[: top_k or None]
    return probs[order].tolist(), order.tolist()


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
