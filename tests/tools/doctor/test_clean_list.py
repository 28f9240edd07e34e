"""Lists of what is usable, with the lines as they were."""

import pickle
from pathlib import Path

import pytest

from tests.tools.doctor.planted_faults import plant_clips, plant_features
from tests.tools.doctor.reports import append_lines, examine, kinds_of
from tools.doctor import clean_list
from tools.errors import DataError


def write_clean_lists(sections, out):
    lists = [section.list_path for section in sections]
    return clean_list.write_clean_lists(sections, clean_list.plan_clean_lists(lists, Path(out)))


def test_a_clean_list_keeps_the_good_lines_in_order_and_the_comments(features):
    plant_features(features / "data")
    (features / "data/train.list").write_text(
        "# one\ntrain0.pkl\ngone.pkl\n\nempty.pkl\n  train1.pkl \n# end\nnarrow.pkl\n"
    )
    _, sections = examine("tiny.txt", "--section=TRAIN")
    (line,) = write_clean_lists(sections, "data/clean.list")
    assert (features / "data/clean.list").read_text() == "# one\ntrain0.pkl\n\ntrain1.pkl\n# end\n"
    assert line == "data/clean.list: 2 of 5 lines of data/train.list"
    (line,) = write_clean_lists(sections, "else/where/clean.list")
    assert (features / "else/where/clean.list").read_text() == (
        "# one\n../../data/train0.pkl\n\n../../data/train1.pkl\n# end\n"
    )
    for path in ("data/train.list", "data"):
        with pytest.raises(DataError, match="is the list itself"):
            write_clean_lists(sections, path)
    _, sections = examine("tiny.txt", "--section=TRAIN", "--set=TRAIN.filelist=data/clean.list")
    assert sections[0].findings() == []


def test_a_file_without_records_stays_in_a_clean_list(features):
    (features / "data/none.pkl").write_bytes(pickle.dumps([], protocol=4))
    append_lines(features / "data/train.list", ["none.pkl", "gone.pkl"])
    report, sections = examine("tiny.txt", "--section=TRAIN")
    assert kinds_of(report) == {"gone.pkl": ["missing"]}
    write_clean_lists(sections, "data/clean.list")
    assert (features / "data/clean.list").read_text().endswith("none.pkl\n")


def test_a_clean_list_of_clips_keeps_labels_and_several_lists_go_to_a_folder(clips):
    plant_clips(clips / "data")
    append_lines(clips / "data/train.list", ["far.mp4 5", "far.mp4\t 3", "page.mp4 1"])
    _, sections = examine("clips.txt", "--deep")
    write_clean_lists(sections, "clean")
    assert (
        clips / "clean/train.list"
    ).read_text() == "# made\n../data/train.pkl\n../data/train 1.mp4 0\n../data/far.mp4\t 3\n"
    assert (clips / "clean/val.list").read_text() == "# made\n../data/val.pkl\n../data/val 1.mp4 1\n"


def test_a_file_with_broken_records_beside_usable_ones_stays_and_is_counted(features):
    records = pickle.loads((features / "data/train0.pkl").read_bytes())
    records[4]["label"] = [99]
    (features / "data/train0.pkl").write_bytes(pickle.dumps(records, protocol=4))
    _, sections = examine("tiny.txt", "--section=TRAIN")
    (line,) = write_clean_lists(sections, "clean.list")
    assert [(finding.kind, finding.record) for finding in sections[0].findings()] == [("label out of range", 4)]
    assert sections[0].summary()["usable"] == 39
    assert "3 of 3 lines" in line
    assert "1 of them name files with broken records beside usable ones" in line


def test_a_list_that_several_sections_read_keeps_what_all_of_them_can_use(features):
    """INFER asks for no labels, VALID does."""
    plant_features(features / "data")
    append_lines(features / "data/val.list", ["outside.pkl"])
    _, sections = examine("tiny.txt")
    write_clean_lists(sections, "clean")
    assert (features / "clean/val.list").read_text() == "../data/val0.pkl\n../data/val1.pkl\n"


def test_nothing_usable_gives_no_clean_list(features):
    (features / "data/train.list").write_text("gone.pkl\n")
    _, sections = examine("tiny.txt", "--section=TRAIN")
    with pytest.raises(DataError, match=r"nothing in data/train\.list is usable"):
        write_clean_lists(sections, "clean.list")
    assert not (features / "clean.list").exists()
