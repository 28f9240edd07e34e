"""Class ids: those of one record as files have them, checked, and those of many records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.errors import DataError, DataIssue
from tools.runtime.text import printable, short_repr, shorten

# One record, as files have it


def check_class_ids(value, num_classes: int) -> np.ndarray:
    """The label of a record that may be of several classes, a list of class ids, as (labels,) int64.

    Raises DataError, which says what the label is and what is expected, not where it stands.
    """
    expected = "expected a list of class ids, each once"
    items = _as_items(value)
    if is_hot_vector(items) and len(set(items)) < len(items):  # else they are ids
        raise DataError(f"label {_describe_hot(items)}; {expected}: here {short_repr(_classes(items))}", _WRONG)
    if value is None:
        raise DataError(f"there is no label, {expected}", DataIssue.NO_LABEL)
    if not isinstance(items, list | tuple) or not all(map(is_whole, items)):
        raise DataError(f"label is {_describe(value)}, {expected}, such as {_example(items)}", _WRONG)
    for item in items:
        if not 0 <= item < num_classes:
            raise DataError(f"label {short_repr(item)} {describe_range(item, num_classes)}", DataIssue.LABEL_RANGE)
    if len(set(items)) < len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise DataError(f"label is {short_repr(items)}, with {twice} {items.count(twice)} times; {expected}", _WRONG)
    return np.array(items, dtype=np.int64)


def check_class_id(value, num_classes: int) -> int:
    """The label of a record of one class, -1 where that is not known. Raises DataError as ``check_class_ids``."""
    if is_whole(value) and -1 <= value < num_classes:
        return int(value)
    if is_whole(value):
        text = shorten(printable(value), 80)
        raise DataError(f"label {text} {describe_range(value, num_classes)}", DataIssue.LABEL_RANGE)
    expected, items = f"expected a class id from 0 to {num_classes - 1} (num_classes)", _as_items(value)
    if value is None:
        raise DataError(f"there is no label, {expected}", DataIssue.NO_LABEL)
    if not is_hot_vector(items):
        raise DataError(f"label is {_describe(value)}, {expected}", _WRONG)
    here = f": here {_classes(items)[0]}" if sum(items) == 1 else ""
    raise DataError(f"label {_describe_hot(items)}; {expected}{here}", _WRONG)


def describe_range(label: int, num_classes: int) -> str:
    """What is wrong with a label that is too small or too large, to stand behind it."""
    hint = "; ids count from 0: if yours count from 1, subtract 1" if label == num_classes else ""
    return f"is not in 0 to {num_classes - 1} (num_classes){hint}"


def is_hot_vector(items) -> bool:
    """Whether these may be a number for each class, 0 or 1, as one-hot and multi-hot vectors are."""
    return isinstance(items, list | tuple) and len(items) > 1 and all(_is_number(i) and i in (0, 1) for i in items)


def is_whole(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


_WRONG = DataIssue.LABEL_TYPE


def _as_items(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def _is_number(value) -> bool:
    return isinstance(value, int | float | np.number | np.bool_)


def _classes(vector: Sequence) -> list[int]:
    return [class_id for class_id, item in enumerate(vector) if item]


def _describe_hot(vector: Sequence) -> str:
    return f"looks like a one-hot or multi-hot vector ({len(vector)} numbers, each 0 or 1)"


def _describe(value) -> str:
    return f"a {value.shape} {value.dtype} array" if isinstance(value, np.ndarray) else short_repr(value)


def _example(items) -> list[int]:
    """Class ids as they are expected: these, where they are whole numbers in another form."""
    items = items if isinstance(items, list | tuple) else [items]
    if items and all(_is_number(item) and not isinstance(item, bool) and item % 1 == 0 for item in items):
        return [int(item) for item in items[:3]]
    return [3, 17]


# Many records


@dataclass(frozen=True)
class RecordLabels:
    """Class ids of N records, one record behind another; a record may have none.

    starts: (N + 1,) int64. class_ids: (labels,) int32; those of record n are ``class_ids[starts[n] : starts[n + 1]]``,
    each of them once.
    """

    starts: np.ndarray
    class_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def count(self, num_classes: int) -> np.ndarray:
        """(num_classes,) int64: how many records have each class."""
        return np.bincount(self.class_ids, minlength=num_classes).astype(np.int64)


def pack_labels(labels: Iterable[Iterable[int]]) -> RecordLabels:
    """The labels of records one by one, as one."""
    labels = [np.array([*ids], np.int32) for ids in labels]
    return label_rows([len(ids) for ids in labels], np.concatenate([np.zeros(0, np.int32), *labels]))


def label_rows(lengths: Sequence[int] | np.ndarray, class_ids: np.ndarray) -> RecordLabels:
    """lengths: (N,) how many of the class ids each record has."""
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    return RecordLabels(starts, class_ids)


def join_labels(parts: Sequence[RecordLabels]) -> RecordLabels:
    """The labels of the records of all parts, in their order. At least one part."""
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    return label_rows(lengths, np.concatenate([part.class_ids for part in parts]))


_NAMED = 5  # classes without a record; a list of a part of YouTube-8M lacks thousands


def describe_classes(counts: np.ndarray) -> str:
    """How many records the classes have. counts: (num_classes,), as ``RecordLabels.count`` gives them."""
    present = counts[counts > 0]
    of_all = f" of {len(counts):,}" if len(present) < len(counts) else ""
    low, high = (present.min(), present.max()) if len(present) else (0, 0)
    records = f"{low:,} record{'' if low == 1 else 's'}" if low == high else f"{low:,} to {high:,} records"
    return f"{len(present):,}{of_all} {'class' if len(counts) == 1 else 'classes'}, {records} each"


def warn_of_classes(counts: np.ndarray) -> list[str]:
    """What looks wrong with the classes of a data set, a line each. counts: as for ``describe_classes``."""
    present = np.flatnonzero(counts)
    if not len(present):
        return ["no record has a label, so nothing can be learned or scored"]
    if len(present) == 1:
        return [f"all labels are of class {present[0]}; a classifier trained on one class says nothing"]
    lines, empty = [], np.flatnonzero(counts == 0).tolist()
    if present[0] == 1 and present[-1] == len(counts) - 1:
        empty.remove(0)
        lines.append(
            f"class ids are 1 to {present[-1]} with num_classes = {len(counts)}: ids count from 0; if yours count from "
            "1, subtract 1, and num_classes is one less"
        )
    if empty:
        named = ", ".join(map(str, empty[:_NAMED])) + (f" and {len(empty) - _NAMED:,} more" * (len(empty) > _NAMED))
        lines.append(
            f"{len(empty):,} of {len(counts):,} classes {'has' if len(empty) == 1 else 'have'} no record ({named}); "
            "the list is a part of the data, or num_classes is too large"
        )
    return lines
