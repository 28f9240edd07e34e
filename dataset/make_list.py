"""Write file lists, such as train.list and val.list, of what is in folders.

python dataset/make_list.py SOURCE [SOURCE ...] --output FOLDER [--split train=0.8 val=0.1 test=0.1]

SOURCE may hold, at any depth,
  videos in one folder a class: class ids are the places of the folders' names in alphabetical order;
  videos anywhere, with --csv and an official Kinetics CSV that names their classes;
  pickles of clips, which know their class;
  pickles or shards of YouTube-8M, called x.tfrecord or x.tfrecord-00000-of-00010, which are shared out without
  regard to classes.

--split gives each list its share, class by class; what is beyond the shares is left out. Without it, a CSV's own
column split decides, or else train=0.8 val=0.1 test=0.1. The list infer has no class ids. The same --seed makes the
same lists wherever the files are. Class names are written to FOLDER/class_names.txt once and are used from then on, so
that lists made one after another agree.

Nothing is written when a file would stand in two lists, those included that are in FOLDER already.
"""

import os
import re
import sys
import zlib
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project, when run as a script

from datareader.clips.files import read_pickle_head
from datareader.lists import load_list
from dataset.kinetics.annotations import (
    PICKLE_SUFFIXES,
    VIDEO_SUFFIXES,
    Annotation,
    VideoFolder,
    load_annotations,
    load_class_list,
    sort_classes,
    walk_files,
)
from dataset.youtube8m.shards import is_shard, pickle_name
from tools.config.flags import make_parser, parse_text, whole_number
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.files.pickles import DAMAGED, load_data_pickle
from tools.runtime.entry import run_program

DEFAULT_SHARES = ["train=0.8", "val=0.1", "test=0.1"]
CSV_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
UNLABELLED = "infer"  # the list without class ids
CLASS_NAMES = "class_names.txt"


@dataclass(frozen=True)
class Item:
    """One file for a list. key: its place below its source, by which items are in order.

    group: what the shares are taken of, a class name or, of a pickle, the class id in it. is_video: its line ends with
    its class id. split: what the CSV says.
    """

    path: Path
    key: str
    group: str | int | None
    is_video: bool
    split: str = ""


@dataclass(frozen=True)
class ListOptions:
    """What the flags say; the names are theirs."""

    sources: list[Path]
    output: Path
    split: list[str] | None
    csv: str | None
    class_names: str | None
    seed: int
    shuffle: bool
    absolute: bool
    force: bool


# What there is


