"""Convert YouTube-8M's frame-level TFRecord shards to pickles, without TensorFlow.

python dataset/youtube8m/tf2pkl.py SOURCE [SOURCE ...] TARGET

SOURCE: a folder with shards, called x.tfrecord or x.tfrecord-00000-of-00010, or shards of any name. TARGET: a
folder. It gets a pickle for each shard, shards.list, which names them, and the list's index, so that training
starts without reading all of them once. Run it again after an interruption: it resumes with the shards that are
not finished. Damaged records are skipped and listed. shards.jsonl has the result of each shard.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import argparse
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from typing import NamedTuple

from tqdm import tqdm

from datareader.features.index import (
    RecordProblem,
    build_index,
    cache_of,
    check_record,
    describe_segments,
    index_records,
    remove_indexes,
)
from datareader.features.pickle_writing import write_pickle
from datareader.features.records import Expected
from datareader.features.shards import is_shard, pickle_name
from datareader.features.tfrecord import Problem, read_tfrecord
from datareader.lists import ListEntry
from dataset.output_folder import open_output_folder
from dataset.parts import WHOLE, Part, add_part_flags, check_part_flags, describe_end
from dataset.text_files import write_lines
from dataset.youtube8m.journal import Journal, Result, fingerprint_of
from tools.config.flags import parse_text, parse_threads, whole_number
from tools.config.parser import Group, make_parser
from tools.errors import DataError, DataIssue
from tools.files.atomic import atomic_write
from tools.files.texts import NotTextError, read_text, split_lines
from tools.runtime.cpu import usable_cores
from tools.runtime.entry import run_program
from tools.runtime.log import progress_bar
from tools.runtime.workers import map_in_processes

EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)  # of the default configs; for the index
LIST = "shards.list"
SHOWN = 20  # broken records and shards that are printed; the journal has all of them


@dataclass(frozen=True)
class Selection:
    """What is kept of the shards. limit: None for all videos. labels: None for all classes."""

    limit: int | None = None
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ConvertOptions:
    """What the flags say."""

    sources: list[Path]
    target: Path
    workers: int
    selection: Selection
    part: Part
    merge: bool


class Job(NamedTuple):
    """One shard to convert."""

    shard: Path
    target: Path
    selection: Selection


# One shard


def convert_shard(job: Job) -> Result | str:
    """Write the pickle of a shard; return the reason if it cannot be read. Raises OSError for the pickle."""
    try:
        result = Result(job.target.name, fingerprint_of(job.shard))
        changed = result.source[1]
        records = tally(select(read_tfrecord(str(job.shard)), job.selection), result)
        if not (first := next(records, None)):
            job.target.unlink(missing_ok=True)  # of the shard as it was before
            return result
        with atomic_write(job.target, among_many=True) as file:
            write_pickle(file, chain([first], records))
            file.flush()
            # The index remembers this time: taken from the shard, it is the same after every conversion.
            os.utime(file.fileno(), ns=(changed, changed))
            result.pickle_size = file.tell()
    except DataError as error:
        return str(error)
    return result


def select(items: Iterator[dict | Problem], selection: Selection) -> Iterator[dict | Problem]:
    """Keep videos with one of the labels, and of their labels only those; up to the limit. Problems are kept too."""
    left = selection.limit
    for item in items:
        if isinstance(item, Problem):
            yield item
            continue
        if selection.labels is not None:
            kept = [label for label in item.get("label", ()) if label in selection.labels]
            if not kept:
                continue
            item["label"] = kept
        yield item
        if left is not None:
            left -= 1
            if left == 0:
                return


def tally(items: Iterator[dict | Problem], result: Result) -> Iterator[dict]:
    """Pass the records on, and count them and the problems in ``result``."""
    for item in items:
        if isinstance(item, Problem):
            result.broken.append([item.offset, item.text])
            continue
        result.num_segmented += item.pop("segments", 0) > 0
        found = check_record(item, EXPECTED, result.name, result.videos)
        if isinstance(found, RecordProblem):
            result.problems.append([found.record, found.issue.value, found.text])
            result.num_frames.append(0)
            result.record_labels.append([])
        else:
            result.num_frames.append(len(found.streams[0]))
            result.record_labels.append(sorted(found.classes()))
        result.videos += 1
        result.frames += item["nframes"]
        for label in sorted(set(item.get("label", ()))):
            result.labels[str(label)] = result.labels.get(str(label), 0) + 1
        yield item


# All shards


def find_shards(sources: list[Path]) -> dict[str, Path]:
    """Name of the pickle -> shard, in the order of the sources; those of a folder in the order of names."""
    shards = {}
    for source in sources:
        try:
            found = sorted(path for path in source.iterdir() if is_shard(path)) if source.is_dir() else [source]
        except OSError as error:
            raise DataError(f"{source} cannot be read: {error}") from None
        if not found:
            raise DataError(
                f"no shards in {source}: none of its files ends in .tfrecord or .tfrecord-00000-of-00010; others are "
                "taken by name"
            )
        for path in found:
            if not path.is_file():
                raise DataError(f"{path} does not exist, or is no file; SOURCE is a folder of shards, or shards")
            name = pickle_name(path)
            if name in shards:
                raise DataError(f"{shards[name]} and {path} would both become {name}; convert them to two folders")
            shards[name] = path
    return shards


def find_finished(own: list[str], shards: dict[str, Path], journal: Journal, limit: int | None) -> list[str]:
    """Names of the own pickles that are finished. Raises DataError for a folder that holds pickles of other shards."""
    if others := sorted(journal.results.keys() - shards.keys()):
        raise DataError(
            f"{journal.path.parent} holds {len(others)} pickles of shards that are not among these ({others[0]}); "
            "name all of them as SOURCE, or take another folder"
        )
    # Under a limit, how many videos a shard may still give depends on all shards before it.
    select_names = filter if limit is None else takewhile
    return list(select_names(lambda name: journal.is_finished(name, shards[name]), own))


def convert_all(shards: dict[str, Path], journal: Journal, selection: Selection, workers: int, bar: tqdm) -> list[str]:
    """Convert what the journal does not have. Returns what is wrong with the shards that cannot be read."""

    def list_jobs() -> Iterator[Job]:
        for name, shard in shards.items():
            if name not in journal.results:
                left = selection.limit and selection.limit - journal.count_videos()
                if left == 0:
                    return
                yield Job(shard, journal.path.with_name(name), replace(selection, limit=left))

    if min(workers, len(shards)) == 1 or selection.limit:  # a job's limit depends on the results before it
        converted = ((job, convert_shard(job)) for job in list_jobs())
    else:
        converted = map_in_processes(convert_shard, list_jobs(), workers, explain_crash)
    failed = {}
    with closing(converted):
        for job, result in converted:
            if isinstance(result, str):
                failed[job.target.name] = result
            else:
                journal.add(result)
                bar.set_postfix_str(f"{journal.count_videos():,} videos", refresh=False)
                bar.update(result.source[0])
    return [failed[name] for name in shards if name in failed]


def explain_crash(job: Job) -> str:
    return f"{job.shard}: its process was killed, perhaps for lack of memory; run this again with fewer --workers"


def write_list(folder: Path, results: list[Result]) -> None:
    """Write the list of the pickles, and its index from their results."""
    found = {
        str(folder / result.name): index_records(
            result.num_frames,
            result.record_labels,
            [RecordProblem(record, DataIssue(fault), text) for record, fault, text in result.problems],
        )
        for result in results
        if result.is_indexed
    }
    list_path = folder / LIST
    write_lines(list_path, [result.name for result in results])
    remove_indexes(list_path)
    entries = [ListEntry(path, str(list_path)) for path in found]
    if entries:
        build_index(str(list_path), entries, repr(EXPECTED), found.__getitem__, cache_of(str(list_path), EXPECTED))


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
        lines = split_lines(read_text(path)) if path.is_file() else text.split(",")
    except NotTextError as error:
        raise argparse.ArgumentTypeError(f"{text} {error}") from None
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None
    items = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for item in items:
        if not re.fullmatch(r"[0-9]{1,9}", item):
            raise argparse.ArgumentTypeError(f"{item[:40]!r} is not a class id, nor the name of a file of them")
    if not items:
        raise argparse.ArgumentTypeError(f"{text!r} names no classes")
    return tuple(sorted({int(item) for item in items}))


def parse_args() -> ConvertOptions:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("source", nargs="+", type=parse_text, metavar="SOURCE", help="folder of shards, or shards")
    add("target", type=parse_text, metavar="TARGET", help="folder for the pickles")
    add = parser.group(Group.SPEED).add_argument
    add("--workers", type=parse_threads, metavar="N", help="processes; default: as many as there are cores")
    add = parser.group(Group.DATA).add_argument
    add("--limit", type=whole_number(1), metavar="N", help="stop after N videos; uses one process")
    add(
        "--labels",
        type=parse_labels,
        metavar="IDS",
        help="class ids, separated by commas, or a file with one a line: keep only the videos that have one of "
        "them, and of their labels only these; ids stay as they are",
    )
    add_part_flags(parser)
    args = parser.parse_args()
    check_part_flags(parser, args.part, args.merge)
    if args.limit and not args.part.is_whole:
        parser.error("--limit counts the videos of all parts; leave out --part or --limit")
    return ConvertOptions(
        sources=[Path(source) for source in args.source],
        target=Path(args.target),
        workers=args.workers or usable_cores(),
        selection=Selection(args.limit, args.labels),
        part=args.part,
        merge=args.merge,
    )


def main() -> None:
    options = parse_args()
    shards = find_shards(options.sources)
    convert(shards, options.target, options.selection, options.workers, part=options.part, merge=options.merge)


def convert(
    shards: dict[str, Path],
    target: Path,
    selection: Selection,
    workers: int,
    *,
    part: Part = WHOLE,
    merge: bool = False,
) -> None:
    """Convert shards to a folder and print a summary.

    part: convert those of a part, and write no list. merge: convert nothing, and write the list of what parts have
    converted. Raises DataError where a shard fails, no video is found, or what is to be merged is not there.
    """
    labels = selection.labels and [*selection.labels]
    settings = {"program": "tf2pkl.py", "--limit": selection.limit, "--labels": labels}
    begin_sec, begin_cpu_sec = time.perf_counter(), cpu_sec()
    with open_output_folder(target, settings, part):
        journal = Journal(target, part)
        own = [name for place, name in enumerate(shards) if part.holds(place)]
        done = find_finished(own, shards, journal, selection.limit)
        if merge and len(done) < len(own):
            missing = next(name for name in own if name not in set(done))
            raise DataError(
                f"{target}: {len(own) - len(done)} of {len(own)} shards are not converted, or have changed since "
                f"({shards[missing]}); run the parts that hold them again"
            )
        shards = {name: shards[name] for name in own}
        journal.keep(done)
        if done:
            print(f"{len(done):,} of {len(shards):,} shards were finished before", flush=True)
        before = journal.count_videos()
        sizes = {name: fingerprint_of(shard)[0] for name, shard in shards.items()}
        with progress_bar(sum(sizes.values()), sum(sizes[name] for name in done), "converting", unit="B") as bar:
            failed = convert_all(shards, journal, selection, workers, bar)
        results = journal.keep([name for name in shards if name in journal.results])
        if part.is_whole and any(result.videos for result in results):
            write_list(target, [result for result in results if result.videos])
    print_some(
        [f"skipped: {shards[r.name]} at byte {offset}: {text}" for r in results for offset, text in r.broken],
        f"; {journal.path} names all of them",
    )
    for line in describe_segments(sum(result.num_segmented for result in results)):
        print(line)
    if unfit := [text for result in results for *_, text in result.problems]:
        print(f"{len(unfit):,} records do not fit the default configs, such as {unfit[0]}")
    print_some([f"not converted: {text}" for text in failed], " not converted")
    taken = f"{time.perf_counter() - begin_sec:.1f} s"
    if converted := journal.count_videos() - before:
        taken += f", {(cpu_sec() - begin_cpu_sec) / converted * 1000:.2f} ms of one core a video"
    print(f"{target}: {summary_of(results)} ({taken})")
    if failed:
        raise DataError(f"{len(failed)} of {len(shards)} shards could not be converted, as said above")
    if not part.is_whole:
        print(describe_end(part))
        return
    if not any(result.videos for result in results):
        raise DataError(
            f"no video was found in {len(shards)} shards" + (" with these labels" if selection.labels else "")
        )


def cpu_sec() -> float:
    """Seconds on all cores, of this process and the processes it has started."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    run_program(main)
