"""Convert YouTube-8M's frame-level TFRecord shards to pickles, without TensorFlow.

python dataset/youtube8m/tf2pkl.py SOURCE [SOURCE ...] TARGET

SOURCE: a folder with *.tfrecord files, or such files. TARGET: a folder. It gets a pickle for each shard,
shards.list, which names them, and the list's index, so that training starts without reading all of them
once. Run it again after an interruption: it goes on with the shards that are not finished. What is damaged
is left out and named. shards.jsonl says what came of each shard.
"""

import argparse
import contextlib
import fcntl
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, takewhile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the project, when run as a script

from datareader.lists import ListEntry
from datareader.record_index import FileIndex, RecordProblem, build_index, count_pairs
from datareader.tfrecord import Problem, read_tfrecord
from datareader.youtube8m import Expected, cache_of, check_record
from tools.command_line import parse_count, parse_text, run
from tools.cpu import usable_cores
from tools.errors import DataError, Fault, ZooError
from tools.interrupt import StopRequest
from tools.safe_files import replacing

EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)  # of the default configs; for the index
LIST, JOURNAL = "shards.list", "shards.jsonl"
VERSION = 2  # of what is written; another one is not gone on with
SHOWN = 20  # broken records and shards named on the screen


@dataclass(frozen=True)
class Options:
    """What decides the bytes of the pickles beside the shards themselves. labels: None for all of them."""

    limit: int | None = None
    labels: tuple[int, ...] | None = None
    version: int = VERSION


@dataclass
class Result:
    """What came of a shard: a line of the journal.

    source: size in bytes and time of change of the shard. pickle_size: 0 where nothing usable was in it,
    and then there is no pickle. labels: class id, as text, -> number of videos. broken: (byte, text).
    num_frames, problems and usable_labels: what the list's index says of the pickle.
    """

    name: str
    source: list[int]
    pickle_size: int = 0
    videos: int = 0
    frames: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    broken: list[list] = field(default_factory=list)
    num_frames: list[int] = field(default_factory=list)
    problems: list[list] = field(default_factory=list)
    usable_labels: dict[str, int] = field(default_factory=dict)


def convert_shard(shard: Path, pickle_path: Path, options: Options) -> Result:
    """Write the pickle of a shard. Raises DataError for the shard and OSError for the pickle."""
    result = Result(pickle_path.name, stamp_of(shard))
    changed = result.source[1]
    records = tally(select(read_tfrecord(str(shard)), options), result)
    if first := next(records, None):
        with replacing(pickle_path) as file:
            write_pickle(file, chain([first], records))
            file.flush()
            # The index remembers this time: taken from the shard, it is the same after every conversion.
            os.utime(file.fileno(), ns=(changed, changed))
            result.pickle_size = file.tell()
    else:
        pickle_path.unlink(missing_ok=True)  # of the shard as it was before
    return result


def tally(items: Iterator[dict | Problem], result: Result) -> Iterator[dict]:
    """Let the records through and keep the books on everything."""
    for item in items:
        if isinstance(item, Problem):
            result.broken.append([item.offset, item.text])
            continue
        found = check_record(item, EXPECTED, result.name, result.videos)
        if isinstance(found, RecordProblem):
            result.problems.append([found.record, found.fault.value, found.text])
            result.num_frames.append(0)
        else:
            result.num_frames.append(len(found.streams[0]))
            count_labels(found.classes(), result.usable_labels)
        result.videos += 1
        result.frames += item["nframes"]
        count_labels(set(item.get("label", ())), result.labels)
        yield item


def count_labels(labels: set[int], counts: dict[str, int]) -> None:
    for label in sorted(labels):
        counts[str(label)] = counts.get(str(label), 0) + 1


def write_pickle(file: BinaryIO, records: Iterable[dict]) -> None:
    """A list of records in protocol 4, with one of them in memory at a time. (Protocol 2 loads 40 times slower.)

    A pickle is a program: make a list, and after each record append it. A record's own pickle begins with
    the two bytes of its protocol and ends with STOP, in whose place APPEND goes.
    """
    file.write(pickle.PROTO + b"\x04" + pickle.EMPTY_LIST)
    buffer = io.BytesIO()
    for record in records:
        buffer.seek(0)
        pickler = pickle.Pickler(buffer, protocol=4)
        pickler.fast = True  # no numbers for remembered objects: each record's would begin at 0 again
        pickler.dump(record)
        file.write(buffer.getbuffer()[2 : buffer.tell() - 1])
        file.write(pickle.APPEND)
    file.write(pickle.STOP)


