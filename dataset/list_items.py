"""The files that can stand in a list: videos, pickles and folders of clips, and pickles or shards of YouTube-8M."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datareader.clips.frame_pickles import read_file_head
from datareader.features.shards import is_shard, pickle_name
from datareader.lists import load_list
from datareader.media import PICKLE_SUFFIXES, VIDEO_SUFFIXES, describe_left_out, find_media, identify_file
from dataset.kinetics.annotations import Annotation, VideoFolder
from tools.errors import DataError
from tools.files.pickles import DAMAGED, load_data_pickle

UNLABELLED = "infer"  # the list without class ids


@dataclass(frozen=True)
class Item:
    """One file for a list. key: its path relative to its source; items are sorted by it.

    group: what a split is stratified by, the class name or, of a pickle, the class id in it. is_video: its line ends
    with its class id, as that of a folder of frames does. split: the one that the CSV names.
    """

    path: Path
    key: str
    group: str | int | None
    is_video: bool
    split: str = ""


def find_items(sources: list[Path]) -> tuple[list[Item], dict[str, list[str]]]:
    """All videos, pickles, shards and folders of frames in folders, in order; and what is left out, as ``find_media``.

    A video's class is the name of its folder.
    """
    items, left_out = [], defaultdict(list)
    for source in sources:
        found, others = find_media(source)
        for words, names in others.items():
            left_out[words] += names
        for path, kind in found:
            is_video, group = kind in ("video", "frames"), None
            if is_video and source not in (path, path.parent):
                group = path.parent.name
            elif kind == "pickle":
                group = read_label(path)
            key = path.name if path == source else path.relative_to(source).as_posix()
            items.append(Item(path, key, group, is_video))
    if not items:
        there = "; ".join(["", *describe_left_out(left_out)])
        raise DataError(
            f"no video, pickle, .tfrecord shard or folder of frames is in {', '.join(map(str, sources))}{there}"
        )
    refuse_conversions(items)
    return sorted(items, key=lambda item: item.key), left_out


def refuse_conversions(items: list[Item]) -> None:
    """Raise DataError where a pickle stands beside the video or shard that it was made of."""
    paths = [item.path for item in items]
    pickles = {path.with_suffix(""): path for path in paths if path.suffix.lower() in PICKLE_SUFFIXES}
    for path in paths:
        target = path.with_name(pickle_name(path)) if is_shard(path) else path
        made = pickles.get(target.with_suffix(""))
        if made and path.suffix.lower() not in PICKLE_SUFFIXES:
            raise DataError(
                f"{made} has the name of {path}, as if made of it, so that its videos would come twice; "
                "keep each kind in a folder of its own, and list one"
            )


def find_annotated(annotations: list[Annotation], sources: list[Path]) -> tuple[list[Item], int]:
    """The files of a CSV's videos, pickles or videos, in order, and how many are not there."""
    folder = VideoFolder(sources, VIDEO_SUFFIXES | PICKLE_SUFFIXES)
    items, missing = {}, 0
    for item in annotations:
        path = folder.find(item)
        if path is None:
            missing += 1
        elif path not in items:
            is_video = path.is_dir() or path.suffix.lower() not in PICKLE_SUFFIXES
            items[path] = Item(path, item.name, item.class_name or None, is_video, item.split)
        elif items[path].group != (item.class_name or None):
            raise DataError(f"{item.where}: {path} stands in an earlier line with another label")
    if not items:
        raise DataError(f"none of the {missing} videos of the CSV is there; expected names like {annotations[0].name}")
    return sorted(items.values(), key=lambda item: item.key), missing


def read_label(path: Path) -> int | None:
    """The class id in a pickle of a clip; None in one of YouTube-8M's. Raises DataError for what is no pickle."""
    # The first bytes are mostly enough, and there may be many files.
    with suppress(OSError, *DAMAGED):
        head = read_file_head(path)
        if head is None or head[1] is not None:
            return head and head[1]
    content = load_data_pickle(str(path))
    is_clip = isinstance(content, list | tuple) and len(content) == 3 and isinstance(content[1], int | np.integer)
    return int(content[1]) if is_clip else None


def refuse_duplicates(items: list[Item], output: Path, replaced: set[str]) -> None:
    """Raise DataError if two paths, or a path and a line of another list in ``output``, are one file."""
    seen = {}
    for path in sorted(output.glob("*.list")):
        if path.name not in replaced:
            for entry in load_list(str(path), labelled=True):
                seen[identify_file(Path(entry.path))] = entry.where
    in_lists = len(seen)
    for item in items:
        other = seen.setdefault(identify_file(item.path), item.path)
        if other is not item.path:
            hint = "leave one out"
            if in_lists and isinstance(other, str):
                hint = "leave it out, or write to another folder"
            raise DataError(f"{item.path} is the same file as {other}; {hint}")
