"""What the files of a folder are: videos, pickles, shards and folders of frames by their content, and all the rest."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from PIL import Image

from datareader.clips.decoding import read_facts, try_first_frame
from datareader.clips.frame_folders import is_frame_name, list_folder, shorten_names
from datareader.clips.look import look_at_ends
from datareader.clips.marks import has_mark
from datareader.clips.pictures import NO_IMAGE
from datareader.clips.video import NoFilmError
from datareader.features.shards import is_shard
from datareader.kinds import find_pickle_kind
from datareader.lists import ListEntry
from tools.errors import DataError
from tools.files.recognise import ARCHIVES, COMPRESSED, PICTURES, SOUNDS, TEXTS, VIDEOS, FileKind, recognise_file
from tools.runtime.workers import QUICK, map_files

MediaKind = Literal["video", "pickle", "shard", "frames"]
VIDEO_SUFFIXES = {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"}
PICKLE_SUFFIXES = {".pkl", ".pickle"}
_UNFINISHED = {".part", ".partial", ".crdownload", ".download", ".aria2", ".ytdl", ".tmp"}
_MAYBE_FILMS = {FileKind.PNG, FileKind.WEBP}
_MANY = 500  # files that it takes more than a moment to look at
_NOT_DATA = TEXTS | PICTURES | SOUNDS | COMPRESSED | ARCHIVES


def identify(path: Path) -> tuple[MediaKind | None, str]:
    """The kind of a file, and in words what one is that cannot stand in a list. Raises DataError.

    Its content says it; the name decides of a file whose content says nothing, such as an empty one.
    """
    suffix = path.suffix.lower()
    if suffix in _UNFINISHED:
        return None, "an unfinished download"
    try:
        if is_special(path):
            return None, "a pipe, socket or device"
        content = recognise_file(path)
        if content is FileKind.MP4 and has_mark(path):
            return None, "a copy with classes drawn in, of --save-video"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if content is FileKind.TFRECORD:
        return "shard", ""
    if content is FileKind.PICKLE:
        return ("pickle", "") if suffix in PICKLE_SUFFIXES or find_pickle_kind(str(path)) else (None, str(content))
    if content in VIDEOS and not (content is FileKind.GIF and _is_still(path)):
        return (None, "a file without a video stream") if _lacks_film(path) else ("video", "")
    if content not in _NOT_DATA:
        if suffix in VIDEO_SUFFIXES | PICKLE_SUFFIXES:
            return "video" if suffix in VIDEO_SUFFIXES else "pickle", ""
        if is_shard(path):
            return "shard", ""
    # The decoder knows more kinds than there are names for.
    if (content is None or (content in _MAYBE_FILMS and not _is_still(path))) and _decodes(path):
        return "video", ""
    return None, str(content or "a file of a kind that is not known")


def is_special(path: Path) -> bool:
    """Whether it is neither a file nor a folder, so that reading it may wait for ever. Raises OSError."""
    mode = path.stat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_still(path: Path) -> bool:
    """Whether a GIF, PNG or WebP is one picture."""
    try:
        with Image.open(path, formats=("GIF", "PNG", "WEBP")) as image:
            return not image.is_animated
    except NO_IMAGE:
        return False  # its decoder says what is wrong


def _lacks_film(path: Path) -> bool:
    """Whether a file of a container of films holds none; its ends are enough where they tell."""
    if look_at_ends(ListEntry(str(path)), label_needed=False) is not None:
        return False
    try:
        read_facts(str(path))
    except NoFilmError:
        return True
    except DataError:
        pass  # broken, which is said when it is read
    return False


def _decodes(path: Path) -> bool:
    try:
        try_first_frame(str(path))
    except DataError:
        return False
    return True


def walk_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below with the names of their files, in order; no hidden ones.

    Links to folders are followed, each folder once. Raises DataError for a folder that cannot be listed.
    """

    def fail(error: OSError):
        raise DataError(f"folder {error.filename} cannot be listed: {error.strerror}")

    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), sorted(name for name in files if not name.startswith("."))


def find_media(folder: Path) -> tuple[list[tuple[Path, MediaKind]], dict[str, list[str]]]:
    """(path, kind) of what can stand in a list, at any depth; and what is left out, kind in words -> names.

    Folders of frames count where there is nothing else, as pictures beside videos are of other uses.
    """
    found, pictures, left_out, paths = [], {}, defaultdict(list), []
    for place, names in walk_folders(folder):
        pictures[place] = [name for name in names if is_frame_name(name)]
        paths += [place / name for name in names if not is_frame_name(name)]
    kinds = map_files(identify, paths, f"looking at {folder}", QUICK, shown=len(paths) >= _MANY)
    for path, (kind, words) in zip(paths, kinds, strict=True):
        if kind:
            found.append((path, kind))
        else:
            left_out[words].append(path.name)
    if found:
        left_out["a picture beside videos"] = [name for names in pictures.values() for name in names]
    else:
        contents = {place: list_folder(str(place)) for place, names in pictures.items() if names}
        found = [(place, "frames") for place, content in contents.items() if content.frames]
        left_out["a picture of optical flow"] = [name for content in contents.values() for name in content.flow]
    return found, {words: names for words, names in left_out.items() if names}


def describe_left_out(left_out: dict[str, list[str]]) -> list[str]:
    """A line for each kind: how many there are, and some of their names."""
    return [
        f"left out: {len(names)} x {words.split(maxsplit=1)[1]} ({shorten_names(names)})"
        for words, names in sorted(left_out.items())
    ]


def identify_file(path: Path) -> tuple[int, int]:
    """Equal for all names of a file: links of both kinds, and spellings of its path."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return status.st_dev, status.st_ino
