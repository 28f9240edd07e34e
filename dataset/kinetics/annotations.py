"""The official CSV files of Kinetics, their classes, and the videos of a folder that they name."""

import contextlib
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datareader.class_names import parse_class_names
from datareader.clips.frame_folders import is_frame_name
from datareader.media import identify, walk_folders
from tools.errors import DataError
from tools.files.texts import NotTextError, read_text
from tools.runtime.text import printable, shorten

_OPEN_QUOTE = "a quote that opens there does not close in that line"


@dataclass(frozen=True)
class Annotation:
    """One line of a CSV. class_name and split: "" where there is none. times_sec: start and end, or None."""

    where: str
    class_name: str
    youtube_id: str
    times_sec: tuple[int, int] | None
    split: str

    @property
    def name(self) -> str:
        """The official stem of the video's file, which is also its id."""
        if self.times_sec is None:
            return self.youtube_id
        start, end = self.times_sec
        return f"{self.youtube_id}_{start:06d}_{end:06d}"


def load_annotations(path: str) -> list[Annotation]:
    """The videos of a CSV with the column youtube_id and, where known, label, time_start, time_end and split.

    Raises DataError naming the file, and the line where there is one.
    """
    import pandas as pd  # not above: worker processes do not need it

    try:
        # Every value is text: ids such as NA, 1e5 or 0123 are no numbers.
        text = read_text(path)
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; expected a CSV such as Kinetics has") from None
    except NotTextError as error:
        raise DataError(f"{path} {error}; expected a CSV such as Kinetics has") from None
    except ValueError as error:  # of decoding and of parsing
        if "EOF inside string" in str(error):
            raise DataError(f"{path} line {_find_open_quote(text)}: {_OPEN_QUOTE}") from None
        raise DataError(f"{path} is not a CSV: {' '.join(str(error).split())[:200]}") from None
    table.columns = table.columns.str.strip()
    if not {"youtube_id"} <= set(table.columns):
        known = shorten(printable(", ".join(map(str, table.columns[:8]))), 200)
        raise DataError(f"{path} has no column youtube_id in its first line; it has {known}")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path} line 2 has more values than columns; quote values that hold a comma")
    rows = table.fillna("").to_dict("records")
    found = [_parse_row(row, f"{path} line {number}") for number, row in enumerate(rows, start=2) if any(row.values())]
    if not found:
        raise DataError(f"{path} names no videos")
    return found


def _find_open_quote(text: str) -> int:
    """The first line of the first row that does not end in the line that it begins in."""
    rows, line = csv.reader(io.StringIO(text)), 1
    with contextlib.suppress(csv.Error):  # one so long that it is no value
        for _ in rows:
            if rows.line_num > line:
                break
            line = rows.line_num + 1
    return line


def _parse_row(row: dict[str, str], where: str) -> Annotation:
    if any("\n" in value for value in row.values()):
        raise DataError(f"{where}: {_OPEN_QUOTE}")
    youtube_id, class_name = row["youtube_id"].strip(), row.get("label", "").strip()
    if not youtube_id or youtube_id.startswith(".") or re.search(r"[/\\\x00-\x1f]", youtube_id):
        raise DataError(f"{where}: youtube_id {youtube_id[:40]!r} cannot be the name of a file")
    times = [row.get(key, "").strip() for key in ("time_start", "time_end")]
    if not any(times):
        times_sec = None
    elif all(re.fullmatch(r"[0-9]{1,9}(\.0*)?", time) for time in times):
        times_sec = int(float(times[0])), int(float(times[1]))
    else:
        raise DataError(f"{where}: time_start {times[0][:40]!r} and time_end {times[1][:40]!r} are not whole seconds")
    return Annotation(where, class_name, youtube_id, times_sec, row.get("split", "").strip())


def sort_classes(annotations: Iterable[Annotation]) -> list[str]:
    """The class names in alphabetical order, as Python sorts text; a name's place is its class id."""
    return sorted({item.class_name for item in annotations} - {""})


def load_class_list(path: str) -> list[str]:
    """Class names by id, each once, from a text as ``parse_class_names`` takes it. Raises DataError."""
    try:
        names = parse_class_names(read_text(path))
    except NotTextError as error:
        raise DataError(f"class names {path} {error}") from None
    except OSError as error:
        raise DataError(f"class names {path} cannot be read: {error}") from None
    if not names or "" in names or len(set(names)) < len(names):
        raise DataError(f"class names {path} should hold one name a line, each once; generate_label.py makes it")
    return names


class VideoFolder:
    """Where the videos of a CSV are, in one of the usual layouts.

    Below the folder at any depth: ``<youtube_id>_<start>_<end>.<ext>``, the times in seconds with leading zeros
    or without, or ``<youtube_id>.<ext>``; or folders of frames that are called so. If there are several, one in a
    folder named after the class is preferred, and files to folders.
    suffixes: of the files to look for, in lower case; the case of the files' own is ignored. Videos with other
    suffixes are known by their content.
    """

    def __init__(self, folders: list[Path], suffixes: set[str]):
        self._suffixes = suffixes
        self._by_stem = defaultdict(list)
        self._by_times = defaultdict(list)
        places = [place for folder in folders for place in walk_folders(folder)]
        for path in sorted(place / name for place, names in places for name in names):
            self._add(path, path.stem)
        for path in sorted(place for place, names in places if any(map(is_frame_name, names))):
            self._add(path, path.name)

    def _add(self, path: Path, stem: str) -> None:
        self._by_stem[stem].append(path)
        if match := re.fullmatch(r"(.+)_([0-9]{1,9})_([0-9]{1,9})", stem):
            self._by_times[match[1], (int(match[2]), int(match[3]))].append(path)

    def find(self, item: Annotation) -> Path | None:
        """The file of a video, or the folder of its frames, or None."""
        for named in (
            self._by_stem.get(item.name),
            self._by_times.get((item.youtube_id, item.times_sec)),
            self._by_stem.get(item.youtube_id),
        ):
            if found := [path for path in named or () if self._is_wanted(path)]:
                folders = {item.class_name, item.class_name.replace(" ", "_")}
                return next((path for path in found if path.parent.name in folders), found[0])
        return None

    def _is_wanted(self, path: Path) -> bool:
        return path.suffix.lower() in self._suffixes or path.is_dir() or identify(path)[0] == "video"
