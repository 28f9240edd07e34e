"""Folders of one clip's frames, a picture each, as several projects extract them: img_00001.jpg and the like."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import DataError, DataIssue

_FRAME_NAME = re.compile(r".*[0-9].*\.(jpg|jpeg|png)", re.IGNORECASE)
_OTHER_PICTURE = re.compile(r"\.(bmp|webp|tiff?|gif|p[bgnp]m|jp2|tga|heic|avif)$", re.IGNORECASE)
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class FolderContent:
    """The names of the files in a folder, hidden ones aside.

    frames: pictures with a number in their names, in the order of these numbers. flow: pictures of optical flow, which
    stand beside the frames in some layouts. others: everything else, sorted, folders with a / behind them.
    """

    frames: list[str]
    flow: list[str]
    others: list[str]


class FrameFiles(Sequence[bytes]):
    """The bytes of frames, each read when it is asked for. Raises DataError for one that cannot be read."""

    def __init__(self, folder: str, names: list[str]):
        self.paths = [f"{folder}{os.sep}{name}" for name in names]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> bytes:
        try:
            return Path(self.paths[number]).read_bytes()
        except OSError as error:
            raise _unreadable(self.paths[number], error) from None

    def sizes(self) -> Iterator[int]:
        """Bytes of each frame. Raises DataError as for its content."""
        for path in self.paths:
            try:
                yield Path(path).stat().st_size
            except OSError as error:
                raise _unreadable(path, error) from None


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror}", DataIssue.UNREADABLE)


def is_frame_name(name: str) -> bool:
    """Whether a file is called as a frame is: a picture with a number in its name."""
    return bool(_FRAME_NAME.fullmatch(name))


def list_folder(path: str) -> FolderContent:
    """What is in a folder. Raises DataError for one that cannot be listed."""
    pictures, others = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if is_frame_name(entry.name) and entry.is_file():
                    pictures.append(entry.name)
                else:
                    others.append(f"{entry.name}/" if entry.is_dir() else entry.name)
    except OSError as error:
        raise DataError(f"folder {path} cannot be listed: {error.strerror}", DataIssue.UNREADABLE) from None
    prefixes = {name: re.split("[0-9]", name.lower(), maxsplit=1)[0] for name in pictures}
    is_flow = {prefix: _is_flow(prefix, prefixes.values()) for prefix in set(prefixes.values())}
    pictures.sort(key=_by_numbers)
    frames, flow = ([name for name in pictures if is_flow[prefixes[name]] == wanted] for wanted in (False, True))
    return FolderContent(frames, flow, sorted(others))


def list_frames(path: str, num_frames: int | None) -> list[str]:
    """The names of a clip's frames in a folder, the first ``num_frames`` of them where a list says how many.

    Raises DataError for a folder without frames, or with fewer than that.
    """
    content = list_folder(path)
    frames = content.frames
    if not frames:
        raise _no_frames(path, content)
    if num_frames is None:
        return frames
    if not 1 <= num_frames <= len(frames):
        raise DataError(
            f"{path} holds {len(frames)} frames, but its line says {num_frames}; extract the frames again, or correct "
            "the line",
            DataIssue.FRAME_COUNT,
        )
    return frames[:num_frames]


def _no_frames(path: str, content: FolderContent) -> DataError:
    if content.flow:
        return DataError(
            f"{path} holds optical flow ({shorten_names(content.flow)}), which these networks do not read; they need "
            "the frames themselves, such as img_00001.jpg",
            DataIssue.NO_FRAMES,
        )
    if others := [name for name in content.others if _OTHER_PICTURE.search(name)]:
        return DataError(
            f"{path} holds pictures of other kinds ({shorten_names(others)}); frames must be JPEG or PNG, such as "
            "img_00001.jpg: convert them",
            DataIssue.NO_FRAMES,
        )
    held = f"; it holds {shorten_names(content.others)}" if content.others else ", nor anything else"
    return DataError(
        f"{path} is a folder without frames, such as img_00001.jpg{held}. Videos are listed one by one, as "
        "dataset/make_list.py does",
        DataIssue.NO_FRAMES,
    )


def shorten_names(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _is_flow(prefix: str, prefixes) -> bool:
    """Whether names that begin so are of optical flow: flow_x_, flow_y_, or x_ and u_ beside y_ and v_."""
    if re.fullmatch(r"flow[-_]?([xyuv][-_]?)?", prefix):
        return True
    partner = {"x_": "y_", "y_": "x_", "u_": "v_", "v_": "u_"}.get(prefix)
    return partner is not None and partner in prefixes


def _by_numbers(name: str) -> list:
    """A key that sorts img_2.jpg before img_10.jpg, and ends with the name, so that no two are the same."""
    parts = re.split("([0-9]+)", name)
    return [[(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], name]
