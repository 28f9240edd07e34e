"""What --save-video leaves: a copy of each video with its classes drawn in, ``{stem}.mp4`` in one folder."""

import errno
import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path

from tools.drawing.fonts import find_undrawable
from tools.drawing.video_captions import Captions, Span
from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write, require_writable
from tools.inference.predictions import VideoClasses, name_class
from tools.runtime.log import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoCopy:
    """One copy: of which video, and where it goes."""

    source: str
    target: Path


def draw_answers(
    results: Iterable[VideoClasses],
    files: Mapping[tuple[str, int | None], str],
    names: list[str] | None,
    most: int | None,
) -> dict[str, Captions]:
    """What is drawn into each video, by its path: its classes, those of each span where there are spans.

    files: a result's path and line -> the path of its file. most: classes to draw at once, at most;
    None for as many as fit.
    """
    spans = defaultdict(list)
    for part in results:
        shown = [name_class(names, class_id) for class_id in part.class_ids]
        classes = list(zip(shown, part.probs, strict=True))
        times = (0, inf) if part.start_sec is None else (part.start_sec, part.end_sec)
        spans[files[part.path, part.line]].append(Span(*times, classes))
    return {path: Captions(found, most) for path, found in spans.items()}


def plan_copies(sources: Iterable[str], folder: str, is_copy: Callable[[str], bool]) -> list[VideoCopy]:
    """A copy for each video, in their order; a video that comes twice has one.

    Of several videos with one stem, those after the first are ``{stem}_2.mp4`` and so on. is_copy: whether a file is
    an earlier copy, which the new one will replace. Raises ConfigError for a folder that cannot be written, and where
    a copy would replace anything else, such as its own video.
    """
    distinct = {}
    for source in sources:
        distinct.setdefault(os.path.realpath(source), source)
    videos = list(distinct.values())
    copies = [VideoCopy(*pair) for pair in zip(videos, _name_targets(videos, Path(folder)), strict=True)]
    require_folder(folder)
    with _explaining(folder):
        for copy in copies:
            _check_target(copy.target, distinct, is_copy)
    return copies


def require_folder(folder: str) -> None:
    """Raise ConfigError for a folder that no copy can be written to. Ask before long work; nothing is made."""
    with _explaining(folder):
        require_writable(Path(folder) / "x.mp4")


@contextmanager
def _explaining(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--save-video {folder} cannot be written: {error}") from None


def _name_targets(videos: list[str], folder: Path) -> list[Path]:
    stems = [Path(video).stem for video in videos]
    wanted, given = {_fold(stem) for stem in stems}, {}  # the latter: folded -> name
    for stem in stems:
        name, number = stem, 1
        while _fold(name) in given or (number > 1 and _fold(name) in wanted):
            number += 1
            name = f"{stem}_{number}"
        given[_fold(name)] = name
    return [folder / f"{name}.mp4" for name in given.values()]


def _fold(name: str) -> str:
    """What names have in common that some file systems take for one: capitals, and accents apart or not."""
    return unicodedata.normalize("NFC", name).casefold()


def _check_target(target: Path, videos: Iterable[str], is_copy: Callable[[str], bool]) -> None:
    if not os.path.lexists(target):
        return
    if os.path.realpath(target) in videos:
        raise ConfigError(
            f"--save-video {target.parent}: {target} is one of the videos, which its copy would replace; name another "
            "folder"
        )
    if not target.is_file() or not is_copy(str(target)):
        raise ConfigError(
            f"--save-video {target.parent}: {target} is there already, and no copy of an earlier run; move it away, or "
            "name another folder"
        )


def save_copies(
    copies: list[VideoCopy],
    captions: Mapping[str, Captions],
    copy_video: Callable[..., list[str]],
    read_duration: Callable[[str], float | None],
) -> None:
    """Write the copies, one after another, each under its name once it is complete.

    captions: by the video's path; a video without them, as one that was skipped, has no copy. copy_video: called as
    (path, target, draw, on_time), as ``datareader.clips.copies.copy_video`` says of them. read_duration: seconds of a
    video, None where they are not known. A video that cannot be copied is told in a line, and the others follow;
    DataError at the end names them all.
    Raises DataError at once where a copy cannot be written.
    """
    copies = [copy for copy in copies if copy.source in captions]
    texts = {name for each in captions.values() for name in each.names()}
    if lacking := find_undrawable(texts):
        log.info(
            f"no font here has {lacking[:20]}{'...' * (len(lacking) > 20)}, so that a copy has ? in their place; "
            "Debian's fonts-noto-cjk has Chinese, Japanese and Korean"
        )
    lengths = [_read_length(copy.source, read_duration) for copy in copies]
    failed = []
    with progress_bar(max(1, sum(lengths)), 0, "drawing", unit="s") as bar:
        for number, copy in enumerate(copies):
            done, length = sum(lengths[:number]), lengths[number]

            def on_time(sec: float, done: int = done, length: int = length) -> None:
                bar.update(done + min(int(sec), length) - bar.n)

            try:
                with atomic_write(copy.target) as file:
                    notes = copy_video(copy.source, str(file.name), captions[copy.source].draw, on_time)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise DataError(f"--save-video: {copy.target} cannot be written: {error.strerror}") from None
                log.info(f"no copy: {copy.source}: its name is too long for a copy in {copy.target.parent}; shorten it")
                failed.append(copy.source)
            except DataError as error:
                log.info(f"no copy: {error}")
                failed.append(copy.source)
            else:
                log.info("; ".join([f"{copy.source}: {copy.target}", *notes]))
            on_time(length)
    if failed:
        raise DataError(f"{len(failed)} of {len(copies)} videos have no copy, as said above: {', '.join(failed)}")


def _read_length(path: str, read_duration: Callable[[str], float | None]) -> int:
    """Seconds of a video, for the bar; 0 where they cannot be known."""
    try:
        return ceil(read_duration(path) or 0)
    except DataError:
        return 0  # what is wrong is told when it is copied
