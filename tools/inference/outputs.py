"""What test.py and infer.py write of all videos besides: the probabilities of all classes, and a submission.

Each process of a run puts the rows of its batches into files without names beside the places they are for; in the end
the first process has all of them, and writes them in the order of the list, without holding them in memory. Meanwhile
the disk has them twice.
"""

import argparse
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.config.flags import parse_text
from tools.config.parser import Group, Parser
from tools.errors import ConfigError, DataError
from tools.files.atomic import require_writable
from tools.files.row_files import RowSpool
from tools.inference.predictions import locate, result_paths
from tools.inference.probs_file import DTYPES, LabelledVideo, RunFacts, write_probs
from tools.inference.submission import best_pairs, write_submission
from tools.runtime.text import short_repr

log = logging.getLogger(__name__)

_LONGEST_ID = 4096  # characters, as every id of a file takes as much room as the longest


@dataclass(frozen=True)
class OutputOptions:
    """What the flags say that ``add_output_flags`` adds; None for a file that is not asked for."""

    save_probs: str | None = None
    probs_dtype: str = "float32"
    yt8m_csv: str | None = None

    def check(self, data: str, others: Mapping[str, str | Path | None] | None = None) -> None:
        """Refuse, before any work, what could not be written at its end.

        data: the kind that the model reads. others: flag, or what else is told of it -> a file that the run reads or
        writes, None for none. Raises ConfigError, DataError.
        """
        if self.yt8m_csv and data != "features":
            raise ConfigError(
                "--yt8m-csv is for AttentionCluster, AttentionLSTM and NEXTVLAD, whose classes are YouTube-8M's; "
                "leave it out, or use --save-probs"
            )
        taken = {Path(path).resolve(): flag for flag, path in (others or {}).items() if path}
        for flag, path, suffix in (("--save-probs", self.save_probs, ".npz"), ("--yt8m-csv", self.yt8m_csv, ".csv")):
            if path is None:
                continue
            if Path(path).suffix.lower() != suffix:
                raise ConfigError(f"{flag} {path}: the name of this file ends in {suffix}")
            if other := taken.get(Path(path).resolve()):
                raise ConfigError(f"{other} and {flag} are the same file, {path}; name two")
            try:
                require_writable(Path(path))
            except (OSError, ValueError) as error:
                raise DataError(f"{flag} {path} cannot be written: {error}") from None

    def open(self) -> "Outputs":
        tables = [_Probabilities(Path(self.save_probs), DTYPES[self.probs_dtype])] if self.save_probs else []
        tables += [_Submission(Path(self.yt8m_csv))] if self.yt8m_csv else []
        return Outputs(tables)


def add_output_flags(parser: Parser, *, submission: bool) -> None:
    """submission: whether there is --yt8m-csv."""
    add = parser.group(Group.OUTPUT).add_argument
    add(
        "--save-probs",
        type=parse_text,
        metavar="FILE",
        help="also write the probabilities of all classes, with ids and labels, FILE.npz; see python -m tools.ensemble",
    )
    parser.set_defaults(yt8m_csv=None)
    add("--probs-dtype", choices=DTYPES, default="float32", help="numbers of --save-probs; float16 takes half the room")
    if submission:
        add(
            "--yt8m-csv",
            type=parse_text,
            metavar="FILE",
            help="also write the 20 best classes of each video as the YouTube-8M challenges took them, FILE.csv",
        )


def read_output_options(args: argparse.Namespace) -> OutputOptions:
    return OutputOptions(args.save_probs, args.probs_dtype, args.yt8m_csv)


