"""Names of classes by their ids, from the files that users have."""

import csv
import io
import re
from pathlib import Path

from tools.errors import DataError
from tools.files.recognise import FileKind, recognise_file
from tools.files.texts import NotTextError, read_text

_EXPECTED = "expected a text with one name a line, or a .csv with the columns Index and Name"


def load_class_names(path: str, num_classes: int) -> list[str]:
    """Class names by id: a text file as ``parse_class_names`` takes it, or a CSV with columns Index and Name.

    YouTube-8M's vocabulary.csv is of the second kind. Classes that a CSV leaves out have no name.
    """
    try:
        text = read_text(path)
    except NotTextError as error:
        raise DataError(f"class names {path} {error}") from None
    except IsADirectoryError:
        raise DataError(f"class names {path} is a folder; {_EXPECTED}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"class names {path} cannot be read: {error}") from None
    if (kind := recognise_file(path)) in (FileKind.JSON, FileKind.HTML, FileKind.XML):
        raise DataError(f"class names {path} is {kind}; {_EXPECTED}")
    if Path(path).suffix.lower() != ".csv":
        names = parse_class_names(text)
        if len(names) != num_classes:
            raise DataError(f"class names {path} has {len(names)} lines, but num_classes = {num_classes}")
        return names
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(f"class names {path} is not a CSV: {error}") from None
    if not rows or not {"Index", "Name"} <= rows[0].keys():
        raise DataError(f"class names {path} needs the columns Index and Name")
    names, given = [""] * num_classes, set()
    for number, row in enumerate(rows, start=2):
        if not re.fullmatch("[0-9]{1,9}", row["Index"] or "") or int(row["Index"]) >= num_classes:
            raise DataError(f"class names {path} line {number}: Index {row['Index']} is not in 0 to {num_classes - 1}")
        if int(row["Index"]) in given:
            raise DataError(f"class names {path} line {number}: Index {row['Index']} is given twice")
        given.add(int(row["Index"]))
        names[int(row["Index"])] = row["Name"] or ""
    return names


def parse_class_names(text: str) -> list[str]:
    """One name a line, or with ids: all lines end with their own numbers, as 2019 wrote them, or begin with these.

    Names that differ in nothing but such a number keep it. Blank lines at the end do not count.
    """
    names = [line.strip() for line in text.rstrip().splitlines()]
    for form in ("(.*) {}", "{}[ \\t,:]+(.*)"):  # with the id for {}
        matches = [re.fullmatch(form.format(class_id), name) for class_id, name in enumerate(names)]
        without_ids = {match[1].strip() for match in matches if match}
        if len(without_ids) == len(names):
            return [match[1].strip() for match in matches]
    return names