def select(items: Iterator[dict | Problem], options: Options) -> Iterator[dict | Problem]:
    """What the options leave: videos with one of the labels, and of their labels those; up to the limit."""
    left = options.limit
    for item in items:
        if isinstance(item, Problem):
            yield item
            continue
        if options.labels is not None:
            kept = [label for label in item.get("label", ()) if label in options.labels]
            if not kept:
                continue
            item["label"] = kept
        yield item
        if left is not None:
            left -= 1
            if left == 0:
                return


def stamp_of(path: Path) -> list[int]:
    """Size and time of change. Raises DataError."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return [status.st_size, status.st_mtime_ns]


def find_shards(sources: list[Path]) -> dict[str, Path]:
    """Name of the pickle -> shard, in the order of the sources; those of a folder in the order of names."""
    shards = {}
    for source in sources:
        try:
            found = sorted(path for path in source.iterdir() if is_shard(path)) if source.is_dir() else [source]
        except OSError as error:
            raise DataError(f"{source} cannot be read: {error}") from None
        if not found:
            raise DataError(f"no shards in {source}: none of its files ends in .tfrecord; others are taken by name")
        for path in found:
            if not path.is_file():
                raise DataError(f"{path} does not exist, or is no file; SOURCE is a folder of shards, or shards")
            name = f"{path.name.removesuffix('.tfrecord')}.pkl"
            if name in shards:
                raise DataError(f"{shards[name]} and {path} would both become {name}; convert them to two folders")
            shards[name] = path
    return shards


def is_shard(path: Path) -> bool:
    """By its name, ``x.tfrecord`` or ``x.tfrecord-00000-of-00010``: what is still downloading has another."""
    return not path.name.startswith(".") and bool(re.search(r"\.tfrecord(-\d+-of-\d+)?$", path.name))


class Journal:
    """What is finished in TARGET: a first line with the options, then a line for each shard.

    A line is written when the shard's pickle is complete and in its place. A line that a killed run did
    not finish counts for nothing, and the shard is converted again.
    """

    def __init__(self, folder: Path, options: Options):
        self.path = folder / JOURNAL
        self.options = options
        self.results: dict[str, Result] = {}
        try:
            lines = self.path.read_text().split("\n")
        except FileNotFoundError:
            return
        except ValueError as error:
            raise self._foreign() from error
        self._check_options(lines[0])
        for line in lines[1:-1]:  # what is behind the last line break is nothing, or half a line
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                raise self._foreign() from None
            self.results[result.name] = result

    def _check_options(self, line: str) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.keys() != asdict(self.options).keys():
            raise self._foreign()
        if found != self._head():
            changed = ", ".join(f"{key} {found[key]}" for key, value in self._head().items() if found[key] != value)
            raise DataError(
                f"{self.path.parent} was made with other options ({changed}); take another folder for TARGET"
            )

    def _foreign(self) -> DataError:
        return DataError(f"{self.path} is not a journal of this program; take another folder for TARGET")

    def _head(self) -> dict:
        return json.loads(json.dumps(asdict(self.options)))

    def is_finished(self, name: str, shard: Path) -> bool:
        result = self.results.get(name)
        if result is None or result.source != stamp_of(shard):
            return False
        path = self.path.parent / name
        if not result.pickle_size:
            return not path.exists()
        return path.is_file() and stamp_of(path) == [result.pickle_size, result.source[1]]

    def write(self, names: list[str]) -> None:
        """Write the lines of these shards anew, in this order."""
        lines = [self._head(), *(asdict(self.results[name]) for name in names)]
        with replacing(self.path) as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())

    def add(self, result: Result) -> None:
        self.results[result.name] = result
        with open(self.path, "a") as file:
            file.write(f"{json.dumps(asdict(result))}\n")


@contextlib.contextmanager
def opened_target(folder: Path, names: list[str]) -> Iterator[None]:
    """Make the folder, keep other processes out of it, and remove what a killed run left half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a") as lock:  # the system lets go of it however this process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another process is converting to {folder}; wait for it, or take another folder") from None
        ours = {*names, JOURNAL, LIST}
        for path in folder.iterdir():
            match = re.fullmatch(r"\.(.+)\.tmp-\d+", path.name)
            index = re.fullmatch(rf"{re.escape(LIST)}\.index\.npz\.\d+\.tmp", path.name)
            if index or (match and match[1] in ours):
                path.unlink()
        yield