class _Table:
    """A file to be, and the rows of it that there are. flag: that asks for it. what: it holds."""

    flag: str
    what: str

    def __init__(self, path: Path):
        self.path = path
        self.spool: RowSpool | None = None

    def pack(self, probs: np.ndarray) -> np.ndarray:
        """(N, num_classes) float32 -> what is kept of them, N rows."""
        raise NotImplementedError

    def write(self, videos: Sequence[LabelledVideo], blocks: Iterator[np.ndarray], facts: RunFacts) -> None:
        """Write the file. videos, blocks: in the order of the list."""
        raise NotImplementedError

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Say of an OSError which file could not be written."""
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.flag} {self.path} could not be written: {error}") from None

    def append(self, rows: np.ndarray) -> None:
        """rows: as ``pack`` gives them."""
        with self.telling():
            if self.spool is None:
                self.spool = RowSpool(self.path.parent, rows.dtype, rows.shape[1:])
            self.spool.append(rows)


class _Probabilities(_Table):
    flag, what = "--save-probs", "probabilities of all classes"

    def __init__(self, path: Path, dtype: np.dtype):
        super().__init__(path)
        self.dtype = np.dtype(dtype)

    def pack(self, probs: np.ndarray) -> np.ndarray:
        return probs.astype(self.dtype)

    def write(self, videos: Sequence[LabelledVideo], blocks: Iterator[np.ndarray], facts: RunFacts) -> None:
        write_probs(self.path, videos, blocks, self.dtype, facts)


class _Submission(_Table):
    flag, what = "--yt8m-csv", "submission"

    def pack(self, probs: np.ndarray) -> np.ndarray:
        return best_pairs(probs)

    def write(self, videos: Sequence[LabelledVideo], blocks: Iterator[np.ndarray], facts: RunFacts) -> None:
        write_submission(self.path, (one.video.name for one in videos), blocks)


class Outputs:
    """Rows of all videos, batch by batch, for the files that the flags ask for; nothing where they ask for none."""

    def __init__(self, tables: list[_Table]):
        self._tables = tables
        self._videos: list[LabelledVideo] = []
        self._num_whole = 0  # videos, or spans of those that came to their end

    def add(self, prediction) -> None:
        """Take the probabilities of a batch. A video that is read again, as damage makes it, counts once."""
        if not self._tables:
            return
        batch, num_whole = prediction.batch, self._num_whole
        if batch.begins:
            self._cut()
        self.add_rows([_label(batch, i) for i in range(len(batch))], prediction.probs)
        if not batch.ends:
            self._num_whole = num_whole

    def add_rows(self, videos: Sequence[LabelledVideo], probs: np.ndarray) -> None:
        """probs: (N, num_classes) of N videos. Raises DataError."""
        for one in videos:
            if len(one.video.name) > _LONGEST_ID:
                raise DataError(f"the id {short_repr(one.video.name)} has more than {_LONGEST_ID} characters")
        for table in self._tables:
            table.append(table.pack(probs))
        self._videos += videos
        self._num_whole = len(self._videos)

    def gather(self, group) -> None:
        """Give the rows of all processes to the first. Every process calls it once."""
        if not self._tables:
            return
        self._cut()
        gathered = group.gather(self._videos)
        counts = group.all_gather(len(self._videos))
        for table in self._tables:
            for rank in range(1, group.world):
                self._gather_rows(group, table, rank, counts[rank])
        if gathered:
            self._videos = [one for part in gathered for one in part]
        else:
            self.close()

    def write(self, facts: RunFacts) -> None:
        """Write the files in the order of the list, and say where they are. There is a video, or no file."""
        order = np.array(sorted(range(len(self._videos)), key=lambda i: self._videos[i].video.number), np.int64)
        videos = [self._videos[i] for i in order]
        for table in self._tables:
            with table.telling():
                table.write(videos, table.spool.blocks(order), facts)
            log.info(f"{table.what} in {table.path}")
        self.close()

    def close(self) -> None:
        """Let go of the rows; an end of the process does so too."""
        for table in self._tables:
            if table.spool:
                table.spool.close()

    def _cut(self) -> None:
        """Forget the spans of a video that did not come to its end."""
        del self._videos[self._num_whole :]
        for table in self._tables:
            if table.spool:
                table.spool.cut(self._num_whole)

    def _gather_rows(self, group, table: _Table, rank: int, count: int) -> None:
        """Bring a process's rows of a table behind those of the first, some at a time."""
        own = table.spool
        size = group.all_gather(own.at_once if own else 0)[rank]
        for start in range(0, count, size or 1):
            part = None
            if group.rank == rank:
                with table.telling():
                    part = own.take(np.arange(start, min(start + size, count)))
            parts = group.gather(part)
            if parts:
                table.append(parts[rank])


def _label(batch, i: int) -> LabelledVideo:
    """Record i of a batch, with the class ids that are known of it. A span's are not: they may be of another part."""
    if batch.spans is not None:
        return LabelledVideo(locate(batch, i), None)
    if batch.labels is None:
        return LabelledVideo(locate(batch, i), None)
    label = batch.labels[i]
    if np.ndim(label):  # multi-hot
        return LabelledVideo(locate(batch, i), tuple(np.flatnonzero(label).tolist()))
    return LabelledVideo(locate(batch, i), (int(label),) if label >= 0 else None)


def files_of(section, base: Path) -> dict[str, str | Path | None]:
    """What is told of a file -> a file of an inference that no flag for another output may name, as ``check`` takes it.

    section: INFER of the config. base: of its results.
    """
    results = {f"the result {path}": path for path in result_paths(base)}
    return results | {"INFER.filelist": section.filelist, "the class names": section.class_names}
