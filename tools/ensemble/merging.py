"""Inputs whose videos stand beside one another, and the weighted mean of their probabilities, some videos at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path

import numpy as np

from datareader.list_lines import list_multilabel_readings
from datareader.lists import read_lines
from tools.ensemble.inputs import BestClasses, Input, Labels
from tools.errors import ConfigError, DataError
from tools.inference.predictions import VideoClasses
from tools.runtime.text import count_of, printable, short_repr, some_of

_AT_ONCE = 1 << 24  # bytes of an input's rows in memory, as float64
_ONE_CLASS, _SEVERAL_CLASSES = "kinetics", "youtube8m"  # kinds of scores, of a video's classes
_NAMED = 3  # of videos that are missing
Key = tuple[str, ...]  # by which a video of one input is found in another


@dataclass(frozen=True)
class Merged:
    """N videos that all inputs have, in the order of the first.

    rows: of each input, (N,) the places of these videos in it. labels: (N,) class ids of each, None where they are not
    known. metrics: the kind of scores, "" where no input says it. topk: for GAP.
    """

    inputs: list[Input]
    rows: list[np.ndarray]
    labels: list[Labels]
    num_classes: int
    class_names: Sequence[str] | None
    metrics: str
    topk: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multilabel(self) -> bool:
        return self.metrics == _SEVERAL_CLASSES

    def video(self, number: int) -> VideoClasses:
        """Which video it is, without classes; its place in the list as the first input with places has it."""
        name, own = self.inputs[0].ids[self.rows[0][number]], {}
        for one, rows in zip(self.inputs, self.rows, strict=True):
            if one.places and "path" not in own:
                own["path"], own["line"] = one.places[rows[number]]
            if one.spans and "start_sec" not in own:
                own["start_sec"], own["end_sec"] = one.spans[rows[number]]
        video_id = name.rpartition("#t=")[0] if "start_sec" in own else name
        return VideoClasses(**{"video_id": video_id, "path": "", "line": None, "probs": [], "class_ids": []} | own)

    def blocks(self, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """(numbers of some videos, their (videos, num_classes) float64 of each input), until all have come."""
        size = max(1, _AT_ONCE // (8 * self.num_classes))
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            yield part, [self._take(one, rows[part]) for one, rows in zip(self.inputs, self.rows, strict=True)]

    @staticmethod
    def _take(one: Input, rows: np.ndarray) -> np.ndarray:
        try:
            return one.probs.take(rows).astype(np.float64)
        except OSError as error:
            raise DataError(f"{one.path} cannot be read any more: {error}") from None


def describe_other_paths(merged: Merged) -> str | None:
    """A line on videos that were found by their ids alone and have another path in another input; None without any."""
    first, *others = [
        (one, [one.places[row][0] for row in rows.tolist()])
        for one, rows in zip(merged.inputs, merged.rows, strict=True)
        if one.places
    ] or [(None, [])]
    for one, paths in others:
        differ = [pair for pair in zip(first[1], paths, strict=True) if normpath(pair[0]) != normpath(pair[1])]
        if differ:
            here, there = map(printable, differ[0])
            return (
                f"{len(differ):,} of {count_of(len(merged), 'video')} have other paths in {one.path} than in "
                f"{first[0].path}, such as {there} and {here}; they are taken for the same by their ids"
            )
    return None


def average(parts: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of probabilities, (N, num_classes) float32 in [0, 1]. weights: their sum is 1."""
    total = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    return np.minimum(total.astype(np.float32), 1)  # the weights' sum may exceed 1 by rounding


def merge_inputs(inputs: list[Input], *, skip_missing: bool) -> Merged:
    """Find each video in all inputs. Raises DataError for inputs that do not fit together."""
    inputs = _fit_classes(inputs)
    metrics = _require_same_kind(inputs)
    rows = _find_rows(inputs, skip_missing)
    labels = _merge_labels(inputs, rows)
    has_several = any(one is not None and len(one) != 1 for one in labels)
    if has_several and metrics == _ONE_CLASS:
        raise DataError(
            f"{inputs[0].path}: its scores are of one class a video, but a video has several labels, or none"
        )
    if not metrics and any(one is not None for one in labels):
        metrics = _SEVERAL_CLASSES if has_several else _ONE_CLASS
    names = next((one.class_names for one in inputs if one.class_names), None)
    topk = max(one.topk for one in inputs) or 20
    return Merged(inputs, rows, labels, inputs[0].num_classes, names, metrics, topk)


