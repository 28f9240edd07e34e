"""The results of the shards that tf2pkl.py has converted, so that it resumes where it was stopped."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from dataset.parts import WHOLE, Part
from dataset.text_files import write_lines
from tools.errors import DataError
from tools.files.texts import NO_JSON

JOURNAL = "shards.jsonl"


@dataclass
class Result:
    """The result of a shard: a line of the journal.

    source: size in bytes and time of change of the shard. pickle_size: 0 where nothing usable was in it,
    and then there is no pickle. labels: class id, as text, -> number of videos. broken: (byte, text).
    num_segmented: of the videos, those with labels of segments, which the pickle does not have.
    num_frames, problems and record_labels: what the list's index says of the pickle.
    """

    name: str
    source: list[int]
    pickle_size: int = 0
    videos: int = 0
    frames: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    broken: list[list] = field(default_factory=list)
    num_segmented: int = 0
    num_frames: list[int] = field(default_factory=list)
    problems: list[list] = field(default_factory=list)
    record_labels: list[list[int]] = field(default_factory=list)

    @property
    def is_indexed(self) -> bool:
        """Whether an index can be made of it, unlike of lines of earlier versions, which have no record_labels."""
        return len(self.record_labels) == len(self.num_frames)


_FIELDS = {known.name for known in fields(Result)}  # lines of other versions may have more


def fingerprint_of(path: Path) -> list[int]:
    """Size and time of change. Raises DataError."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return [status.st_size, status.st_mtime_ns]


class Journal:
    """The results of the finished shards, a line each.

    A line is written when the shard's pickle is complete and in its place. A line that a killed run did not
    finish is ignored, and its shard is converted again. Each part of several runs has a journal of its own; that of a
    run for all knows what is in these too, and ``keep`` puts them together.
    """

    def __init__(self, folder: Path, part: Part = WHOLE):
        name = Path(JOURNAL)
        self.path = folder / f"{name.stem}{part.suffix}{name.suffix}"
        self._others = sorted(folder.glob(f"{name.stem}-*-of-*{name.suffix}")) if part.is_whole else []
        self.results: dict[str, Result] = {}
        for path in (*self._others, self.path):
            self._read(path)

    def _read(self, path: Path) -> None:
        lines = path.read_text(errors="replace").split("\n") if path.exists() else []
        for line in lines:
            with suppress(*NO_JSON, TypeError, AttributeError):
                found = json.loads(line)
                result = Result(**{name: found[name] for name in _FIELDS & found.keys()})
                self.results[result.name] = result

    def is_finished(self, name: str, shard: Path) -> bool:
        result = self.results.get(name)
        if result is None or result.source != fingerprint_of(shard):
            return False
        path = self.path.with_name(name)
        if not result.pickle_size:
            return not path.exists()
        return path.is_file() and fingerprint_of(path) == [result.pickle_size, result.source[1]]

    def add(self, result: Result) -> None:
        self.results[result.name] = result
        with open(self.path, "a") as file:
            file.write(f"{json.dumps(asdict(result))}\n")

    def keep(self, names: list[str]) -> list[Result]:
        """Rewrite the journal with these shards only, in this order; return their results."""
        self.results = {name: self.results[name] for name in names}
        results = list(self.results.values())
        write_lines(self.path, [json.dumps(asdict(result)) for result in results])
        for path in self._others:
            path.unlink(missing_ok=True)
        return results

    def count_videos(self) -> int:
        return sum(result.videos for result in self.results.values())
