"""The best classes of each video, or of each span of it, and the files that infer.py leaves."""

import contextlib
import csv
import hashlib
import io
import json
import logging
import pickle
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.errors import DataError
from tools.files.atomic import atomic_write_all, require_writable
from tools.files.locks import HeldLock
from tools.runtime.text import printable

log = logging.getLogger(__name__)

_BEGINS_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are the first four, of East Asian width


@dataclass(frozen=True)
class VideoClasses:
    """The best classes of one video or of one span of it, highest first.

    path, line: where the list names its file, as it is written there; line None where there is no list.
    start_sec, end_sec: the span's, from the video's first frame, in whole milliseconds, 1 or more of them; None for a
    whole video.
    frames: the numbers in the video of those that the network saw of a span; none for a whole video.
    number: of the record in its data set, in whose order results are written; 0 where they come in that order.
    """

    video_id: str
    path: str
    line: int | None
    probs: list[float]
    class_ids: list[int]
    start_sec: float | None = None
    end_sec: float | None = None
    frames: tuple[int, ...] = ()
    number: int = 0

    @property
    def name(self) -> str:
        """The video's id, and of a span its times behind it, as a W3C media fragment (1.0, section 4.2.1)."""
        if self.start_sec is None:
            return self.video_id
        return f"{self.video_id}#t={format_seconds(self.start_sec)},{format_seconds(self.end_sec)}"

    @property
    def begins(self) -> bool:
        """Whether this is a whole video or the first span of one."""
        return not self.start_sec


@dataclass(frozen=True)
class MergedSpans:
    """So many neighbouring spans of a video whose best class is the same; prob: the mean of its probabilities."""

    video_id: str
    path: str
    line: int | None
    class_id: int
    prob: float
    start_sec: float
    end_sec: float
    num_spans: int


def locate(batch, i: int) -> VideoClasses:
    """Which video, or which span of one, record i of a batch is, without any classes yet. batch: a ``Batch``."""
    entry, times = batch.entries[i], {}
    if batch.spans is not None:
        span = batch.spans[i]
        start, end = (round(float(seconds), 3) for seconds in (span.start_sec, span.end_sec))
        end = max(end, round(start + 0.001, 3))  # a film may be shorter, and no span is empty
        times = {"start_sec": start, "end_sec": end, "frames": span.frames}
    number = 0 if batch.numbers is None else int(batch.numbers[i])
    return VideoClasses(batch.ids[i], entry.written or entry.path, entry.line, [], [], number=number, **times)


def rank_classes(probs: np.ndarray, top_k: int) -> tuple[list[float], list[int]]:
    """The top_k highest probabilities (C,) and their class ids, highest first; 0 means all."""
    order = np.argsort(-probs, kind="stable")[: top_k or None]
    return probs[order].tolist(), order.tolist()


