"""Write file lists, such as train.list and val.list, of what is in folders, and a config to train with.

python dataset/make_list.py SOURCE [SOURCE ...] [--config-for TSN]
python dataset/make_list.py SOURCE [SOURCE ...] --output FOLDER --split train=0.8 val=0.1 test=0.1

SOURCE may hold, at any depth,
  videos in one folder a class: class ids number the folders' names in alphabetical order, from 0;
  folders of frames (img_00001.jpg and the like) in one folder a class, where there are no videos;
  videos anywhere, with --csv and an official Kinetics CSV that names their classes;
  pickles of clips, which know their class;
  pickles or shards of YouTube-8M, called x.tfrecord or x.tfrecord-00000-of-00010, which are split without regard
  to classes.

--split gives each list its share of every class; shares that add up to less than 1 leave the rest out. Without it, a
CSV's own column split decides, or else train=0.8 val=0.1 test=0.1, with a file of each class in each list where there
are enough. The list infer has no class ids. The same --seed makes the same lists wherever the files are. Class names
are written to FOLDER/class_names.txt once and are used from then on, so that lists made one after another agree.

--config-for writes FOLDER/<model>.txt too, which names these lists and has all that was decided for them, with reasons.

Nothing is written if a file would be in two lists, including the lists that are in FOLDER already.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import os
import re
import zlib
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from datareader.clips.frame_folders import list_frames
from datareader.lists import load_list
from datareader.media import describe_left_out, identify_file
from dataset.class_list import CLASS_NAMES, resolve_class_names, write_class_names
from dataset.config_file import know_data, open_model_config, refuse_other_data, write_config
from dataset.kinetics.annotations import load_annotations, sort_classes
from dataset.list_items import UNLABELLED, Item, find_annotated, find_items, refuse_duplicates
from dataset.origins import find_origins, parse_pattern, split_by_origin
from dataset.splits import parse_shares, split_as_csv, split_items
from dataset.training_config import know_machine
from tools.config.flags import parse_text, whole_number
from tools.config.parser import Group, make_parser
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.registry import MODELS
from tools.runtime.entry import run_program

DEFAULT_SHARES = ["train=0.8", "val=0.1", "test=0.1"]


@dataclass(frozen=True)
class ListOptions:
    """What the flags say; the names are theirs."""

    sources: list[Path]
    output: Path | None
    split: list[str] | None
    group: re.Pattern | None
    config_for: str | None
    csv: str | None
    class_names: str | None
    seed: int
    shuffle: bool
    absolute: bool
    force: bool

    @property
    def folder(self) -> Path:
        """Where the lists go."""
        return self.output or Path(f"{self.sources[0].resolve().name}_lists")


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
        text = f"./{text}" if text[0] in "#\ufeff" or text[0].isspace() else text
        ends_plain = text == text.rstrip()
        label = None
        if class_ids is not None and item.is_video:
            label = class_ids[item.group] if item.group is not None else -1
            frames = f" {len(list_frames(str(item.path), None))}" if item.path.is_dir() else ""
            text = f"{text}{frames} {label}"
        if not ends_plain or re.search("[\n\r\udc80-\udcff]", text):  # the latter is not UTF-8
            raise DataError(f"{str(item.path)!a} cannot stand in a list; rename it")
        lines.append((text, item, label))
    return lines


def check_lines(temporary: str, path: Path, lines: list[tuple[str, Item, int | None]]) -> None:
    """Raise DataError unless a list, written to ``temporary``, is read back as the files and class ids of ``lines``."""
    try:
        entries = load_list(temporary, labelled=True)
    except DataError as error:
        raise DataError(f"{path} cannot be read back: {error.text}; rename that, or pass --absolute") from None
    for entry, (text, item, label) in zip(entries, lines, strict=True):
        if entry.label != label or identify_file(Path(entry.path)) != identify_file(item.path):
            raise DataError(f"{path}: {text!r} would be read as {entry.path}; rename one, or pass --absolute")


def check_labelled(lists: dict[str, list[Item]], with_csv: bool) -> None:
    """Only the list to infer from, and lists of a CSV without some labels, may hold videos without a class."""
    for name, items in lists.items():
        lost = [item for item in items if item.is_video and item.group is None]
        if lost and name != UNLABELLED and not with_csv:
            raise DataError(
                f"{lost[0].path} has no class; have one folder for each class, or pass --csv, or --split infer"
            )


def write_lists(lists: dict[str, list[Item]], class_names: list[str] | None, options: ListOptions) -> None:
    """Write the lists and, where there is none yet, class_names.txt."""
    output = options.folder
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
        write_class_names(names_path, class_names)
    with ExitStack() as stack:  # at its end every list takes its place
        for name, path in paths.items():
            file = stack.enter_context(atomic_write(path))
            file.write(contents[name])
            file.flush()
            check_lines(file.name, path, lines[name])
        for path in paths.values():  # so that what is interrupted leaves no old list beside new ones
            path.unlink(missing_ok=True)


def print_summary(
    lists: dict[str, list[Item]], output: Path, unlisted: int, missing: int, left_out: dict[str, list[str]]
) -> None:
    groups = {name: {item.group for item in items} - {None} for name, items in lists.items()}
    for name, items in lists.items():
        classes = f" of {len(groups[name])} classes" if groups[name] else ""
        print(f"{output / f'{name}.list'}: {len(items)} files{classes}")
    if unlisted:
        print(f"{unlisted} files are in no list")
    for line in describe_left_out(left_out):
        print(line)
    if missing:
        print(f"{missing} videos of the CSV are not there")
    if "train" in groups and (untrained := set().union(*groups.values()) - groups["train"]):
        print(f"{len(untrained)} classes have no file in train.list")


def parse_args() -> ListOptions:
    parser = make_parser(__doc__)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="folder of videos, frames, pickles or shards"
    )
    add = parser.group(Group.OUTPUT).add_argument
    add("--output", type=Path, metavar="FOLDER", help="where the lists go; default: SOURCE_lists, here")
    add("--config-for", type=parse_text, metavar="MODEL", help=f"write a config too; {', '.join(MODELS.names())}")
    add = parser.group(Group.DATA).add_argument
    add("--split", nargs="+", metavar="NAME=SHARE", help="lists and their shares; a name alone takes all")
    add(
        "--group",
        type=parse_pattern,
        metavar="PATTERN",
        help="regular expression, searched for in each path below SOURCE: files with the same first group (or match) "
        "come of one recording, and stay in one list",
    )
    add("--csv", type=parse_text, metavar="CSV", help="official Kinetics CSV: which files, their classes and splits")
    add("--class-names", type=parse_text, metavar="FILE", help="classes by id, as generate_label.py writes them")
    add("--seed", type=whole_number(), default=0, metavar="N", help="seed of the choice and of --shuffle")
    add = parser.group(Group.OUTPUT).add_argument
    add("--shuffle", action="store_true", help="shuffled lists; default: sorted, as training shuffles every epoch")
    add("--absolute", action="store_true", help="absolute paths; default: relative to the list's folder")
    add("--force", action="store_true", help="replace lists and a config that are there")
    return ListOptions(**vars(parser.parse_args()))


def split_found(items: list[Item], options: ListOptions) -> dict[str, list[Item]]:
    """The lists that the flags ask for. Raises DataError for one that would be empty."""
    if options.csv and not options.split and any(item.split for item in items):
        if options.group:
            raise DataError(f"{options.csv} has a column split, which --group cannot change; pass --split with it")
        return split_as_csv(items, options.csv)
    shares = parse_shares(options.split or DEFAULT_SHARES)
    if options.group:
        origins, unmatched = find_origins(items, options.sources, options.group)
        lists = split_by_origin(items, origins, shares, options.seed)
        alone = f", {unmatched} of them files that --group does not match" if unmatched else ""
        print(f"{len(items)} files of {len(set(origins))} sources{alone}")
    else:
        lists = split_items(items, shares, options.seed, everywhere=not options.split)
    if not options.split and lists["val"] and not lists["test"]:
        print("test.list is not written: there are too few files for it")
        del lists["test"]
    if empty := [name for name, part in lists.items() if not part]:
        raise DataError(f"{empty[0]}.list would be empty: {len(items)} files are too few for these shares")
    return lists


def name_classes(named: set[str], lists: dict[str, list[Item]], options: ListOptions) -> list[str] | None:
    """The class names by id of lists that have class ids, None of others. Raises DataError."""
    if named and set(lists) != {UNLABELLED}:
        return resolve_class_names(named, options.class_names, options.folder)
    if options.class_names:
        raise DataError(f"--class-names {options.class_names}: no list of these has class ids; leave it out")
    return None


def main() -> None:
    options = parse_args()
    output = options.folder
    model = open_model_config(options.config_for) if options.config_for else None
    annotations = load_annotations(options.csv) if options.csv else None
    missing, left_out = 0, {}
    if options.csv:
        items, missing = find_annotated(annotations, options.sources)
    else:
        items, left_out = find_items(options.sources)
    if model:
        refuse_other_data(items, model)
    lists = split_found(items, options)
    check_labelled(lists, with_csv=bool(options.csv))
    named = set(sort_classes(annotations)) if options.csv else {item.group for item in items if item.is_video} - {None}
    files = {f"{name}.list" for name in lists}
    try:
        for name in (*files, CLASS_NAMES, *([model.file_name] if model else [])):
            require_writable(output / name)
        refuse_duplicates(items, output, files)
        if model:
            data, class_names = know_data(model, items, named, lists, options.class_names, output)
        else:
            class_names = name_classes(named, lists, options)
        write_lists(lists, class_names, options)
        print_summary(lists, output, len(items) - sum(map(len, lists.values())), missing, left_out)
        if model:
            for line in write_config(output / model.file_name, model, data, know_machine(), force=options.force):
                print(line)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error}") from None


if __name__ == "__main__":
    run_program(main)
