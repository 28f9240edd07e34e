"""File lists: their lines, their paths, the labels in them, and what is wrong with them."""

from datareader.lists import load_list
from tests.datareader.features.reading import error_of


def test_a_list_skips_blank_lines_and_comments_and_keeps_spaces_inside_paths(tmp_path):
    for name in ("a b.pkl", "c.pkl"):
        (tmp_path / name).touch()
    (tmp_path / "x.list").write_text("# train\n\n a b.pkl \nc.pkl\n")
    entries = load_list(str(tmp_path / "x.list"))
    assert [entry.path for entry in entries] == [str(tmp_path / "a b.pkl"), str(tmp_path / "c.pkl")]
    assert entries[1].where.endswith("x.list line 4")


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
