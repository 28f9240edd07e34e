"""Which classes the lists of a folder have: their names by id, and for a config how many there are."""

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from datareader.class_names import load_class_names, parse_class_names
from datareader.lists import load_list
from datareader.media import PICKLE_SUFFIXES
from dataset.kinetics.annotations import load_class_list
from dataset.list_items import Item, read_label
from dataset.output_folder import SETTINGS
from dataset.text_files import write_lines
from models.spec import Choice
from tools.errors import DataError
from tools.files.texts import NO_JSON

CLASS_NAMES = "class_names.txt"


@dataclass(frozen=True)
class Classes:
    """What a config says of classes. names: by id, for CLASS_NAMES; None where there is nothing to write there.

    path: of their names, wherever they are; None where they are not known.
    """

    count: Choice
    path: Path | None
    names: list[str] | None = None


def write_class_names(path: Path, names: list[str]) -> None:
    """A name a line; with their ids behind them where names such as "0 cats" would be read as a name and its id."""
    plain = parse_class_names("\n".join(names)) == names
    write_lines(path, names if plain else [f"{name} {class_id}" for class_id, name in enumerate(names)])


def resolve_class_names(named: set[str], given: str | None, output: Path) -> list[str]:
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
    spellings = {}
    for name in names:
        other = spellings.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"{other!a} and {name!a} are the same class name in two spellings of Unicode; rename one folder"
            )
    if bad := [name for name in names if not name or re.search("[\n\r]", name) or name != name.strip()]:
        raise DataError(f"{bad[0]!r} cannot be a class name; rename its folder")
    return names


def find_classes(
    items: list[Item], named: set[str], given: str | None, output: Path, kind: str, published: int
) -> Classes:
    """The classes of a config. named, given, output: as ``resolve_class_names`` takes them.

    kind: of the data, as ``ModelSpec`` has it. published: how many classes the model's own config has.
    """
    if kind == "features" and given and Path(given).suffix.lower() == ".csv":
        load_class_names(given, published)
        return Classes(Choice(published, f"as published, for the names in {Path(given).name}"), Path(given).resolve())
    names = None
    if named or given or (output / CLASS_NAMES).exists():
        names = resolve_class_names(named, given, output)
    elif kind == "clips":
        names = names_of_conversion(items)
    largest = find_largest_label(items, output) if kind == "clips" else None
    if names is not None:
        if largest and largest[0] >= len(names):
            raise DataError(
                f"{largest[1]} has the class id {largest[0]}, but there are {len(names)} class names; --class-names "
                "names the classes that the pickles were made with"
            )
        return Classes(Choice(len(names), f"the names in {CLASS_NAMES}"), (output / CLASS_NAMES).resolve(), names)
    if largest and largest[0] >= 0:
        reason = "one more than the largest class id in the pickles; --class-names FILE names the classes"
        return Classes(Choice(largest[0] + 1, reason), None)
    if kind == "clips":
        raise DataError(f"{items[0].path} and all others have no class; pass --csv, or have one folder for each class")
    reason = "as published, the classes of YouTube-8M; --class-names FILE says which others there are"
    return Classes(Choice(published, reason), None)


def names_of_conversion(items: list[Item]) -> list[str] | None:
    """The class names that video2pkl.py left beside its pickles; None where it left none, or not the same to all."""
    found = set()
    for folder in {item.path.parent for item in items}:
        try:
            names = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["--class-names"]
        except (OSError, *NO_JSON, KeyError, TypeError):
            return None
        found.add(tuple(names))
    return list(found.pop()) if len(found) == 1 else None


def find_largest_label(items: list[Item], output: Path) -> tuple[int, Path] | None:
    """The largest class id in pickles, of these and those of lists that were made before; and where it is."""
    labels = [(item.group, item.path) for item in items if isinstance(item.group, int)]
    for path in output.glob("*.list"):
        entries = load_list(str(path), labelled=True)
        pickles = [Path(entry.path) for entry in entries if Path(entry.path).suffix.lower() in PICKLE_SUFFIXES]
        labels += [(label, pickle) for pickle in pickles if (label := read_label(pickle)) is not None]
    return max(labels, default=None)
