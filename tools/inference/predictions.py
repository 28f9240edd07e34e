"""The best classes of each video, and the files that infer.py leaves."""

import csv
import io
import json
import pickle
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.errors import DataError
from tools.files.atomic import atomic_write
from tools.runtime.text import printable


@dataclass(frozen=True)
class VideoClasses:
    """The best classes of one video, highest first.

    path, line: where the list names its file, as it is written there; line None where there is no list.
    """

    video_id: str
    path: str
    line: int | None
    probs: list[float]
    class_ids: list[int]


def rank_classes(probs: np.ndarray, top_k: int) -> tuple[list[float], list[int]]:
    """The top_k highest probabilities (C,) and their class ids, highest first; 0 means all."""
    order = np.argsort(-probs, kind="stable")[: top_k or None]
    return probs[order].tolist(), order.tolist()


def describe_repeated(results: list[VideoClasses]) -> str | None:
    """A line on ids that several videos have, as those of one file name in several folders do; None without any."""
    counts = Counter(video.video_id for video in results)
    (video_id, most), *_ = counts.most_common(1)
    if most == 1:
        return None
    repeated = sum(count for count in counts.values() if count > 1)
    return (
        f"{repeated} of {len(results)} videos share their id with another ({printable(video_id)}: {most} of them); "
        "path and line in the .json and .csv tell them apart, the pickle has ids alone"
    )


def write_predictions(base: Path, results: list[VideoClasses], names: list[str] | None) -> list:
    """Write ``base`` (the pickle of 2019), ``base.json`` and ``base.csv``; return the three paths.

    What of an id or a path is not valid Unicode becomes a question mark in ``.json`` and ``.csv``.
    """
    videos = [
        {
            "id": video.video_id,
            "path": video.path,
            "line": video.line,
            "classes": [
                {"rank": rank, "class_id": class_id, "name": names[class_id] if names else "", "probability": prob}
                for rank, (prob, class_id) in enumerate(zip(video.probs, video.class_ids, strict=True), start=1)
            ],
        }
        for video in results
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "rank", "class_id", "name", "probability", "path", "line"])
    writer.writeheader()
    for video in videos:
        place = {key: video[key] for key in ("id", "path", "line")}
        writer.writerows({**place, **row} for row in video["classes"])
    of_2019 = [(video.video_id, video.probs, video.class_ids) for video in results]
    contents = {
        base: pickle.dumps(of_2019, protocol=2),  # what Python 2 reads too
        base.with_name(base.name + ".json"): json.dumps(videos, indent=1, ensure_ascii=False).encode(errors="replace"),
        base.with_name(base.name + ".csv"): table.getvalue().encode(errors="replace"),
    }
    try:
        for path, content in contents.items():
            with atomic_write(path) as file:
                file.write(content)
    except OSError as error:
        raise DataError(f"results could not be written to {base.parent}: {error}") from None
    return list(contents)