def convert_all(shards: dict[str, Path], journal: Journal, workers: int, stop: StopRequest, bar: tqdm) -> list[str]:
    """Convert what the journal does not have. Returns what is wrong with shards of which nothing can be had.

    Stops between shards on a signal.
    """
    todo = [name for name in shards if name not in journal.results]
    workers = min(workers, len(todo))
    if workers <= 1 or journal.options.limit is not None:
        return convert_in_turn(shards, journal, stop, bar)
    failed, pending = {}, {}
    with started_pool(workers, stop) as submit:
        todo = iter(todo)
        while True:
            while len(pending) <= workers and not stop.signal and (name := next(todo, None)):
                pending[submit(convert_shard, shards[name], journal.path.parent / name, journal.options)] = name
            if not pending:
                break
            for future in wait(pending, timeout=0.5, return_when=FIRST_COMPLETED).done:
                name = pending.pop(future)
                try:
                    journal.add(future.result())
                except DataError as error:
                    failed[name] = str(error)
                advance(bar, shards[name], journal)
    return [failed[name] for name in shards if name in failed]


def convert_in_turn(shards: dict[str, Path], journal: Journal, stop: StopRequest, bar: tqdm) -> list[str]:
    """``convert_all`` in this process, as a limit needs it: how many videos are left depends on the shards before."""
    failed, limit = [], journal.options.limit
    for name, shard in shards.items():
        if limit == 0 or stop.signal:
            break
        try:
            if name not in journal.results:
                options = replace(journal.options, limit=limit)
                journal.add(convert_shard(shard, journal.path.parent / name, options))
                advance(bar, shard, journal)
            if limit is not None:
                limit -= journal.results[name].videos
        except DataError as error:
            failed.append(str(error))
    return failed


def advance(bar: tqdm, shard: Path, journal: Journal) -> None:
    bar.set_postfix_str(f"{sum(result.videos for result in journal.results.values()):,} videos", refresh=False)
    with contextlib.suppress(OSError):
        bar.update(shard.stat().st_size)


