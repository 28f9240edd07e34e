"""Clips that are named on a command line: files, folders to search, and patterns, in place of a list."""

import glob
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datareader.clips.dataset import ClipDataset
from datareader.clips.frame_folders import shorten_names
from datareader.clips.settings import build_clip_settings
from datareader.kinds import EXPECTED, find_pickle_kind
from datareader.lists import ListEntry
from datareader.media import MediaKind, describe_left_out, find_media, identify, identify_file, is_special
from datareader.missing_files import explain_missing_path
from tools.errors import DataError, DataIssue
from tools.files.recognise import TEXTS, recognise_file
from tools.runtime.text import printable, shorten

_WITHOUT_FRAMES = {"shard": "a shard of YouTube-8M features", "pickle": "a pickle without frames, as of features"}
_MAGIC = re.compile(r"[*?[]")
_LISTS = {".txt", ".list", ".lst", ".csv", ".tsv"}


@dataclass(frozen=True)
class NamedClips:
    """Clips in the order in which they are named, those of a folder sorted, each once.

    notices: lines on what was left out.
    """

    entries: list[ListEntry]
    notices: list[str]

    def open(self, config, section: str, *, training: bool, skip_broken: int) -> ClipDataset:
        """Takes the place of a reader; the list in the config is not read."""
        settings = build_clip_settings(config, section)
        return ClipDataset(self.entries, settings, name="--video", training=training, skip_broken=skip_broken)


def find_clips(names: Sequence[str], apart_from: str | None = None) -> NamedClips:
    """The clips that paths and patterns name.

    A pattern may hold ``*``, ``?``, ``[...]`` and ``**``; a file or folder that is called so goes before. In folders
    and among what matches a pattern, what is no clip is left out; a file named by itself is for its reader to refuse.
    apart_from: a folder of copies; what is in it is left out too, where a search comes there from above.
    Raises DataError for a name that stands for nothing, or for no clip.
    """
    entries, seen, repeated, left_out = [], set(), [], defaultdict(list)
    for name in names:
        others = defaultdict(list)
        paths = _leave_out_copies(list(dict.fromkeys(_find(name, others))), name, apart_from, others)
        if not paths:
            there = "; ".join(["", *describe_left_out(others)])
            raise DataError(f"no clip is in {printable(name)}{there}; expected {EXPECTED}", DataIssue.NOT_A_VIDEO)
        for path in paths:
            identity = identify_file(Path(path))
            if identity in seen:
                repeated.append(path)
            else:
                entries.append(ListEntry(path, written=path))
            seen.add(identity)
        for words, found in others.items():
            left_out[words] += found
    notices = describe_left_out(left_out)
    if repeated:
        notices.append(f"named more than once, taken once: {len(repeated)} x ({shorten_names(repeated)})")
    return NamedClips(entries, list(map(printable, notices)))


def _leave_out_copies(paths: list[str], name: str, folder: str | None, left_out: dict[str, list[str]]) -> list[str]:
    """The paths that a name stands for, without those that a search for it has found in a folder of copies."""
    if folder is None or paths == [name]:
        return paths
    folder = Path(folder).resolve()
    start = Path(name) if Path(name).is_dir() else Path(_MAGIC.split(name)[0] + "x").parent
    if start.resolve().is_relative_to(folder):
        return paths
    inside = [path for path in paths if Path(path).resolve().is_relative_to(folder)]
    if inside:
        left_out["a clip in the folder of --save-video"] += [Path(path).name for path in inside]
    return [path for path in paths if path not in set(inside)]


def _find(name: str, left_out: dict[str, list[str]]) -> Iterator[str]:
    """The clips that one name stands for; the names of what is left out go to ``left_out``, by kind in words."""
    try:
        if Path(name).is_dir():
            yield from _search(name, left_out)
        elif _is_there(name):
            if is_special(Path(name)):
                raise DataError(f"{name} is a pipe, socket or device; expected {EXPECTED}", DataIssue.NOT_A_VIDEO)
            _refuse_list(name)
            yield name
        elif glob.has_magic(name):
            yield from _match(name, left_out)
        else:
            raise DataError(explain_missing_path(name), DataIssue.MISSING)
    except (OSError, ValueError) as error:  # a name that no file can have, a folder that is closed to us
        reason = error.strerror if isinstance(error, OSError) else error  # without the name, however long
        shown = shorten(printable(name), 200)
        raise DataError(f"{shown} cannot be looked up: {reason}", DataIssue.UNREADABLE) from None


def _is_there(name: str) -> bool:
    """Raises OSError where that cannot be known."""
    try:
        Path(name).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _search(folder: str, left_out: dict[str, list[str]]) -> Iterator[str]:
    """The clips in a folder at any depth."""
    found, others = find_media(Path(folder))
    for words, names in others.items():
        left_out[words] += names
    for path, kind in found:
        if _lacks_frames(path, kind):
            left_out[_WITHOUT_FRAMES[kind]].append(path.name)
        else:
            yield folder if path == Path(folder) else str(path)


def _match(pattern: str, left_out: dict[str, list[str]]) -> Iterator[str]:
    """The clips among what matches a pattern, and in the folders among it."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute one)
    if not matches:
        hint = "; ~ is not expanded here" if pattern.startswith("~") else ""
        raise DataError(f"nothing matches {printable(pattern)}{hint}", DataIssue.MISSING)
    folders = {Path(match) for match in matches if Path(match).is_dir()}
    for match in matches:
        path = Path(match)
        if not folders.isdisjoint(path.parents):
            continue  # it is found where its folder is searched
        if path in folders:
            yield from _search(match, left_out)
            continue
        kind, words = identify(path)
        if kind is None or _lacks_frames(path, kind):
            left_out[words or _WITHOUT_FRAMES[kind]].append(path.name)
        else:
            yield match


def _lacks_frames(path: Path, kind: MediaKind) -> bool:
    return kind == "shard" or (kind == "pickle" and find_pickle_kind(str(path)) == "features")


def _refuse_list(path: str) -> None:
    """Raise DataError for a list in place of what it names."""
    if Path(path).suffix.lower() in _LISTS and recognise_file(path) in TEXTS:
        raise DataError(f"{path} is a text; if it is a list of clips, --filelist takes it", DataIssue.NOT_A_VIDEO)
