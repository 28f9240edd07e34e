"""Makes the files that are not there yet, and the list of all of them."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from datareader.clips.decoding import read_facts
from datareader.clips.files import open_film
from datareader.clips.seconds import Pace
from datareader.extraction.extraction import Features, extract
from datareader.extraction.youtube8m import Made, SilentError
from dataset.output_folder import open_output_folder
from dataset.parts import describe_end
from tools.errors import DataError
from tools.extract.groups import Group, Note, is_finished, read_note, write_group, write_list
from tools.extract.inputs import Video
from tools.extract.kinds import Kind, expect_records, open_kind, pace_of
from tools.extract.options import ExtractOptions
from tools.files.sums import sums_beside
from tools.runtime.bars import ProgressBar
from tools.runtime.cpu import usable_cores
from tools.runtime.log import progress_bar
from tools.runtime.text import count_of
from tools.runtime.workers import map_files

log = logging.getLogger(__name__)
SHOWN = 20  # videos that are named; the notes beside the files have all of them


def extract_groups(groups: Sequence[Group], options: ExtractOptions) -> None:
    """Make the files of a part, and the list where the part is all. Raises ZooError."""
    own = [group for group in groups if options.part.holds(group.number)]
    with open_output_folder(options.output, options.settings(), options.part):
        left, finished = [], []
        for group in own:
            path = options.path_of(group)
            # What was broken may have been a disk that failed, or have been mended since.
            if is_finished(group, path) and not (note := read_note(path)).broken:
                finished.append(note)
            else:
                left.append(group)
        if finished:
            log.info(f"{len(finished):,} of {count_of(len(own), 'file')} were finished before")
        if left:
            _make(left, finished, options)
        else:
            _require_weights_given(finished, options)
        notes = [read_note(options.path_of(group)) for group in own]
        if options.part.is_whole:
            _finish(groups, notes, options)
            return
    _tell(notes)
    log.info(describe_end(options.part))


def merge(groups: Sequence[Group], options: ExtractOptions) -> None:
    """Write the list of what all parts have made. Raises DataError where a file is missing."""
    with open_output_folder(options.output, options.settings()):
        missing = [group for group in groups if not is_finished(group, options.path_of(group))]
        if missing:
            names = ", ".join(options.path_of(group).name for group in missing[:3]) + ", ..." * (len(missing) > 3)
            raise DataError(
                f"{options.output}: {len(missing)} of {count_of(len(groups), 'file')} are not there or are not of "
                f"these videos ({names}); run the parts that make them again"
            )
        notes = {options.path_of(group): read_note(options.path_of(group)) for group in groups}
        broken = [(path, line) for path, note in notes.items() for line in note.broken]
        if len(broken) > options.skip_broken:
            path, line = broken[0]
            raise DataError(
                f"{line}, and its part has left it out, as {sums_beside(path)} says; run that again, which tries it "
                f"again, or give --merge --skip-broken {len(broken)}, as many as all parts have left out"
            )
        _require_weights_given([*notes.values()], options)
        _finish(groups, [*notes.values()], options)


def _broken(text: str, count: int) -> DataError:
    return DataError(f"{text}; --skip-broken {count} leaves out such videos")


def _require_same_weights(digests: Sequence[str], options: ExtractOptions) -> None:
    if len(set(digests)) > 1:
        own = f"--weights {options.backbone.weights} as they are now" if options.backbone else "these"
        raise DataError(
            f"{options.output} holds features of other weights, which no model can read beside those of {own}; take an "
            "empty folder"
        )


def _require_weights_given(finished: Sequence[Note], options: ExtractOptions) -> None:
    """--weights has to be what has made the features also where nothing is left to make; YouTube-8M's do not change."""
    if options.backbone and finished:
        _require_same_weights([*(note.weights for note in finished), open_kind(options).weights], options)


def _finish(groups: Sequence[Group], notes: list[Note], options: ExtractOptions) -> None:
    _require_same_weights([note.weights for note in notes], options)
    _tell(notes)
    path = write_list(options.output, [options.path_of(group) for group in groups], partial(expect_records, options))
    if path is None:
        raise DataError(f"none of {count_of(sum(len(group.videos) for group in groups), 'video')} has a record")
    log.info(f"list: {path}")


def _tell(notes: list[Note]) -> None:
    """What there is to say of finished files."""
    frames = [count for note in notes for count in note.frames]
    log.info(f"{count_of(len(frames), 'video')}, {count_of(sum(frames), 'row')} of features")
    _show("", [line for note in notes for line in note.remarks])
    _show("left out: ", [line for note in notes for line in (*note.silent, *note.broken)])


def _show(title: str, lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        log.info(f"{title}{line}")
    if len(lines) > SHOWN:
        log.info(f"and {len(lines) - SHOWN:,} more such, which the notes beside the files have")


def _make(left: list[Group], finished: list[Note], options: ExtractOptions) -> None:
    """Make the files of these groups. finished: of this part's others."""
    kind = open_kind(options)
    _require_same_weights([*(note.weights for note in finished), kind.weights], options)
    videos = [video for group in left for video in group.videos]
    count_rows = partial(_count_rows, pace_of(options))
    total = sum(map_files(count_rows, videos, "looking at videos", at_once=8))
    origin = {"weights": kind.weights, "device": kind.device, "threads": options.threads or usable_cores()}
    began_sec, told = time.perf_counter(), Counter()
    with progress_bar(total, 0, "extracting", unit="row") as bar:

        def on_rows(rows: int) -> None:
            told["rows"] += rows
            bar.update(rows)

        for group in left:
            made = _describe_group(group, kind, options, options.skip_broken - told["broken"], on_rows)
            for_file = _count(made, told, bar, len(videos))
            write_group(group, options.path_of(group), options.form, for_file, origin)
    took_sec = time.perf_counter() - began_sec
    rate = told["rows"] / max(took_sec, 1e-9)
    log.info(f"{count_of(told['rows'], 'row')} in {took_sec:.1f} s, {rate:.1f} a second")


def _count_rows(pace: Pace, video: Video) -> int:
    """How many rows a video will have, as far as it says how long it is."""
    with suppress(DataError):
        return pace.count_rows(read_facts(video.entry.path).duration_sec or 0)
    return 0


def _count(made: Iterator[Made | DataError], told: Counter, bar: ProgressBar, total: int) -> Iterator[Made | DataError]:
    for item in made:
        told["videos"] += 1
        told["broken"] += isinstance(item, DataError) and not isinstance(item, SilentError)
        bar.set_description_str(f"extracting, {told['videos']:,} of {count_of(total, 'video')} done", refresh=False)
        yield item


def _describe_group(
    group: Group, kind: Kind, options: ExtractOptions, may_skip: int, on_rows: Callable[[int], None]
) -> Iterator[Made | DataError]:
    """The record of each video of a file, or why it has none. Raises DataError for one broken video too many."""
    entries = [video.entry for video in group.videos]
    described = extract(entries, open_film, kind.sight, kind.hearing, options.num_workers, on_rows)
    for video, found in zip(group.videos, described, strict=True):
        made = _make_record(kind, video, found)
        if isinstance(made, DataError) and not isinstance(made, SilentError):
            if may_skip == 0:
                raise _broken(str(made), options.skip_broken + 1)
            may_skip -= 1
        yield made


def _make_record(kind: Kind, video: Video, found: Features | DataError) -> Made | DataError:
    """The record of what was found of a video, or why it has none."""
    try:
        return found if isinstance(found, DataError) else kind.make(found, video.labels)
    except DataError as error:
        return error
