"""File lists: their lines, their paths, the labels in them, and what is wrong with them."""

import os
import pickle
import tracemalloc
from pathlib import Path

import pytest

from datareader import list_lines
from datareader.list_lines import tidy_path
from datareader.lists import EntryFinder, ListEntries, load_list, read_lines
from tests.datareader.features.reading import error_of


def test_a_list_skips_blank_lines_and_comments_and_keeps_spaces_inside_paths(tmp_path):
    for name in ("a b.pkl", "c.pkl"):
        (tmp_path / name).touch()
    (tmp_path / "x.list").write_text("# train\n\n a b.pkl \nc.pkl\n")
    entries = load_list(str(tmp_path / "x.list"))
    assert [entry.path for entry in entries] == [str(tmp_path / "a b.pkl"), str(tmp_path / "c.pkl")]
    assert entries[1].where.endswith("x.list line 4")


def test_names_hold_what_only_python_takes_for_the_end_of_a_line(tmp_path):
    names = [f"a{end}b.mp4" for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"]
    for name in (*names, "a", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "x.list").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)))
    entries = load_list(str(tmp_path / "x.list"), labelled=True)
    assert [(Path(entry.path).name, entry.label, entry.line) for entry in entries] == [
        (name, i, i + 1) for i, name in enumerate(names)
    ]
    (tmp_path / "x.list").write_bytes(b"a\r\nb.mp4\ra\n")
    assert [(Path(entry.path).name, entry.line) for entry in load_list(str(tmp_path / "x.list"))] == [
        ("a", 1),
        ("b.mp4", 2),
        ("a", 3),
    ]


@pytest.mark.parametrize("line", ["x" * 1_000_000, "a b " * 100_000, "9 " * 100_000, "../" * 100_000, "x," * 100_000])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_line_that_is_no_name_is_told_in_short(tmp_path, line, labelled):
    (tmp_path / "x.list").write_text(f"{line}\n")
    message = error_of(lambda path: load_list(path, labelled), str(tmp_path / "x.list"))
    assert "x.list line 1: " in message
    assert message.endswith("cannot be looked up: File name too long")
    assert len(message) < 500


def test_paths_are_relative_to_the_working_directory_first(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    for place in (tmp_path / "a.pkl", tmp_path / "lists" / "a.pkl"):
        place.touch()
    (tmp_path / "lists" / "x.list").write_text("a.pkl\n")
    monkeypatch.chdir(tmp_path)
    assert load_list("lists/x.list")[0].path == "a.pkl"


def test_missing_and_empty_lists_and_missing_files_are_named(tmp_path):
    assert "file list nowhere.list does not exist" in error_of(load_list, "nowhere.list")
    (tmp_path / "x.list").write_text("# nothing\n\n")
    assert "x.list names no files" in error_of(load_list, str(tmp_path / "x.list"))
    (tmp_path / "x.list").write_text("\ngone.pkl\n")
    message = error_of(load_list, str(tmp_path / "x.list"))
    assert "x.list line 2: no file gone.pkl; looked for " in message


def test_a_line_may_end_with_a_label_and_hold_spaces(tmp_path):
    for name in ("a b.mp4", "a b.mp4 7", "c.pkl"):
        (tmp_path / name).touch()
    path = tmp_path / "x.list"
    path.write_text("# comment\na b.mp4 12\n\n  a b.mp4 7  \na b.mp4 7 3\nc.pkl\na b.mp4 -1\n")
    found = [(entry.path.split("/")[-1], entry.label) for entry in load_list(str(path), labelled=True)]
    assert found == [("a b.mp4", 12), ("a b.mp4 7", None), ("a b.mp4 7", 3), ("c.pkl", None), ("a b.mp4", -1)]


# What stands in lists by mistake


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Some files and a folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "a b.mp4", "videos/c.mp4", "frames/img_1.jpg", "a.pkl", "x,y.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read_line(line, labelled=True):
    Path("one.list").write_text(f"{line}\n")
    return load_list("one.list", labelled)[0]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("a.mp4,0", "not a comma or the like: this line would do: a.mp4 0"),
        ("a.mp4, 0.0", "a class id is a whole number: this line would do: a.mp4 0"),
        ('"a b.mp4" 0', "paths are written without quotes: this line would do: a b.mp4 0"),
        ('"a b.mp4",0', "this line would do: a b.mp4 0"),
        ("'a.mp4'", "this line would do: a.mp4"),
        (r"videos\c.mp4 1", "/ stands between folders, not a backslash: this line would do: videos/c.mp4 1"),
        ("file:///{here}/a%20b.mp4 1", "paths are written without file://: this line would do: /{here}/a b.mp4 1"),
        ("~/gone.mp4 1", "~ is not expanded"),
        (r"C:\videos\a.mp4 1", "it is a path of Windows; write the path that the file has on this machine"),
        (r"\\server\videos\a.mp4", "it is a path of Windows"),
        ("https://example.org/a.mp4 1", "https:// begins an address, which is not fetched; download the file"),
        ("a.mp4 3.0", "a class id is a whole number: this line would do: a.mp4 3"),
        ("a.mp4 dancing", "a.mp4 is there, but 'dancing' stands behind it; what may stand there is a class id"),
        ("a.mp4,playing a violin", "a.mp4 is there, but 'playing a violin' stands behind it"),
        ("a.mp4 12345678901", "a.mp4 is there, but '12345678901' stands behind it"),
        ("a.mp4 1 2 3", "a.mp4 is there, but '1 2 3' stands behind it; a clip has one class id"),
        ("a.mp4 48 3", "a.mp4 is there, but '48 3' stands behind it; a clip has one class id, and a folder of frames"),
        ("frames 0 48 3", "frames is there, but '0 48 3' stands behind it"),
        ("path,label", "this looks like the header of a table; a list has none"),
        ("path label", "this looks like the header of a table; a list has none"),
        ("[MODEL]", "this looks like a config; give the list itself"),
        ("/dev/null 1", "/dev/null is there, but is no regular file"),
        ("A.MP4 1", "there is a.mp4, which differs in capitals, accents or spaces"),
        ("dead.mp4 1", "dead.mp4 is a link to nowhere.mp4, which is not there"),
    ],
)
def test_a_line_that_names_nothing_is_told_with_what_would_work(folder, line, hint):
    (folder / "dead.mp4").symlink_to("nowhere.mp4")
    here = str(folder).lstrip("/")
    message = error_of(read_line, line.format(here=here))
    assert message.startswith("one.list line 1: no file ")
    assert hint.format(here=here) in message
    assert "\n" not in message


