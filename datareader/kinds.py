"""Which kind of data a file holds, by its content, and what is said of one that is no clip."""

import pickletools
import re
from pathlib import Path
from typing import Literal

from datareader.clips.frame_folders import list_folder
from tools.errors import DataError, DataIssue
from tools.files.pickles import DAMAGED
from tools.files.recognise import (
    ARCHIVES,
    COMPRESSED,
    PICTURES,
    SOUNDS,
    VIDEOS,
    FileKind,
    recognise_file,
    recognise_packed,
)

DataKind = Literal["clips", "features"]
EXPECTED = "a video such as an mp4, a pickle of JPEG frames, or a folder of frames"
# What a pickle may do before its first value, aside from opening a list.
_OPENINGS = {"PROTO", "FRAME", "MARK", "EMPTY_TUPLE", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}
_PICKLE_HEAD = 1 << 16  # bytes in which the first values stand
_LISTS, _DICTS = {"EMPTY_LIST", "LIST"}, {"EMPTY_DICT", "DICT"}
_ADVICE = {
    FileKind.HTML: "the download failed: fetch it again",
    FileKind.LFS_POINTER: "git lfs pull fetches it",
    FileKind.ANNEX_POINTER: "git annex get fetches it",
    FileKind.ZEROS: "copy it again",
}
_LISTS_NAMED = {"", ".txt", ".list", ".lst", ".csv", ".tsv"}


def find_data_kind(path: str) -> DataKind | None:
    """The data that a file begins as, None for what neither reader takes. Raises OSError."""
    if Path(path).is_dir():
        return "clips" if list_folder(path).frames else None
    kind = recognise_file(path)
    if kind is FileKind.TFRECORD:
        return "features"
    if kind is FileKind.PICKLE:
        return find_pickle_kind(path)
    return "clips" if kind in VIDEOS else None


def find_pickle_kind(path: str) -> DataKind | None:
    """Features for a dict or a list of dicts, as records are, clips for a name and a number in no list.

    Only the beginning is read. None for anything else and for what is damaged there. Raises OSError.
    """
    values, in_list = _first_values(path)
    if values and values[0] in _DICTS:
        return "features"
    is_clip = len(values) == 2 and re.search("UNICODE|STRING|BYTES", values[0]) and re.search("INT|LONG", values[1])
    return "clips" if is_clip and not in_list else None


def guess_pickle_kind(path: str) -> DataKind:
    """Whose reader has most to say of a pickle: that of features for a dict, and for nothing and what is damaged."""
    values, _ = _first_values(path)
    return "features" if not values or values[0] in {*_DICTS, "STOP"} else "clips"


def _first_values(path: str) -> tuple[list[str], bool]:
    """The operations that make the first two values of a pickle that are no lists, and whether a list holds them."""
    values, in_list = [], False
    with open(path, "rb") as file:
        try:
            for code, _, _ in pickletools.genops(file.read(_PICKLE_HEAD)):  # of a file it asks for what a length says
                in_list |= code.name in _LISTS
                if code.name not in _OPENINGS | _LISTS:
                    values.append(code.name)
                if len(values) == 2:
                    break
        except DAMAGED:
            pass
    return values, in_list


def explain_refused(path: str, error: DataError) -> DataError:
    """The error of a file that the reader of clips has refused, in words on what it is, where that says more."""
    try:
        found, kind = find_data_kind(path), None if Path(path).is_dir() else recognise_file(path)
    except (OSError, DataError):
        return error
    if found == "features":
        return DataError(
            f"{path} holds YouTube-8M features; expected {EXPECTED}. AttentionCluster, AttentionLSTM and NEXTVLAD are "
            "the models that read features",
            error.issue,
        )
    if kind is None or kind is FileKind.PICKLE or kind in VIDEOS | SOUNDS:
        return error  # the reader knows best
    return refuse_stranger(path, kind)


def refuse_stranger(path: str, kind: FileKind) -> DataError:
    """The error of a file of a kind that is no clip."""
    parts = [f"{path} is not a video (it is {kind})", _advise(path, kind), f"expected {EXPECTED}"]
    return DataError("; ".join(filter(None, parts)), DataIssue.NOT_A_VIDEO)


def refuse_folder(path: str) -> DataError:
    """The error of a folder in a list of features. Raises DataError for one that cannot be listed."""
    if list_folder(path).frames:
        text = "is a folder of frames; expected features of videos. TSN and STNET are the models that read clips"
    else:
        text = "is a folder; list the files in it"
    return DataError(f"{path} {text}", DataIssue.FORMAT)


def _advise(path: str, kind: FileKind) -> str:
    if kind in COMPRESSED:
        inner = recognise_packed(path)
        known = f" ({inner})" if inner else ""
        return f"unpack what is in it{known}" + f", as with gzip -dc {path} > NEW" * (kind is FileKind.GZIP)
    if kind in ARCHIVES:
        return "unpack it and list the files in it"
    suffix = Path(path).suffix.lower()
    if kind is FileKind.TEXT and suffix in _LISTS_NAMED:
        return "a list names the files themselves, not other lists"
    if kind in (FileKind.TEXT, FileKind.JSON, FileKind.XML) and suffix not in _LISTS_NAMED | {".json", ".xml"}:
        return "perhaps the download failed: fetch it again"
    if kind in PICTURES or kind is FileKind.GIF:
        return "the frames of a clip are listed by their folder"
    return _ADVICE.get(kind, "")
