"""Text files of lines."""

import os

from dataset.text_files import write_lines


def test_lines_are_written_as_utf8_and_bytes_that_are_not_utf8_stay(tmp_path):
    write_lines(tmp_path / "x.list", ["视频.mp4", os.fsdecode(b"\xff.mp4")])
    assert (tmp_path / "x.list").read_bytes() == "视频.mp4\n".encode() + b"\xff.mp4\n"