def _fit_classes(inputs: list[Input]) -> list[Input]:
    """The inputs with one number of classes, which those with all probabilities say."""
    whole = [one for one in inputs if one.entries is None]
    num_classes = whole[0].num_classes if whole else max(one.num_classes for one in inputs)
    for one in inputs:
        if one.num_classes != num_classes and (one in whole or one.num_classes > num_classes):
            what = f"{one.num_classes} classes" if one in whole else f"class {one.num_classes - 1}"
            raise DataError(
                f"{one.path} has {what}, {whole[0].path} {num_classes} classes; they are of different models' data"
            )
    _require_same_names(inputs)
    return [one if one in whole else _widen(one, num_classes) for one in inputs]


def _widen(one: Input, num_classes: int) -> Input:
    assert isinstance(one.probs, BestClasses)
    return replace(one, num_classes=num_classes, probs=one.probs.widen(num_classes))


def _require_same_names(inputs: list[Input]) -> None:
    named = [one for one in inputs if one.class_names]
    for one in named[1:]:
        for class_id, pair in enumerate(zip(named[0].class_names, one.class_names, strict=True)):
            if all(pair) and pair[0] != pair[1]:
                raise DataError(
                    f"{named[0].path} and {one.path} do not have the same classes in the same order: class {class_id} "
                    f"is {short_repr(pair[0])} in the first and {short_repr(pair[1])} in the second"
                )


def _require_same_kind(inputs: list[Input]) -> str:
    said = {one.metrics: one for one in inputs if one.metrics}
    if len(said) > 1:
        first, second, *_ = said.values()
        raise DataError(
            f"{first.path} is scored as {first.metrics}, {second.path} as {second.metrics}; merge like with like"
        )
    return next(iter(said), "")


# Videos


def _find_rows(inputs: list[Input], skip_missing: bool) -> list[np.ndarray]:
    by_path = any(len(set(one.ids)) < len(one.ids) for one in inputs)
    keys = [_keys_of(one, by_path) for one in inputs]
    places = [{key: row for row, key in enumerate(own)} for own in keys]
    common = [key for key in keys[0] if all(key in own for own in places[1:])]
    if not common:
        first, other = keys[0][0][0], keys[-1][0][0]
        raise DataError(
            f"no video is in all of {', '.join(str(one.path) for one in inputs)}; the first begins with "
            f"{short_repr(first)}, the last with {short_repr(other)}"
        )
    if not skip_missing:
        for one, own in zip(inputs, places, strict=True):
            for other, others in zip(inputs, keys, strict=True):
                if missing := [printable(key[0]) for key in others if key not in own]:
                    raise DataError(
                        f"{one.path} lacks {len(missing):,} of the {count_of(len(others), 'video')} of {other.path}: "
                        f"{some_of(missing, _NAMED)}; --skip-missing merges the {len(common):,} that all have"
                    )
    return [np.array([own[key] for key in common], np.int64) for own in places]


def _keys_of(one: Input, by_path: bool) -> list[Key]:
    """What a video is known by: its id, and where ids are not enough the path that the list has."""
    paths = by_path and one.places
    keys = (
        [(name, place[0]) for name, place in zip(one.ids, one.places, strict=True)]
        if paths
        else [(i,) for i in one.ids]
    )
    if by_path and not paths and len(set(keys)) == len(keys):
        raise DataError(
            f"{one.path} has ids alone, and in another input several videos share one; give its .npz of --save-probs"
        )
    if len(set(keys)) < len(keys):
        (key, count), *_ = Counter(keys).most_common(1)
        where = f" ({printable(key[1])})" if len(key) > 1 else ""
        hint = "its list names a file twice" if paths else "an .npz of --save-probs has paths, which tell them apart"
        raise DataError(f"{one.path} has {count} videos of the id {short_repr(key[0])}{where}; {hint}")
    return keys


