"""Lists of any length: what is read in parts, in threads and of many lines at once is what each line says by itself."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader import list_lines, lists
from datareader.clips import look as look_module
from datareader.clips.dataset import ClipDataset
from datareader.clips.look import UNKNOWN, look_over
from datareader.clips.settings import ClipSettings
from datareader.lists import load_list
from tests.datareader.clips.synthetic import TINY
from tests.datareader.features.reading import error_of

NAMES = ("a.mp4", "a.mp4 7", "a.mp4 7 3", "视 b.mp4", "12 3", "f", "f 8", "f 8 2", "x,5")
PLACES = ("", "in/", "lists/", "lists/in/", "lists/in/deep 4/")


def read_plainly(line, labelled):
    """(path, class id, number of frames) as the rules say, of one line in lists/x.list; None where nothing is named."""
    readings = [(line, None, None)]
    if labelled and (match := re.fullmatch(r"(.*\S)\s+([+-]?\d{1,9})", line)):
        readings.append((match[1], int(match[2]), None))
        if again := re.fullmatch(r"(.*\S)\s+([+-]?\d{1,9})", match[1]):
            readings.append((again[1], int(match[2]), int(again[2])))
    for is_there, kinds in ((os.path.isfile, readings[:2]), (os.path.isdir, readings if labelled else [])):
        for name, label, num_frames in kinds:
            for path in (name, f"lists/{name}"):
                if is_there(path):
                    return path, label, num_frames
    return None


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder that each example fills anew."""
    return tmp_path_factory.mktemp("tree")