def test_what_a_hint_offers_is_read(folder):
    for line in ("a.mp4,0", '"a b.mp4";0', r"videos\c.mp4|7", "a.mp4 3.0", "'videos\\c.mp4'"):
        offered = error_of(read_line, line).split("this line would do: ")[1]
        assert Path(read_line(offered).path).is_file()


@pytest.mark.parametrize("line", ["gone.mp4 1", "gone,x.mp4 1", "x, gone.mp4"])
def test_of_a_file_that_is_only_missing_nothing_else_is_said(folder, line):
    message = error_of(read_line, line)
    assert message.endswith(f"looked for {folder}/{line.removesuffix(' 1')}")


def test_tabs_commas_in_names_and_paths_below_the_list_are_no_mistakes(folder):
    assert (read_line("a.mp4\t3").path, read_line("a.mp4\t3").label) == ("a.mp4", 3)
    assert (read_line("x,y.mp4 3").path, read_line("x,y.mp4 3").label) == ("x,y.mp4", 3)


def test_a_list_of_features_takes_paths_alone(folder):
    message = error_of(read_line, "a.pkl 3", False)
    assert "a.pkl is there, but '3' stands behind it; a list of features has paths alone" in message
    assert "frames is a folder of frames; expected features of videos. TSN and " in error_of(read_line, "frames", False)
    assert "videos is a folder; list the files in it" in error_of(read_line, "videos", False)


@pytest.mark.parametrize(
    ("line", "label", "num_frames"), [("frames", None, None), ("frames 3", 3, None), ("frames 48 3", 3, 48)]
)
def test_a_folder_of_frames_may_have_their_number_before_its_class_id(folder, line, label, num_frames):
    entry = read_line(line)
    assert (entry.path, entry.written, entry.label, entry.num_frames) == ("frames", "frames", label, num_frames)


def test_files_go_before_folders_and_whole_names_before_parts(folder):
    (folder / "lists").mkdir()
    (folder / "lists" / "videos").touch()  # a file beside its list, where the working directory has a folder
    (folder / "lists" / "one.list").write_text("videos\n")
    assert load_list("lists/one.list", labelled=True)[0].path == "lists/videos"
    (folder / "frames 7").mkdir()
    assert (read_line("frames 7").path, read_line("frames 7").label) == ("frames 7", None)
    entry = read_line("frames 7 3")
    assert (entry.path, entry.label, entry.num_frames) == ("frames 7", 3, None)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(50), "is an MP4 or QuickTime video, not a text; put its path into a"),
        (
            "a.pkl",
            pickle.dumps([{"video": "v", "x": b"\xff"}]),
            "is a pickle, not a text; put its path into a",
        ),
        ("x.npz", b"PK\x05\x06" + bytes(18), "is a .zip archive, not a text; a list has one path a line"),
        ("gbk.list", "视频/一.mp4 0\n".encode("gbk"), "is not UTF-8 in line 1 (it looks like GBK); save it as UTF-8"),
        (
            "videos",
            None,
            "is a folder; a list is a text with one path a line, and dataset/make_list.py videos ",
        ),
    ],
)
def test_what_is_given_as_a_list_and_is_none_is_told(folder, name, data, message):
    if data is not None:
        (folder / name).write_bytes(data)
    assert error_of(load_list, name).startswith(f"file list {name} {message}")