def _merge_labels(inputs: list[Input], rows: list[np.ndarray]) -> list[Labels]:
    """What any input says of each video. Raises DataError where two differ."""
    labels: list[Labels] = [None] * len(rows[0])
    source: list[Input | None] = [None] * len(rows[0])
    for one, places in zip(inputs, rows, strict=True):
        for number, place in enumerate(places.tolist() if one.labels else ()):
            own = one.labels[place]
            if own is None:
                continue
            if labels[number] is None:
                labels[number], source[number] = own, one
            elif set(labels[number]) != set(own):
                first, name = source[number], short_repr(one.ids[place])
                here, there = _name(labels[number]), _name(own)
                raise DataError(f"video {name} has the label {here} in {first.path} and {there} in {one.path}")
    return labels


def _name(labels: Sequence[int]) -> str:
    return ", ".join(map(str, labels)) or "none"


# Lists


def choose_listed(merged: Merged, list_path: str) -> tuple[Merged, np.ndarray, str]:
    """The videos that a list names, with its labels: what is merged with them, their numbers, and a line on both.

    A line is a path as the list of the inputs had it, perhaps in another folder, or an id; class ids may stand behind
    it. Raises DataError for a list that names none, and for labels that are not those of the inputs.
    """
    finder, chosen, unknown = _VideoFinder(merged), {}, 0
    labels = list(merged.labels)
    for number, line in read_lines(list_path):
        found, ids = finder.find(line)
        unknown += not found
        for video in found:
            chosen[video] = None
            if ids:
                labels[video] = _check_line(merged, labels[video], ids, f"{list_path} line {number}")
    if not chosen:
        raise DataError(
            f"{list_path} names none of the {count_of(len(merged), 'video')}; its lines are paths as in the list that "
            "these were made of, or ids"
        )
    numbers = np.array(sorted(chosen), np.int64)
    without = f"; {count_of(unknown, 'line')} of it name others" if unknown else ""
    text = f"{list_path} names {len(numbers):,} of {count_of(len(merged), 'video')}{without}"
    return replace(merged, labels=labels, metrics=merged.metrics or _ONE_CLASS), numbers, text


class _VideoFinder:
    """Finds the videos that lines of a list name. A file of features has many."""

    def __init__(self, merged: Merged):
        self._by_name: dict[str, list[int]] = {}
        self._by_id: dict[str, list[int]] = {}
        for number in range(len(merged)):
            video = merged.video(number)
            if video.path:
                self._by_name.setdefault(video.path, []).append(number)
            for name in {video.video_id, video.name}:
                self._by_id.setdefault(name, []).append(number)

    def find(self, line: str) -> tuple[list[int], tuple[int, ...]]:
        """The numbers of a line's videos, and the class ids behind its path."""
        readings = [(name, ids or ()) for name, ids, _ in list_multilabel_readings(line)]
        for name, ids in readings:
            if found := self._by_name.get(name) or self._by_id.get(name):
                return found, ids
        for name, ids in readings:
            path = Path(name)
            found = self._by_id.get(path.stem, []) if path.suffix[1:].isalnum() else []  # else class ids are in it
            if len(found) == 1:  # else it is not sure which of them is meant
                return found, ids
        return [], ()


def _check_line(merged: Merged, known: Labels, ids: tuple[int, ...], where: str) -> Labels:
    """The labels of a video of which a line says these. Of clips 2 numbers are those of frames and of the class."""
    ids = ids if merged.multilabel else ids[:1]
    if ids == (-1,):
        return known
    if not all(0 <= class_id < merged.num_classes for class_id in ids):
        raise DataError(f"{where}: label {_name(ids)} is no class; there are 0 to {merged.num_classes - 1}")
    if known is not None and set(known) != set(ids):
        raise DataError(f"{where}: label {_name(ids)}, but {_name(known)} in the inputs")
    return ids


def normalise(weights: Sequence[float] | None, inputs: Sequence[Input]) -> list[float]:
    """Weights whose sum is 1; equal ones where none are given. Raises ConfigError."""
    if weights is None:
        return [1 / len(inputs)] * len(inputs)
    if len(weights) != len(inputs):
        raise ConfigError(
            f"--weights has {count_of(len(weights), 'number')} for {count_of(len(inputs), 'file')}; give one each"
        )
    if not any(weights):
        raise ConfigError("--weights are all 0; at least one has to be above")
    largest = max(weights)
    scaled = [weight / largest for weight in weights]  # whose sum is finite
    return [weight / sum(scaled) for weight in scaled]