@given(data=st.data(), labelled=st.booleans(), threads=st.booleans(), first_look=st.sampled_from([1, 3, 32]))
def test_a_list_says_what_each_of_its_lines_says_by_itself(tree, data, labelled, threads, first_look):
    there = data.draw(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES)), unique=True, min_size=1))
    folder = tree / f"{len(list(tree.iterdir()))}"
    for place in PLACES:
        (folder / place).mkdir(parents=True, exist_ok=True)
    for place, name in there:
        path = folder / place / name
        path.mkdir() if name.startswith("f") else path.touch()
    written = st.tuples(
        st.sampled_from(["", " ", "\t"]),
        st.sampled_from([*PLACES, "./in/"]),
        st.sampled_from(NAMES),
        st.sampled_from(["", " 3", "\t-1", " 8 2", "  4 "]),
    )
    lines = data.draw(st.lists(st.one_of(written.map("".join), st.sampled_from(["", "# a.mp4", " "])), min_size=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(list_lines, "_FIRST_LOOK", first_look)
        patch.setattr(lists, "_PART", 20)
        patch.setattr(lists, "_SLOW_SEC", -1 if threads else 1)
        expected = []
        for number, line in enumerate(map(str.strip, lines), start=1):
            if line and line[0] != "#" and (found := read_plainly(line, labelled)):
                expected.append((str(Path(found[0])), *found[1:], number))
            elif line:
                lines[number - 1] = "#"
        Path("lists/x.list").write_text("\n".join(lines), encoding="utf-8")
        if not expected:
            assert "names no files" in error_of(load_list, "lists/x.list")
            return
        entries = load_list("lists/x.list", labelled)
        assert [(entry.path, entry.label, entry.num_frames, entry.line) for entry in entries] == expected
        assert entries.stamps().tolist() == [lists.make_stamp(Path(path).stat(), n) for path, _, n, _ in expected]
        assert entries.labels(-9).tolist() == [-9 if label is None else label for _, label, _, _ in expected]


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Two folders of 300 files each, as the working directory, and the lines of a list of them, in turn."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for number in range(300):
        for folder in ("视", "b c"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{number}.mp4").touch()
            lines.append(f"{folder}/{number}.mp4 {number % 5}")
    return lines


@pytest.fixture
def asked(monkeypatch):
    """What the disk is asked for: (function, path)."""
    asked = []

    def note(name, function):
        def ask(path, *others, **options):
            asked.append((name, path))
            return function(path, *others, **options)

        monkeypatch.setattr(os, name, ask)

    for name in ("stat", "access", "scandir"):
        note(name, getattr(os, name))
    return asked


def test_the_disk_is_asked_once_an_entry_and_a_few_times_a_folder(many, asked):
    Path("x.list").write_text("\n".join(many))
    asked.clear()
    entries = load_list("x.list", labelled=True)
    asked = [(name, path) for name, path in asked if path != "x.list"]
    assert len([path for name, path in asked if name == "stat"]) == len(entries) == 600
    assert [path for name, path in asked if name == "scandir"] == ["视/", "b c/"]
    assert len([path for name, path in asked if name == "access"]) < 2 * list_lines._FIRST_LOOK


def test_a_folder_of_which_a_list_names_few_files_is_not_gone_through(many, asked):
    Path("x.list").write_text("\n".join(many[:20]))
    load_list("x.list", labelled=True)
    assert "scandir" not in [name for name, _ in asked]


def test_a_folder_with_far_more_files_than_lines_is_left_after_some_of_them(many, asked, monkeypatch):
    monkeypatch.setattr(list_lines, "_NAMES_A_LINE", 2)
    Path("x.list").write_text("\n".join(many[:200]))
    entries = load_list("x.list", labelled=True)
    assert [entry.label for entry in entries] == [number // 2 % 5 for number in range(200)]
    assert len([name for name, _ in asked if name == "scandir"]) == 2
    assert len([name for name, _ in asked if name == "access"]) == 200


def test_a_whole_line_that_is_a_path_wins_in_a_folder_of_many_lines_too(many):
    Path("视/299.mp4 4").touch()
    Path("x.list").write_text("\n".join(many))
    found = [(entry.path, entry.label) for entry in load_list("x.list", labelled=True)]
    assert found[-2:] == [("视/299.mp4 4", None), ("b c/299.mp4", 4)]
    assert found[:2] == [("视/0.mp4", 0), ("b c/0.mp4", 0)]


@pytest.mark.parametrize("slow_sec", [-1, 1])
def test_of_several_files_that_are_missing_the_first_in_the_list_is_named(many, monkeypatch, slow_sec):
    monkeypatch.setattr(lists, "_PART", 200)
    monkeypatch.setattr(lists, "_SLOW_SEC", slow_sec)
    for number in (151, 152, 299):
        Path(f"视/{number}.mp4").unlink()
    Path("x.list").write_text("# 视\n\n" + "\n".join(many))
    message = error_of(lambda path: load_list(path, labelled=True), "x.list")
    assert message.startswith("x.list line 305: no file 视/151.mp4; looked for ")


def test_what_is_remembered_is_known_again_without_asking_the_disk(many, asked, monkeypatch):
    looked = []
    monkeypatch.setattr(
        look_module, "look", lambda entry, settings: looked.append(entry.path) or look_module.Found(UNKNOWN)
    )
    Path("x.list").write_text("\n".join(many))
    settings = ClipSettings(**TINY)
    for times in (1, 2):
        entries = load_list("x.list", labelled=True)
        asked.clear()
        labels = look_over(entries, settings, "x", "x.looked.npz").labels
        assert labels.tolist() == [number // 2 % 5 for number in range(600)]
        assert len(looked) == 600
        assert not [path for _, path in asked if times == 2 and str(path).endswith(".mp4")]


def test_clips_without_a_list_are_remembered_as_those_of_one(many, monkeypatch):
    looked = []
    monkeypatch.setattr(
        look_module, "look", lambda entry, settings: looked.append(entry.path) or look_module.Found(UNKNOWN)
    )
    Path("x.list").write_text("\n".join(many))
    entries, settings = load_list("x.list", labelled=True), ClipSettings(**TINY)
    for clips in (entries, list(entries), list(entries)[::-1]):
        dataset = ClipDataset(clips, settings, name="x", training=False, skip_broken=0, cache="x.looked.npz")
        np.testing.assert_array_equal(dataset.labels, [entry.label for entry in clips])
    assert len(looked) == 600


def test_the_first_line_whose_class_id_cannot_be_is_named(many):
    many[200], many[300], many[400] = "视/100.mp4 5", "视/150.mp4", "视/200.mp4 -2"
    settings = ClipSettings(**TINY)
    for first, words in ((200, r"label 5 of 视/100\.mp4 is not in 0 to 4"), (300, r"视/150\.mp4 is empty")):
        Path("x.list").write_text("\n".join(many))
        message = error_of(lambda path: look_over(load_list(path, labelled=True), settings, "x", None), "x.list")
        assert re.match(rf"x\.list line {first + 1}: {words}", message)
        many[first] = many[0]
