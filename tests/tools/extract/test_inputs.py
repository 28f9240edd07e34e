"""The lists of python -m tools.extract: every form of class ids behind a path, and lines that are none."""

import pytest

from tools.errors import DataError
from tools.extract.inputs import load_videos


@pytest.fixture
def read(tmp_path, monkeypatch):
    """What a list of one line gives, as (path, labels), beside some files."""
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "take 2", "take 2 5", "a,7"):
        (tmp_path / name).write_bytes(b"x")

    def read(line):
        (tmp_path / "own.list").write_text(f"{line}\n")
        (video,) = load_videos("own.list")
        assert video.entry.written == video.entry.path
        return video.entry.path, video.labels

    return read


@pytest.mark.parametrize(
    ("line", "path", "labels"),
    [
        ("clip.mp4", "clip.mp4", None),
        ("clip.mp4 3", "clip.mp4", (3,)),
        ("clip.mp4 +3", "clip.mp4", (3,)),
        ("clip.mp4 -1", "clip.mp4", None),  # as lists of clips have it where none is known
        ("clip.mp4 17;3;17", "clip.mp4", (3, 17)),
        ("clip.mp4 3,7", "clip.mp4", (3, 7)),
        ("clip.mp4 3, 7", "clip.mp4", (3, 7)),
        ("clip.mp4,3,7", "clip.mp4", (3, 7)),
        ("clip.mp4 3 7", "clip.mp4", (3, 7)),
        ("clip.mp4\t3\t17", "clip.mp4", (3, 17)),
        ("clip.mp4 0 3861 ; 5", "clip.mp4", (0, 5, 3861)),
        ("take 2", "take 2", None),  # numbers that belong to names of files that are there
        ("take 2 5", "take 2 5", None),
        ("take 2 6", "take 2", (6,)),
        ("take 2 5;1", "take 2 5", (1,)),
        ("a,7", "a,7", None),
    ],
)
def test_all_class_ids_of_a_line_are_read_whatever_stands_between_them(read, line, path, labels):
    assert read(line) == (path, labels)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("clip.mp4 3;-1", "own.list line 1: clip.mp4 has the class id -1; ids count from 0"),
        ("clip.mp4 -2", "own.list line 1: clip.mp4 has the class id -2; ids count from 0"),
        ("clip.mp4 3;x", "clip.mp4 is there, but '3 x' stands behind it; what may stand there is a class id"),
        ("clip.mp4 12345678901", "clip.mp4 is there, but '12345678901' stands behind it"),
        ("gone.mp4 3;7", "own.list line 1: no file gone.mp4"),
        (f"{'a' * 300}.mp4 3", "cannot be looked up: File name too long"),
        ("9 " * 100_000, "cannot be looked up: File name too long"),
    ],
)
def test_a_line_that_names_no_video_is_told_in_a_line(read, line, text):
    with pytest.raises(DataError) as error:
        read(line)
    assert text in str(error.value)
    assert len(str(error.value)) < 600


def test_a_path_is_found_though_with_its_class_ids_it_would_be_too_long(read):
    ids = [*range(100)]
    assert read("clip.mp4 " + ";".join(map(str, ids))) == ("clip.mp4", tuple(ids))
