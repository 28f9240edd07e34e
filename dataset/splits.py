"""Which list a file goes to: a random stratified split, or the one of a CSV."""

import re
import zlib
from collections import defaultdict
from fractions import Fraction

import numpy as np

from dataset.list_items import Item
from tools.errors import DataError

CSV_SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}


def parse_shares(texts: list[str]) -> dict[str, Fraction]:
    """``["train=0.8", "val=0.2"]`` to exact shares; a name without a share takes everything. Raises DataError."""
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


def apportion(sizes: list[int], shares: list[Fraction]) -> list[list[int]]:
    """How many files of each group go to each list: a row for each group, which adds up to the group's size.

    shares: of the lists, adding up to 1. Every number is the exact one rounded down or up. Rounded up are the lists
    that lack most from the groups before, so that the lists' totals are right although many groups are small.
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


def count_served(num_files: int, num_lists: int) -> int:
    """How many lists, the first ones, get a part of a group: of three files, two are learnt from and one validates."""
    return min(num_lists, num_files, max(num_files - 1, 2))


def spread(row: list[int]) -> list[int]:
    """A row of ``apportion`` in which the lists that ``count_served`` says get a file at least."""
    row = list(row)
    served = count_served(sum(row), len(row))
    for place in range(served):
        if not row[place]:
            donors = [other for other, count in enumerate(row) if count > (other < served)]
            row[max(donors, key=lambda other: (other >= served, row[other]))] -= 1
            row[place] = 1
    return row


def split_items(
    items: list[Item], shares: dict[str, Fraction], seed: int, *, everywhere: bool = False
) -> dict[str, list[Item]]:
    """A random stratified split: each group is split by itself. Every list keeps the order of ``items``.

    everywhere: small groups are shared out as ``spread`` does; the shares have to add up to 1.
    """
    groups = defaultdict(list)
    for place, item in enumerate(items):
        groups[str(item.group)].append(place)
    names = sorted(groups)
    rest = 1 - sum(shares.values())
    rows = apportion([len(groups[name]) for name in names], [*shares.values(), rest])
    if everywhere:
        rows = [[*spread(row[:-1]), 0] for row in rows]
    selected = {name: [] for name in shares}
    for group, row in zip(names, rows, strict=True):
        rng = np.random.default_rng([seed, zlib.crc32(group.encode("utf-8", "surrogateescape"))])
        places = rng.permutation(groups[group])
        for name, end, count in zip(shares, np.cumsum(row), row, strict=False):  # the rest is in no list
            selected[name] += places[end - count : end].tolist()
    return {name: [items[place] for place in sorted(places)] for name, places in selected.items()}


def split_as_csv(items: list[Item], csv: str) -> dict[str, list[Item]]:
    """The lists that the column split of a CSV names."""
    lists = defaultdict(list)
    for item in items:
        if item.split.lower() not in CSV_SPLITS:
            raise DataError(f"{csv}: split {item.split[:40]!r} of {item.key} is not one of {', '.join(CSV_SPLITS)}")
        lists[CSV_SPLITS[item.split.lower()]].append(item)
    return dict(lists)
