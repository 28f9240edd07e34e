"""Names of classes by their ids, from the files that users have."""

import csv
import io
import re
from pathlib import Path

from tools.errors import DataError
from tools.files.texts import NotTextError, read_text


def load_class_names(path: str, num_classes: int) -> list[str]:
    """Class names by id: a text file as ``parse_class_names`` takes it, or a CSV with columns Index and Name.

    YouTube-8M's vocabulary.csv is of the second kind. Classes that a CSV leaves out have no name.
    """
    try:
        text = read_text(path)
    except NotTextError as error:
        raise DataError(f"class names {path} {error}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"class names {path} cannot be read: {error}") from None
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
    names = [""] * num_classes
    for number, row in enumerate(rows, start=2):
        if not re.fullmatch("[0-9]{1,9}", row["Index"] or "") or int(row["Index"]) >= num_classes:
            raise DataError(f"class names {path} line {number}: Index {row['Index']} is not in 0 to {num_classes - 1}")
        names[int(row["Index"])] = row["Name"] or ""
    return names


def parse_class_names(text: str) -> list[str]:
    """One name a line, or names with their ids behind them, as 2019 wrote them: every line ends with its own number.

    Names that differ in nothing but such a number keep it.
    """
    names = [line.strip() for line in text.splitlines()]
    if not all(name.endswith(f" {class_id}") for class_id, name in enumerate(names)):
        return names
    without_ids = [name.rsplit(" ", 1)[0].strip() for name in names]
    return without_ids if len(set(without_ids)) == len(names) else names