@contextlib.contextmanager
def started_pool(workers: int, stop: StopRequest):
    """Give ``submit(function, ...) -> Future``. The processes end with this one, however it ends."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)

    def submit(*arguments):
        # It starts processes, which inherit that they do not hear Ctrl-C; here it is heard a moment later.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return pool.submit(*arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield submit
    except (BrokenProcessPool, MemoryError):
        if not stop.signal:  # which may have been for all the processes
            raise ZooError(
                "a process that converted a shard ended early, perhaps for lack of memory; run this again with "
                "fewer --workers"
            ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker() -> None:
    """End when the main process does, even if it is killed."""

    def follow() -> None:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def write_list(folder: Path, results: list[Result]) -> None:
    """The list of the pickles and its index, from what is known of them."""
    found = {
        str(folder / result.name): FileIndex(
            np.array(result.num_frames, np.int32),
            tuple(RecordProblem(record, Fault(fault), text) for record, fault, text in result.problems),
            count_pairs({int(label): count for label, count in result.usable_labels.items()}),
        )
        for result in results
    }
    list_path = folder / LIST
    with replacing(list_path) as file:
        file.write("".join(f"{Path(path).name}\n" for path in found).encode())
    cache = Path(cache_of(str(list_path), EXPECTED))
    cache.unlink(missing_ok=True)
    entries = [ListEntry(path, str(list_path)) for path in found]
    build_index(str(list_path), entries, repr(EXPECTED), found.__getitem__, str(cache))


def summary_of(results: list[Result]) -> str:
    labels = Counter()
    for result in results:
        labels.update(result.labels)
    broken = sum(len(result.broken) for result in results)
    return (
        f"{sum(result.videos for result in results):,} videos, {sum(result.frames for result in results):,} frames, "
        f"{sum(labels.values()):,} labels of {len(labels):,} classes, {broken:,} broken records, "
        f"{sum(result.pickle_size for result in results) / 1e6:,.1f} MB in {len(results):,} shards"
    )


def print_some(lines: list[str], rest: str) -> None:
    for line in lines[:SHOWN]:
        print(line)
    if len(lines) > SHOWN:
        print(f"and {len(lines) - SHOWN:,} more{rest}")


def parse_labels(text: str) -> tuple[int, ...]:
    """Class ids of a file, one a line, or separated by commas."""
    path = Path(text)
    try:
        lines = path.read_text().splitlines() if path.is_file() else text.split(",")
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None
    items = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for item in items:
        if not re.fullmatch(r"[0-9]{1,9}", item):
            raise argparse.ArgumentTypeError(f"{item[:40]!r} is not a class id, nor the name of a file of them")
    if not items:
        raise argparse.ArgumentTypeError(f"{text!r} names no classes")
    return tuple(sorted({int(item) for item in items}))


def parse_positive(text: str) -> int:
    if not (number := parse_count(text)):
        raise argparse.ArgumentTypeError("it has to be 1 or more")
    return number


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", nargs="+", type=parse_text, metavar="SOURCE", help="folder of shards, or shards")
    add("target", type=parse_text, metavar="TARGET", help="folder for the pickles")
    add("--workers", type=parse_positive, metavar="N", help="processes; left out, as many as there are cores")
    add("--limit", type=parse_positive, metavar="N", help="stop after N videos; uses one process")
    add(
        "--labels",
        type=parse_labels,
        metavar="IDS",
        help="class ids, separated by commas, or a file with one a line: keep only the videos that have one of "
        "them, and of their labels only these; ids stay as they are",
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    options = Options(args.limit, args.labels)
    shards = find_shards([Path(source) for source in args.source])
    try:
        return convert(shards, Path(args.target), options, args.workers or usable_cores())
    except OSError as error:
        raise DataError(f"{args.target} cannot be written: {error}; what is finished stays") from None


def convert(shards: dict[str, Path], target: Path, options: Options, workers: int) -> int:
    """Convert shards to a folder and say what came of it; returns the exit code."""
    begin = time.perf_counter()
    with opened_target(target, list(shards)), StopRequest() as stop:
        journal = Journal(target, options)
        if others := sorted(journal.results.keys() - shards.keys()):
            raise DataError(
                f"{target} holds {len(others)} pickles of shards that are not among these ({others[0]}); name all of "
                "them as SOURCE, or take another folder"
            )
        # Under a limit, how many videos a shard may still give depends on all shards before it.
        choose = filter if options.limit is None else takewhile
        done = list(choose(lambda name: journal.is_finished(name, shards[name]), shards))
        journal.results = {name: journal.results[name] for name in done}
        journal.write(done)
        if done:
            print(f"{len(done):,} of {len(shards):,} shards were finished before", flush=True)
        sizes = {name: stamp_of(shard)[0] for name, shard in shards.items()}
        with tqdm(
            total=sum(sizes.values()),
            initial=sum(sizes[name] for name in done),
            desc="converting",
            unit="B",
            unit_scale=True,
            disable=None,
            dynamic_ncols=True,
        ) as bar:
            failed = convert_all(shards, journal, workers, stop, bar)
        if stop.signal:
            print(f"stopped; {len(journal.results):,} of {len(shards):,} shards are finished; run this again to go on")
            return stop.exit_code
        finished = [name for name in shards if name in journal.results]
        results = [journal.results[name] for name in finished]
        journal.write(finished)
        if any(result.videos for result in results):
            write_list(target, [result for result in results if result.videos])
    print_some(
        [f"left out: {shards[r.name]} at byte {offset}: {text}" for r in results for offset, text in r.broken],
        f"; {journal.path} names all of them",
    )
    print_some([f"not converted: {text}" for text in failed], " not converted")
    print(f"{target}: {summary_of(results)} ({time.perf_counter() - begin:.1f} s)")
    if failed:
        raise DataError(f"{len(failed)} of {len(shards)} shards could not be converted, as said above")
    if not any(result.videos for result in results):
        raise DataError(
            f"no video was found in {len(shards)} shards" + (" with these labels" if options.labels else "")
        )
    return 0


if __name__ == "__main__":
    run(main)