def is_item(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES | PICKLE_SUFFIXES or is_shard(path)


def find_items(sources: list[Path]) -> list[Item]:
    """All videos, pickles and shards of folders, in order. A video's class is the name of its folder."""
    items = []
    for source in sources:
        for path in walk_files(source, is_item):
            suffix, group = path.suffix.lower(), None
            if suffix in VIDEO_SUFFIXES and path.parent != source:
                group = path.parent.name
            elif suffix in PICKLE_SUFFIXES:
                group = read_label(path)
            items.append(Item(path, path.relative_to(source).as_posix(), group, suffix in VIDEO_SUFFIXES))
    if not items:
        raise DataError(f"no video, pickle or .tfrecord shard is in {', '.join(map(str, sources))}")
    refuse_conversions(items)
    return sorted(items, key=lambda item: item.key)


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
            is_video = path.suffix.lower() in VIDEO_SUFFIXES
            items[path] = Item(path, item.name, item.class_name or None, is_video, item.split)
        elif items[path].group != (item.class_name or None):
            raise DataError(f"{item.where}: {path} stands in an earlier line with another label")
    if not items:
        raise DataError(f"none of the {missing} videos of the CSV is there; expected names like {annotations[0].name}")
    return sorted(items.values(), key=lambda item: item.key), missing


def read_label(path: Path) -> int | None:
    """The class id in a pickle of a clip; None in one of YouTube-8M's. Raises DataError for what is no pickle."""
    # Mostly the first bytes of a file tell, of the many that may have to be asked.
    with suppress(OSError, *DAMAGED), open(path, "rb") as file:
        head = read_pickle_head(file)
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
                seen[_identify(Path(entry.path))] = entry.where
    in_lists = len(seen)
    for item in items:
        other = seen.setdefault(_identify(item.path), item.path)
        if other is not item.path:
            hint = "leave one out"
            if in_lists and isinstance(other, str):
                hint = "leave it out, or write to another folder"
            raise DataError(f"{item.path} is the same file as {other}; {hint}")


def _identify(path: Path) -> tuple[int, int]:
    """Equal for all names of a file: links of both kinds, and spellings of its path."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return status.st_dev, status.st_ino


# Who goes where


def parse_shares(texts: list[str]) -> dict[str, Fraction]:
    """``["train=0.8", "val=0.2"]`` to exact shares; a name alone takes all. Raises DataError."""
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        if not re.fullmatch("[A-Za-z0-9_-]+", name) or name in shares:
            raise DataError(f"--split {text}: {name!r} should be a name such as train, and not come twice")
        try:
            shares[name] = Fraction(share or "1")
        except (ValueError, ZeroDivisionError):
            raise DataError(f"--split {text}: {share!r} is not a share such as 0.8 or 4/5") from None
        if not 0 < shares[name] <= 1:
            raise DataError(f"--split {text}: a share is above 0 and at most 1")
    if sum(shares.values()) > 1:
        raise DataError(f"--split {' '.join(texts)}: the shares add up to more than 1")
    return shares


def share_out(sizes: list[int], shares: list[Fraction]) -> list[list[int]]:
    """How many of each group go to each share: one row a group, adding up to its size.

    shares: adding up to 1. Every number is its exact share rounded down or up. Who is rounded up is who lacks most
    from the groups before, so that the totals come out right although many groups are small.
    """
    rows, lacking = [], [Fraction(0)] * len(shares)
    for size in sizes:
        exact = [size * share for share in shares]
        row = [int(part) for part in exact]
        lacking = [lack + part - whole for lack, part, whole in zip(lacking, exact, row, strict=True)]
        uneven = [i for i, part in enumerate(exact) if part.denominator > 1]
        for i in sorted(uneven, key=lambda i: -lacking[i])[: size - sum(row)]:
            row[i] += 1
            lacking[i] -= 1
        rows.append(row)
    return rows


def split_items(items: list[Item], shares: dict[str, Fraction], seed: int) -> dict[str, list[Item]]:
    """Shard out each group of items by chance; every list keeps the order of ``items``."""
    groups = defaultdict(list)
    for place, item in enumerate(items):
        groups[str(item.group)].append(place)
    names = sorted(groups)
    rest = 1 - sum(shares.values())
    rows = share_out([len(groups[name]) for name in names], [*shares.values(), rest])
    chosen = {name: [] for name in shares}
    for group, row in zip(names, rows, strict=True):
        rng = np.random.default_rng([seed, zlib.crc32(group.encode("utf-8", "surrogateescape"))])
        places = rng.permutation(groups[group])
        for name, end, count in zip(shares, np.cumsum(row), row, strict=False):  # the rest is in no list
            chosen[name] += places[end - count : end].tolist()
    return {name: [items[place] for place in sorted(places)] for name, places in chosen.items()}


def split_as_csv(items: list[Item], csv: str) -> dict[str, list[Item]]:
    """The lists that the column split of a CSV names."""
    chosen = defaultdict(list)
    for item in items:
        if item.split.lower() not in CSV_SPLITS:
            raise DataError(f"{csv}: split {item.split!r} of {item.key} is not one of {', '.join(CSV_SPLITS)}")
        chosen[CSV_SPLITS[item.split.lower()]].append(item)
    return dict(chosen)


# What is written


def list_lines(
    items: list[Item], output: Path, class_ids: dict[str, int] | None, absolute: bool
) -> list[tuple[str, Item, int | None]]:
    """A line for each item, with the item and the class id in the line. class_ids: None writes no ids."""
    base = output.resolve()
    lines = []
    for item in items:
        # The folder's links are followed, as .. behind a link leads elsewhere; the file's own name stays.
        path = item.path.parent.resolve() / item.path.name
        text = str(path) if absolute else os.path.relpath(path, base)
        text = f"./{text}" if text[0] in "# \t\ufeff" else text
        label = None
        if class_ids is not None and item.is_video:
            label = class_ids[item.group] if item.group is not None else -1
            text = f"{text} {label}"
        if len(text.splitlines()) != 1 or re.search("[\udc80-\udcff]", text):  # the latter is not UTF-8
            raise DataError(f"{str(item.path)!a} cannot stand in a list; rename it")
        lines.append((text, item, label))
    return lines


def check_lines(temporary: str, path: Path, lines: list[tuple[str, Item, int | None]]) -> None:
    """Raise DataError unless a list that is written already is read as it was meant."""
    for entry, (text, item, label) in zip(load_list(temporary, labelled=True), lines, strict=True):
        if entry.label != label or _identify(Path(entry.path)) != _identify(item.path):
            raise DataError(f"{path}: {text!r} would be read as {entry.path}; rename one, or pass --absolute")


def choose_classes(named: set[str], given: str | None, output: Path) -> list[str]:
    """Class names by id, from a file that is given or in ``output``, or else those that occur, in order.

    Raises DataError where both files are there and differ.
    """
    written = output / CLASS_NAMES
    path = given or (str(written) if written.exists() else None)
    names = load_class_list(path) if path else sorted(named)
    if given and written.exists() and load_class_list(str(written)) != names:
        raise DataError(
            f"--class-names {given} does not number the classes as {written} does; leave it out, or write to another "
            "folder"
        )
    if unknown := sorted(named - set(names)):
        hint = "" if given else "; remove it to number the classes anew"
        raise DataError(f"class {unknown[0]!r} is not among the {len(names)} names in {path}{hint}")
    if bad := [name for name in names if len(name.splitlines()) != 1 or name != name.strip()]:
        raise DataError(f"{bad[0]!r} cannot be a class name; rename its folder")
    return names


def check_labelled(lists: dict[str, list[Item]], with_csv: bool) -> None:
    """Only the list to infer from, and a CSV that leaves classes out, may hold videos without a class."""
    for name, items in lists.items():
        lost = [item for item in items if item.is_video and item.group is None]
        if lost and name != UNLABELLED and not with_csv:
            raise DataError(
                f"{lost[0].path} has no class; have one folder for each class, or pass --csv, or --split infer"
            )


def write_lists(lists: dict[str, list[Item]], class_names: list[str] | None, options: ListOptions) -> None:
    """Write the lists and, where there is none yet, class_names.txt."""
    output = options.output
    ids = None if class_names is None else {name: class_id for class_id, name in enumerate(class_names)}
    lines = {
        name: list_lines(items, output, None if name == UNLABELLED else ids, options.absolute)
        for name, items in lists.items()
    }
    if options.shuffle:
        for name, part in lines.items():
            order = np.random.default_rng([options.seed, zlib.crc32(name.encode())]).permutation(len(part))
            lines[name] = [part[place] for place in order]
    contents = {name: "".join(f"{text}\n" for text, *_ in part).encode() for name, part in lines.items()}
    paths = {name: output / f"{name}.list" for name in lines}
    for name, path in paths.items():  # the same one may be there, of a run that was killed before it wrote the others
        if not options.force and path.exists() and path.read_bytes() != contents[name]:
            raise DataError(f"{path} is there already; --force replaces it")
    names_path = output / CLASS_NAMES
    if class_names is not None and not names_path.exists():
        with atomic_write(names_path) as file:
            file.write("".join(f"{name}\n" for name in class_names).encode())
    with ExitStack() as stack:  # at its end every list takes its place
        for name, path in paths.items():
            file = stack.enter_context(atomic_write(path))
            file.write(contents[name])
            file.flush()
            check_lines(file.name, path, lines[name])
        for path in paths.values():  # so that what is interrupted leaves no old list beside new ones
            path.unlink(missing_ok=True)


def print_summary(lists: dict[str, list[Item]], output: Path, left_out: int, missing: int) -> None:
    groups = {name: {item.group for item in items} - {None} for name, items in lists.items()}
    for name, items in lists.items():
        classes = f" of {len(groups[name])} classes" if groups[name] else ""
        print(f"{output / f'{name}.list'}: {len(items)} files{classes}")
    if left_out:
        print(f"{left_out} files are in no list")
    if missing:
        print(f"{missing} videos of the CSV are not there")
    if "train" in groups and (untrained := set().union(*groups.values()) - groups["train"]):
        print(f"{len(untrained)} classes have no file in train.list")


def parse_args() -> ListOptions:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("sources", nargs="+", type=Path, metavar="SOURCE", help="folder of videos, pickles or shards")
    add("--output", required=True, type=Path, metavar="FOLDER", help="where the lists go")
    add("--split", nargs="+", metavar="NAME=SHARE", help="lists and their shares; a name alone takes all")
    add("--csv", type=parse_text, metavar="CSV", help="official Kinetics CSV: which files, their classes and splits")
    add("--class-names", type=parse_text, metavar="FILE", help="classes by id, as generate_label.py writes them")
    add("--seed", type=whole_number(), default=0, metavar="N", help="of the choice and of --shuffle; default: 0")
    add("--shuffle", action="store_true", help="shuffled lists; default: sorted, as training shuffles every epoch")
    add("--absolute", action="store_true", help="absolute paths; default: relative to the list's folder")
    add("--force", action="store_true", help="replace lists that are there")
    return ListOptions(**vars(parser.parse_args()))


def main() -> None:
    options = parse_args()
    annotations = load_annotations(options.csv) if options.csv else None
    items, missing = find_annotated(annotations, options.sources) if options.csv else (find_items(options.sources), 0)
    if options.csv and not options.split and any(item.split for item in items):
        lists = split_as_csv(items, options.csv)
    else:
        lists = split_items(items, parse_shares(options.split or DEFAULT_SHARES), options.seed)
    if empty := [name for name, part in lists.items() if not part]:
        raise DataError(f"{empty[0]}.list would be empty: {len(items)} files are too few for these shares")
    check_labelled(lists, with_csv=bool(options.csv))
    named = set(sort_classes(annotations)) if options.csv else {item.group for item in items if item.is_video} - {None}
    files = {f"{name}.list" for name in lists}
    try:
        for name in (*files, CLASS_NAMES):
            require_writable(options.output / name)
        refuse_duplicates(items, options.output, files)
        labelled = named and set(lists) != {UNLABELLED}
        if options.class_names and not labelled:
            raise DataError(f"--class-names {options.class_names}: no list of these has class ids; leave it out")
        class_names = choose_classes(named, options.class_names, options.output) if labelled else None
        write_lists(lists, class_names, options)
    except OSError as error:
        raise DataError(f"{options.output} cannot be written: {error}") from None
    print_summary(lists, options.output, len(items) - sum(map(len, lists.values())), missing)


if __name__ == "__main__":
    run_program(main)
