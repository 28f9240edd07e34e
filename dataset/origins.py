"""Splits that keep together what comes of one source, such as all clips that were cut from one recording."""

import argparse
import re
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np

from dataset.list_items import Item
from dataset.splits import count_served
from tools.errors import DataError


def parse_pattern(text: str) -> re.Pattern:
    """A regular expression, for argparse."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def find_origins(items: list[Item], folders: list[Path], pattern: re.Pattern) -> tuple[list[str], int]:
    """The name of what each file comes of, and how many files the pattern does not match: those stand for themselves.

    pattern: searched for in a file's path relative to its folder. Its first group is the name, or the whole match where
    it has none. Raises DataError for one that matches no file.
    """
    names, unmatched = [], 0
    for item in items:
        path = next((item.path.relative_to(place) for place in folders if item.path.is_relative_to(place)), item.path)
        match = pattern.search(path.as_posix())
        unmatched += match is None
        # A file that stands for itself has the slash that no relative path begins with, so that no match is called so.
        names.append(f"/{item.key}" if match is None else (match[1] if pattern.groups else None) or match[0])
    if unmatched == len(items):
        raise DataError(f"--group {pattern.pattern!r} matches none of the {len(items)} paths, such as {items[0].key}")
    return names, unmatched


def split_by_origin(
    items: list[Item], origins: list[str], shares: dict[str, Fraction], seed: int
) -> dict[str, list[Item]]:
    """A random split in which all files of one origin are in one list, stratified as well as that allows.

    origins: the name of each item's. First each list gets an origin of each class that has enough, the classes with few
    of them first; then the others, in random order, go where their classes are furthest from their shares. Every list
    keeps the order of ``items``. Raises DataError for a class of several files and a single origin, which only one list
    could have.
    """
    members = defaultdict(list)
    for place, origin in enumerate(origins):
        members[origin].append(place)
    counts = {origin: Counter(str(items[place].group) for place in places) for origin, places in members.items()}
    by_class = defaultdict(list)  # class -> its origins, in random order
    names = sorted(counts)
    for number in np.random.default_rng([seed, len(names)]).permutation(len(names)).tolist():
        for group in counts[names[number]]:
            by_class[group].append(names[number])
    plan = _Plan(counts, shares)
    for group in sorted(by_class, key=lambda group: (len(by_class[group]), group)):
        _refuse_single(group, by_class[group], counts, shares)
        plan.cover(group, by_class[group], [*shares][: count_served(len(by_class[group]), len(shares))])
    for origin in dict.fromkeys(origin for group in sorted(by_class) for origin in by_class[group]):
        plan.place(origin)
    selected = {name: [place for origin in plan.chosen[name] for place in members[origin]] for name in shares}
    return {name: [items[place] for place in sorted(places)] for name, places in selected.items()}


def _refuse_single(group: str, origins: list[str], counts: dict[str, Counter], shares: dict[str, Fraction]) -> None:
    if len(origins) == 1 and len(shares) > 1 and (total := counts[origins[0]][group]) > 1:
        owner = "" if group == str(None) else f" of class {group!r}"
        raise DataError(
            f"--group puts all {total} files{owner} into one source, {origins[0]!r}, so that "
            f"{[*shares][1]}.list gets none of them; a pattern that tells its sources apart would do"
        )


class _Plan:
    """Which list each origin goes to. counts: origin -> class -> files. chosen: list -> origins; None for no list."""

    def __init__(self, counts: dict[str, Counter], shares: dict[str, Fraction]):
        self.counts = counts
        self.shares = {**shares, None: 1 - sum(shares.values())}
        self.totals = Counter()
        for numbers in counts.values():
            self.totals.update(numbers)
        self.chosen = {name: [] for name in self.shares}
        self._loads = {name: Counter() for name in self.shares}
        self._placed = set()

    def cover(self, group: str, origins: list[str], names: list[str]) -> None:
        """Give each of some lists that has nothing of a class the first of its origins that fits, or the smallest."""
        for name in names:
            free = [origin for origin in origins if origin not in self._placed]
            if self._loads[name][group] or not free:
                continue
            room = self.shares[name] * self.totals[group]
            fits = next((origin for origin in free if self.counts[origin][group] <= room), None)
            self._put(fits or min(free, key=lambda origin: self.counts[origin][group]), name)

    def place(self, origin: str) -> None:
        """Put an origin, unless it is placed, where its classes are then least above their shares."""
        if origin not in self._placed:
            names = [name for name, share in self.shares.items() if share]
            self._put(origin, min(names, key=lambda name: self._fullness(origin, name)))

    def _fullness(self, origin: str, name: str | None) -> float:
        """How full a list would be of an origin's classes: 1 at their shares."""
        counts, share = self.counts[origin], float(self.shares[name])
        parts = (number * (self._loads[name][group] + number) / self.totals[group] for group, number in counts.items())
        return sum(parts) / (share * counts.total())

    def _put(self, origin: str, name: str | None) -> None:
        self._placed.add(origin)
        self.chosen[name].append(origin)
        self._loads[name].update(self.counts[origin])
