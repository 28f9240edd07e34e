"""Parts of a conversion, as on several machines: disjoint, complete, and merged to what one run leaves."""

import argparse
import sys

import pytest

from dataset.kinetics import video2pkl
from dataset.parts import Part, parse_part
from dataset.youtube8m import tf2pkl
from tests.dataset.test_converters import make_shards, make_videos
from tools.errors import DataError

COUNT = 3


@pytest.mark.parametrize("count", [1, 2, 7])
def test_each_item_is_in_one_part(count):
    parts = [parse_part(f"{number}/{count}") for number in range(1, count + 1)]
    assert all([part.holds(place) for part in parts].count(True) == 1 for place in range(20))


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "-1/2", "1/2/3", "one/2", "1 / 2"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a part such as 3/8"):
        parse_part(text)


def test_a_part_has_files_of_its_own():
    assert (Part().suffix, Part(3, 8).suffix) == ("", "-3-of-8")


def run(monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", [program.__name__, *map(str, arguments)])
    program.main()


def contents_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".lock")}


@pytest.fixture(params=["tf2pkl", "video2pkl"])
def convert(request, monkeypatch, tmp_path):
    """Runs a converter, with a folder in tmp_path and flags."""
    if request.param == "tf2pkl":
        make_shards(tmp_path / "shards", 5)
        return lambda target, *flags: run(
            monkeypatch, tf2pkl, tmp_path / "shards", tmp_path / target, "--workers=1", *flags
        )
    make_videos(tmp_path, 2)
    sources = tmp_path / "a.csv", tmp_path / "videos"
    return lambda target, *flags: run(monkeypatch, video2pkl, *sources, tmp_path / target, 1, *flags)


def test_parts_in_any_order_and_merged_leave_what_one_run_leaves(convert, tmp_path, capsys):
    convert("whole")
    for number in (2, 3):
        convert("parts", f"--part={number}/{COUNT}")
    assert "part 3/3 is done; once all are, the same command with --merge" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"are not converted.*; run the parts that hold them again"):
        convert("parts", "--merge")
    convert("parts", f"--part=1/{COUNT}")
    before = {name: (tmp_path / "parts" / name).stat().st_mtime_ns for name in contents_of(tmp_path / "parts")}
    convert("parts", f"--part=1/{COUNT}")  # again, as of a machine that was stopped
    pickles = [name for name in before if name.endswith(".pkl")]
    assert {name: before[name] for name in pickles} == {
        name: (tmp_path / "parts" / name).stat().st_mtime_ns for name in pickles
    }
    convert("parts", "--merge")
    assert contents_of(tmp_path / "parts") == contents_of(tmp_path / "whole")
    convert("parts", "--merge")
    convert("parts")
    assert contents_of(tmp_path / "parts") == contents_of(tmp_path / "whole")


def test_parts_and_merging_do_not_go_together(convert, capsys):
    with pytest.raises(SystemExit):
        convert("out", "--part=1/2", "--merge")
    assert "leave out --part" in capsys.readouterr().err


def test_a_limit_counts_the_videos_of_all_parts(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, tf2pkl, tmp_path, tmp_path / "out", "--limit=3", "--part=1/2")
    assert "--limit counts the videos of all parts" in capsys.readouterr().err