def test_a_page_or_a_json_given_as_a_list_is_told_where_a_line_names_nothing(folder):
    for text, kind in (("<html>\n", "a web page (HTML)"), ('{"a.mp4": 0}\n', "a JSON text")):
        (folder / "x.list").write_text(text)
        assert f"x.list is {kind}; a list has one path a line" in error_of(load_list, "x.list")


def test_no_list_at_all_is_told_without_flags_that_a_script_may_not_have():
    assert error_of(load_list, "") == "no file list is given; set filelist in the section of the config"


def test_a_list_of_powershell_is_read(folder):
    (folder / "x.list").write_bytes("a b.mp4 3\r\n".encode("utf-16"))
    (entry,) = load_list("x.list", labelled=True)
    assert (entry.path, entry.label) == ("a b.mp4", 3)


# Lists of any length


@pytest.fixture
def asked(monkeypatch):
    """What the disk is asked for by readers of lists, in order: (function, path)."""
    asked = []

    def note(name, function):
        def ask(path, *others):
            asked.append((name, path))
            return function(path, *others)

        monkeypatch.setattr(list_lines.os, name, ask)

    note("stat", os.stat)
    note("access", os.access)
    note("scandir", os.scandir)
    return asked


def asked_in_threes(asked, name, lines):
    """How often the disk is asked for three lines, and for as many again in the same folder."""
    counts = []
    for times in (1, 2):
        Path(name).write_text("\n".join(lines * times) + "\n")
        asked.clear()
        assert len(load_list(name, labelled=True)) == 3 * times
        counts.append(len([path for _, path in asked if path != name]))
    return counts[0], counts[1] - counts[0]


@pytest.mark.parametrize(("line", "questions"), [("{}", 1), ("{} 7", 2), ("{} -1", 2)])
@pytest.mark.parametrize("start", ["", "{here}/", "./"])
def test_the_disk_is_asked_once_for_a_path_and_once_more_for_a_line_that_may_be_one(
    folder, asked, line, questions, start
):
    path = f"{start.format(here=folder)}videos/c.mp4"
    assert asked_in_threes(asked, "x.list", [line.format(path)] * 3) == (3 * questions, 3 * questions)


def test_folders_that_are_at_one_place_alone_are_asked_for_once(folder, asked):
    (folder / "lists" / "below").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (folder / "lists" / "below" / name).touch()
    for list_path, path in (("lists/x.list", "below/{}.mp4 1"), ("lists/y.list", "videos/c.mp4 1")):
        first, later = asked_in_threes(asked, list_path, [path.format(name) for name in "abc"])
        assert (first, later) == (8, 6)


def test_a_list_takes_little_more_memory_than_its_text(tmp_path):
    name = "class_of_videos_000/0347ZoDXyP0_000095_000105.mp4"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    path, count = tmp_path / "x.list", 20_000
    path.write_text(f"{name} 3\n" * count)
    tracemalloc.start()
    entries = load_list(str(path), labelled=True)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = path.stat().st_size
    assert len(entries) == count
    assert held < size + 36 * count + 100_000
    assert peak < 170 * count


def test_entries_are_those_of_their_lines_however_they_are_asked_for(folder):
    text = "a.mp4||# no||a b.mp4 3|  videos//c.mp4\t-1 |./frames 48 3|frames/ 2|a.pkl 0|x,y.mp4"
    Path("x.list").write_text(text.replace("|", "\r\n"))
    entries = load_list("x.list", labelled=True)
    assert isinstance(entries, ListEntries)
    finder = EntryFinder("x.list", labelled=True)
    expected = [finder.find(line, number) for number, line in read_lines("x.list")]
    assert [entry.line for entry in expected] == [1, 5, 6, 7, 8, 9, 10]
    assert list(entries) == expected
    assert [entries[place] for place in range(-7, 7)] == expected * 2
    assert entries[2:-1:2] == expected[2:-1:2]
    assert list(reversed(entries)) == expected[::-1]
    with pytest.raises(IndexError):
        entries[7]


@pytest.mark.parametrize("path", ["a", "a.", ".a", "/a", "//a", "///a", "a//b", "a/", "a/.", "a/./b", "a/.b", "a/../b"])
def test_a_tidied_path_is_that_of_pathlib(path):
    for form in (path, f"./{path}", f"../{path}", f"{path}/..", f"{path}//", f"{path} b", f"{path}/b.mp4", "."):
        assert tidy_path(form) == str(Path(form))