def list_classes(part: VideoClasses, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The classes of a video or span as the .json has them. names: by id, or none at all."""
    return [
        {"rank": rank, "class_id": class_id, "name": names[class_id] if names else "", "probability": prob}
        for rank, (prob, class_id) in enumerate(zip(part.probs, part.class_ids, strict=True), start=1)
    ]


def name_class(names: Sequence[str] | None, class_id: int) -> str:
    """What people are shown of a class: its name, or its id where it has none. names: by id, or none at all."""
    return (names[class_id] if names else "") or f"class {class_id}"


def format_seconds(seconds: float) -> str:
    """To the millisecond, without zeros at the end."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def merge_spans(results: list[VideoClasses]) -> list[MergedSpans]:
    """The spans of each video, neighbours of the same best class as one."""
    groups = []
    for part in results:
        before = groups[-1][-1] if groups and not part.begins else None
        # A stride longer than the window leaves gaps, of which nothing is known.
        if before and before.class_ids[0] == part.class_ids[0] and part.start_sec <= before.end_sec:
            groups[-1].append(part)
        else:
            groups.append([part])
    merged = []
    for parts in groups:
        first, prob = parts[0], float(np.mean([part.probs[0] for part in parts]))
        start, end = first.start_sec, parts[-1].end_sec
        merged.append(
            MergedSpans(first.video_id, first.path, first.line, first.class_ids[0], prob, start, end, len(parts))
        )
    return merged


def count_videos(results: list[VideoClasses]) -> int:
    """How many there are, whole or in spans."""
    return sum(part.begins for part in results)


def describe_repeated(results: list[VideoClasses]) -> str | None:
    """A line on ids that several videos have, as those of one file name in several folders do; None without any."""
    counts = Counter(part.video_id for part in results if part.begins)
    (video_id, most), *_ = counts.most_common(1)
    if most == 1:
        return None
    repeated = sum(count for count in counts.values() if count > 1)
    return (
        f"{repeated} of {counts.total()} videos share their id with another ({printable(video_id)}: {most} of them); "
        "path and line in the .json and .csv tell them apart, the pickle has ids alone"
    )


def require_results(base: Path) -> None:
    """Raise OSError unless results can be written at ``base`` and beside it. Ask before long work.

    What a killed run was writing there is removed.
    """
    for path in result_paths(base):
        require_writable(path)


def result_paths(base: Path) -> list[Path]:
    """Every file that may be written for ``base``."""
    return [*_all_paths(base), record_path(base)]


def lock_results(base: Path) -> contextlib.ExitStack:
    """Keep other runs from writing results at ``base`` until the stack is closed, or this process ends.

    Another run that writes them is waited for, with a line; where there can be no locks, nobody is.
    """
    stack, path = contextlib.ExitStack(), base.with_name(f".{base.name}.lock")
    with contextlib.suppress(OSError):
        try:
            stack.enter_context(HeldLock(path))
        except BlockingIOError:
            log.info(f"waiting for another run that is writing {base}")
            stack.enter_context(HeldLock(path, wait=True))
    return stack


def write_predictions(
    base: Path, results: list[VideoClasses], names: list[str] | None, *, csv_safe: bool = False
) -> list[Path]:
    """Write ``base`` (the pickle of 2019), ``base.json`` and ``base.csv``; return the paths.

    Of spans, also ``base_merged.json`` and ``base_merged.csv``, which else are removed. A byte of an id or a path that
    is no valid UTF-8, such as ff, is \\udcff in ``.json`` and ``.csv``, from which os.fsencode makes it again.
    Where one cannot be written, all are as they were. A process that is killed while they are replaced leaves files of
    two runs: ``base_run.json``, which is replaced first, has the sums that they should have (``describe_mixture``).
    csv_safe: put an apostrophe before texts in ``.csv`` that a spreadsheet would take for formulas, and quote all.
    """
    items, rows = [], []
    for part in results:
        place = {"id": part.video_id, "path": part.path, "line": part.line}
        times = {} if part.start_sec is None else {"start_sec": part.start_sec, "end_sec": part.end_sec}
        classes = list_classes(part, names)
        items.append({**place, "classes": classes, **times})
        rows += [{"id": part.video_id, **row, **place, **times} for row in classes]
    _, json_path, csv_path, *merged = _all_paths(base)
    of_2019 = [(part.name, part.probs, part.class_ids) for part in results]
    contents = {
        base: pickle.dumps(of_2019, protocol=2),  # what Python 2 reads too
        json_path: _as_json(items),
        csv_path: _as_csv(rows, csv_safe),
    }
    if results[0].start_sec is not None:
        rows = [_describe_merged(part, names) for part in merge_spans(results)]
        contents |= dict(zip(merged, (_as_json(rows), _as_csv(rows, csv_safe)), strict=True))
    sums = {path.name: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    record = json.dumps({"run": uuid.uuid4().hex, "sha256": sums}, indent=1) + "\n"
    try:
        atomic_write_all({record_path(base): record.encode()} | contents)
        for path in merged:
            if path not in contents:
                path.unlink(missing_ok=True)  # of an earlier run, whose results have just been replaced
    except OSError as error:
        raise DataError(f"results could not be written to {base.parent}: {error}") from None
    return list(contents)


def record_path(base: Path) -> Path:
    """The file that says which results belong together."""
    return base.with_name(f"{base.name}_run.json")


def _all_paths(base: Path) -> list[Path]:
    """The pickle, and what stands beside it; the last two only of spans."""
    return [base, *(base.with_name(f"{base.name}{end}") for end in (".json", ".csv", "_merged.json", "_merged.csv"))]


def describe_mixture(base: Path) -> str | None:
    """A line on results that are not all of one run; None where they are, or where nothing says so.

    Earlier versions did not write which belong together.
    """
    try:
        sums = json.loads(record_path(base).read_bytes())["sha256"]
        there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _all_paths(base) if path.exists()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        return f"{record_path(base)} cannot be read ({type(error).__name__}: {error}); run infer.py again"
    if sums == there:
        return None
    return (
        f"{base} and the files beside it are not of one run, as {record_path(base).name} says: one was changed, or a "
        "run was killed while it replaced them; run infer.py again"
    )


def _describe_merged(part: MergedSpans, names: list[str] | None) -> dict[str, Any]:
    return {
        "id": part.video_id,
        "class_id": part.class_id,
        "name": names[part.class_id] if names else "",
        "probability": part.prob,
        "path": part.path,
        "line": part.line,
        "start_sec": part.start_sec,
        "end_sec": part.end_sec,
        "spans": part.num_spans,
    }


def _as_json(items: list[dict[str, Any]]) -> bytes:
    return json.dumps(items, indent=1, ensure_ascii=False).encode(errors="backslashreplace")


def _as_csv(rows: list[dict[str, Any]], safe: bool) -> bytes:
    """All rows have the keys of the first. safe: as ``write_predictions`` says."""
    table = io.StringIO()
    # In quotes, a text stays in its cell where the separator is a semicolon.
    writer = csv.DictWriter(table, list(rows[0]), quoting=csv.QUOTE_NONNUMERIC if safe else csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows({key: _as_text(value) for key, value in row.items()} if safe else row for row in rows)
    return table.getvalue().encode(errors="backslashreplace")


def _as_text(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_BEGINS_FORMULA) else value
