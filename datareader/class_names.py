"""Names of classes by their ids, from the files that users have."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from datareader.missing_files import explain_missing_path
from tools.errors import DataError
from tools.files.recognise import FileKind, recognise_file
from tools.files.texts import NotTextError, read_text, split_lines
from tools.runtime.text import printable, short_repr, shorten

BESIDE_LISTS = "class_names.txt"  # what dataset/make_list.py writes
_SWALLOWED = re.compile(r"\n\s*[0-9]+\s*,")  # the beginning of a row
_EXPECTED = "expected a text with one name a line, or a .csv with the columns Index and Name"


def load_class_names(path: str, num_classes: int, *, complete: bool = False) -> list[str]:
    """Class names by id: a text file as ``parse_class_names`` takes it, or a CSV with columns Index and Name.

    YouTube-8M's vocabulary.csv is of the second kind. Classes that a CSV leaves out have no name.
    complete: it may not leave out any. Raises DataError.
    """
    called = f"class names {path}"
    text = _read(path, called)
    if Path(path).suffix.lower() == ".csv":
        names = _parse_csv(text, num_classes, called)
        if complete and len(names) < num_classes:
            raise DataError(f"{called} names {len(names)} of {num_classes} classes; copy it again")
        return [names.get(class_id, "") for class_id in range(num_classes)]
    names = parse_class_names(text)
    if len(names) != num_classes:
        raise DataError(f"{called} has {len(names)} lines, but num_classes = {num_classes}")
    return names


def require_vocabulary(path: str, num_classes: int, called: str) -> None:
    """Raise DataError unless a file is a CSV of the names of all classes. called: what messages call it."""
    names = _parse_csv(_read(path, called), num_classes, called)
    if len(names) != num_classes:
        raise DataError(f"{called} has rows of {len(names)} classes, expected {num_classes}")


def _read(path: str, called: str) -> str:
    try:
        text = read_text(path)
    except NotTextError as error:
        raise DataError(f"{called} {error}") from None
    except IsADirectoryError:
        raise DataError(f"{called} is a folder; {_EXPECTED}") from None
    except FileNotFoundError:
        raise DataError(f"{called}: {explain_missing_path(path)}") from None
    except OSError as error:
        raise DataError(f"{called} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{called} cannot be read: {error}") from None
    if (kind := recognise_file(path)) in (FileKind.JSON, FileKind.HTML, FileKind.XML):
        raise DataError(f"{called} is {kind}; {_EXPECTED}")
    return text


def _parse_csv(text: str, num_classes: int, called: str) -> dict[int, str]:
    """Class id -> name, of the rows that there are.

    Names and descriptions may be of several lines, but where classes are missing and one of these lines looks like a
    row, a quote has been left open and has swallowed them.
    """
    names, odd = {}, None
    for line, row in _read_rows(text, called):
        index, name = row["Index"], row["Name"]
        if not re.fullmatch("[0-9]{1,9}", index) or int(index) >= num_classes:
            shown = shorten(printable(index), 40)
            raise DataError(f"{called} line {line}: Index {shown} is not in 0 to {num_classes - 1}")
        if int(index) in names:
            raise DataError(f"{called} line {line}: Index {index} is given twice")
        names[int(index)] = name
        if odd is None and any(map(_SWALLOWED.search, row.values())):
            odd = line
    if odd is not None and len(names) < num_classes:
        raise _open_quote(called, odd)
    if not names:
        raise _lacks_columns(called)
    return names


def _read_rows(text: str, called: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row), one after another, so that a table of something else ends at its first row."""
    rows = csv.reader(io.StringIO(text))
    begin = end = 1
    try:
        header = next(rows, [])
        if not {"Index", "Name"} <= set(header):
            raise _lacks_columns(called)
        end = rows.line_num + 1
        for row in rows:
            begin, end = end, rows.line_num + 1
            if row:
                yield begin, dict(zip_longest(header, row[: len(header)], fillvalue=""))
        if _is_open("\n".join(text.split("\n")[begin - 1 :])):
            raise _open_quote(called, begin)
    except csv.Error as error:
        raise DataError(f"{called} is not a CSV: line {end}: {error}") from None


def _is_open(row: str) -> bool:
    """Whether the last row of a CSV ends within quotes."""
    try:
        list(csv.reader(io.StringIO(row), strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _open_quote(called: str, line: int) -> DataError:
    return DataError(f"{called} line {line}: a quote that opens there does not close in that line")


def _lacks_columns(called: str) -> DataError:
    return DataError(f"{called} needs the columns Index and Name")


def choose_class_names(given: str | None, own: str | None, num_classes: int) -> tuple[list[str] | None, list[str]]:
    """The names of the classes that an inference tells, None where none are known, and lines on what is odd about them.

    given: the file that the config or the command line names. own: that of the checkpoint, which names every class;
    the same where the checkpoint's settings hold. Raises DataError.
    """
    names = load_class_names(given, num_classes) if given and given != own else None
    if own is None:
        return names, []
    try:
        own_names = load_class_names(own, num_classes, complete=True)
    except DataError as error:
        if given == own:
            raise
        return names, [f"not used: {error}"]
    if names is None:
        return own_names, []
    return names, _compare_names(given, names, own_names)


def _compare_names(given: str, names: list[str], own: list[str]) -> list[str]:
    others = [class_id for class_id, name in enumerate(names) if name != own[class_id]]
    if not others:
        return []
    first = others[0]
    return [
        f"{given} names {len(others)} of {len(names)} classes otherwise than the weights were trained with: class "
        f"{first} is {short_repr(names[first])} there, {short_repr(own[first])} in the checkpoint"
    ]


def find_class_names(
    config, section: str = "TRAIN", own: str | None = None
) -> tuple[list[str] | None, DataError | None]:
    """The names of the classes that a training learns or a test scores, None where none are known, and why.

    own: the file of the checkpoint that is tested. Without one they are INFER.class_names of the config, or else the
    class_names.txt beside the section's list, as dataset/make_list.py leaves it. A file that cannot be used keeps no
    work back.
    """
    path = own or (config.INFER.class_names if "INFER" in config else None)
    if not path:
        beside = Path(config[section].filelist).parent / BESIDE_LISTS
        path = str(beside) if beside.is_file() else None
    if not path:
        return None, None
    try:
        return load_class_names(path, config.MODEL.num_classes, complete=path == own), None
    except DataError as error:
        return None, error


def parse_class_names(text: str) -> list[str]:
    """One name a line, or with ids: all lines end with their own numbers, as 2019 wrote them, or begin with these.

    Names that differ in nothing but such a number keep it. Blank lines at the end do not count.
    """
    names = [line.strip() for line in split_lines(text.rstrip())]
    for form in ("(.*) {}", "{}[ \\t,:]+(.*)"):  # with the id for {}
        matches = [re.fullmatch(form.format(class_id), name) for class_id, name in enumerate(names)]
        without_ids = {match[1].strip() for match in matches if match}
        if len(without_ids) == len(names):
            return [match[1].strip() for match in matches]
    return names
