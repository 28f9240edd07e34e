"""--group: what comes of one recording stays in one list, and the classes are shared out as well as that allows."""

from argparse import ArgumentTypeError
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.list_items import Item
from dataset.origins import find_origins, parse_pattern, split_by_origin
from dataset.splits import parse_shares
from tools.errors import DataError

SHARES = parse_shares(["train=0.8", "val=0.1", "test=0.1"])


def make_items(*keys, folder=Path("videos")):
    """Videos below a folder, in order; the class of each is its own folder's name."""
    return [Item(folder / key, key, Path(key).parent.name, True) for key in sorted(keys)]


def origins_in(lists, items, origins):
    """{list: names of the origins in it}"""
    of = {item.key: origin for item, origin in zip(items, origins, strict=True)}
    return {name: {of[item.key] for item in part} for name, part in lists.items()}


@settings(max_examples=50, deadline=None)
@given(
    sources=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=12, max_size=40),
    seed=st.integers(0, 9),
)
def test_no_source_is_in_two_lists_and_every_file_is_in_one(sources, seed):
    keys = [f"{group}/s{number:02d}_{i}.mp4" for number, groups in enumerate(sources) for i, group in enumerate(groups)]
    items = make_items(*keys)
    origins, unmatched = find_origins(items, [Path("videos")], parse_pattern(r"(s\d+)_"))
    try:
        lists = split_by_origin(items, origins, SHARES, seed)
    except DataError as error:
        assert "into one source" in str(error)  # noqa: PT017 (which classes there are is drawn)
        return
    assert unmatched == 0
    assert sorted(item.key for part in lists.values() for item in part) == sorted(keys)
    names = [name for part in origins_in(lists, items, origins).values() for name in part]
    assert len(names) == len(set(names)) == len(sources)


def test_each_class_is_in_each_list_and_near_its_share():
    keys = [f"{group}/p{number:02d}_{i}.mp4" for group in "ab" for number in range(40) for i in range(number % 5 + 3)]
    items = make_items(*keys)
    origins, _ = find_origins(items, [Path("videos")], parse_pattern(r"^(.*)_\d"))
    assert len(set(origins)) == 80  # person 0 of class a and of class b are two
    lists = split_by_origin(items, origins, SHARES, 0)
    for name, share in SHARES.items():
        for group, total in Counter(item.group for item in items).items():
            there = sum(item.group == group for item in lists[name])
            assert abs(there - share * total) <= 7  # the largest source
    assert lists == split_by_origin(items, origins, SHARES, 0)
    assert lists != split_by_origin(items, origins, SHARES, 1)


def test_five_sources_of_two_clips_leave_no_list_empty():
    items = make_items(*(f"{group}/{group}{number}_{i}.mp4" for group in "ab" for number in range(5) for i in range(2)))
    origins, _ = find_origins(items, [Path("videos")], parse_pattern(r"(\w+)_"))
    lists = split_by_origin(items, origins, SHARES, 0)
    assert {name: len(part) for name, part in lists.items()} == {"train": 12, "val": 4, "test": 4}
    assert all({item.group for item in part} == {"a", "b"} for part in lists.values())


def test_a_source_that_spans_classes_stays_in_one_list():
    items = make_items(*(f"{group}/day{day}_{group}.mp4" for group in "abc" for day in range(10)))
    origins, _ = find_origins(items, [Path("videos")], parse_pattern(r"day\d+"))
    assert set(origins) == {f"day{day}" for day in range(10)}
    lists = split_by_origin(items, origins, SHARES, 0)
    assert {name: len(part) for name, part in lists.items()} == {"train": 24, "val": 3, "test": 3}


def test_shares_below_one_leave_whole_sources_out():
    items = make_items(*(f"a/{number}_{i}.mp4" for number in range(20) for i in range(2)))
    origins, _ = find_origins(items, [Path("videos")], parse_pattern(r"(\d+)_"))
    lists = split_by_origin(items, origins, {"train": Fraction(1, 2), "val": Fraction(1, 4)}, 3)
    assert {name: len(part) for name, part in lists.items()} == {"train": 20, "val": 10}
    assert not set.intersection(*origins_in(lists, items, origins).values())


def test_the_same_split_is_made_wherever_the_files_are():
    keys = [f"{group}/{number}_{i}.mp4" for group in "ab" for number in range(9) for i in range(2)]
    lists = []
    for folder in (Path("videos"), Path("/far/away")):
        items = make_items(*keys, folder=folder)
        origins, _ = find_origins(items, [folder], parse_pattern(r"(\d+)_"))
        found = split_by_origin(items, origins, SHARES, 5)
        lists.append({name: [item.key for item in part] for name, part in found.items()})
    assert lists[0] == lists[1]


def test_files_that_the_pattern_does_not_match_stand_for_themselves():
    items = make_items("a/x_1.mp4", "a/x_2.mp4", "a/odd.mp4", "a/other.mp4")
    origins, unmatched = find_origins(items, [Path("videos")], parse_pattern(r"(\w+)_\d"))
    assert origins == ["/a/odd.mp4", "/a/other.mp4", "x", "x"]
    assert unmatched == 2


def test_the_name_is_the_first_group_or_the_whole_match():
    items = make_items("a/p1_2.mp4")
    for pattern, name in ((r"p\d", "p1"), (r"(p)\d_(\d)", "p"), (r"(q)?p\d", "p1")):
        assert find_origins(items, [Path("videos")], parse_pattern(pattern))[0] == [name]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{9999999999999999999999}"])
def test_what_is_no_pattern_is_told_with_the_reason(pattern):
    with pytest.raises(ArgumentTypeError, match="is no regular expression: "):
        parse_pattern(pattern)


def test_a_pattern_that_matches_nothing_is_told_with_a_path():
    with pytest.raises(DataError, match=r"--group '\^q' matches none of the 2 paths, such as a/1\.mp4"):
        find_origins(make_items("a/1.mp4", "a/2.mp4"), [Path("videos")], parse_pattern("^q"))


@pytest.mark.parametrize("pattern", ["^[ab]", "x*"])
def test_a_class_of_a_single_source_is_told_with_the_list_that_gets_none(pattern):
    items = make_items("a/1.mp4", "a/2.mp4", "a/3.mp4", "b/1.mp4", "b/2.mp4", "b/3.mp4")
    origins, _ = find_origins(items, [Path("videos")], parse_pattern(pattern))
    with pytest.raises(DataError, match=r"all 3 files of class 'a' into one source, '.*', so that val\.list gets none"):
        split_by_origin(items, origins, SHARES, 0)
    assert len(split_by_origin(items, origins, {"train": Fraction(1)}, 0)["train"]) == 6
