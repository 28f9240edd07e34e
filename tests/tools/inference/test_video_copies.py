"""The files that --save-video leaves: their names, what they replace, and what is told of those that fail."""

from math import inf
from pathlib import Path

import pytest

from tools.drawing.video_captions import Captions, Span
from tools.errors import ConfigError, DataError
from tools.inference.video_copies import VideoCopy, plan_copies, save_copies
from tools.runtime.log import collect_lines

MARK = b"a copy"


def is_copy(path):
    return Path(path).read_bytes() == MARK


def make_videos(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"a video")
    return [str(folder / name) for name in names]


def names_of(copies):
    return [copy.target.name for copy in copies]


def test_copies_have_the_stems_of_their_videos_and_each_its_own(tmp_path):
    videos = make_videos(tmp_path, "a/x.avi", "b/x.mp4", "b/X.mkv", "x_2.mov", "c/y.tar.mp4", "d/猫.webm")
    copies = plan_copies(videos, str(tmp_path / "out"), is_copy)
    assert names_of(copies) == ["x.mp4", "x_3.mp4", "X_4.mp4", "x_2.mp4", "y.tar.mp4", "猫.mp4"]
    assert [copy.source for copy in copies] == videos
    assert names_of(plan_copies(videos, str(tmp_path / "out"), is_copy)) == names_of(copies)
    assert not (tmp_path / "out").exists()  # before there is something to write


def test_a_video_that_comes_twice_has_one_copy(tmp_path):
    first, other = make_videos(tmp_path, "a/x.mp4", "b/y.mp4")
    (tmp_path / "link.mp4").symlink_to(first)
    again = str(tmp_path / "b" / ".." / "a" / "x.mp4")
    copies = plan_copies([first, other, again, str(tmp_path / "link.mp4")], str(tmp_path / "out"), is_copy)
    assert [copy.source for copy in copies] == [first, other]


def refusal(videos, folder):
    with pytest.raises(ConfigError) as error:
        plan_copies(videos, str(folder), is_copy)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_earlier_copies_are_replaced_and_nothing_else_is(tmp_path):
    videos = make_videos(tmp_path, "a/x.mp4", "a/y.avi")
    out = tmp_path / "out"
    out.mkdir()
    (out / "x.mp4").write_bytes(MARK)
    assert names_of(plan_copies(videos, str(out), is_copy)) == ["x.mp4", "y.mp4"]
    (out / "y.mp4").write_bytes(b"holidays")
    assert refusal(videos, out) == (
        f"--save-video {out}: {out}/y.mp4 is there already, and no copy of an earlier run; move it away, or name "
        "another folder"
    )
    (out / "y.mp4").unlink()
    (out / "y.mp4").mkdir()
    assert "is there already" in refusal(videos, out)


def test_no_copy_replaces_its_own_video_or_another_one(tmp_path):
    videos = make_videos(tmp_path, "x.mp4", "y.mp4")
    for path in videos:
        Path(path).write_bytes(MARK)  # copies may be looked at too
    assert refusal(videos[:1], tmp_path) == (
        f"--save-video {tmp_path}: {tmp_path}/x.mp4 is one of the videos, which its copy would replace; name another "
        "folder"
    )
    other = make_videos(tmp_path, "a/x.avi")
    assert f"{tmp_path}/x.mp4 is one of the videos" in refusal([*other, videos[0]], tmp_path)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_done(tmp_path):
    videos = make_videos(tmp_path, "x.mp4", "file")
    assert refusal(videos[:1], tmp_path / "file" / "out").startswith(f"--save-video {tmp_path}/file/out cannot be writ")


def plan(folder, *names):
    copies = [VideoCopy(name, folder / "out" / f"{name}.mp4") for name in names]
    return copies, {name: Captions([Span(0, inf, [("a", 1.0)])], 5) for name in names}


def test_copies_appear_when_they_are_whole_and_a_video_that_fails_does_not_stop_the_others(tmp_path):
    copies, captions = plan(tmp_path, "one", "two", "three")
    seen = []

    def write(path, target, draw, on_time):
        assert draw == captions[path].draw
        Path(target).write_bytes(MARK)
        seen.append(sorted(item.name for item in (tmp_path / "out").iterdir() if not item.name.startswith(".")))
        for sec in (0.5, 1.0, 99.0):
            on_time(sec)
        if path == "two":
            raise DataError("two: nothing can be decoded")
        return ["its sound, vorbis, is encoded as AAC"] if path == "three" else []

    def read_duration(path):
        if path == "two":
            raise DataError("two: it is broken")
        return 2.5 if path == "one" else None

    with collect_lines() as lines, pytest.raises(DataError) as error:
        save_copies(copies, captions, write, read_duration)
    assert str(error.value) == "1 of 3 videos have no copy, as said above: two"
    assert lines == [
        f"one: {tmp_path}/out/one.mp4",
        "no copy: two: nothing can be decoded",
        f"three: {tmp_path}/out/three.mp4; its sound, vorbis, is encoded as AAC",
    ]
    assert seen == [[], ["one.mp4"], ["one.mp4"]]
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["one.mp4", "three.mp4"]


def test_a_name_that_is_too_long_for_a_copy_fails_alone(tmp_path):
    long = "n" * 252  # of a video of 255 bytes: x.ts
    copies, captions = plan(tmp_path, long, "two")

    def write(path, target, draw, on_time):
        Path(target).write_bytes(MARK)
        return []

    with collect_lines() as lines, pytest.raises(DataError, match=r"^1 of 2 videos have no copy"):
        save_copies(copies, captions, write, lambda path: None)
    assert lines == [
        f"no copy: {long}: its name is too long for a copy in {tmp_path}/out; shorten it",
        f"two: {tmp_path}/out/two.mp4",
    ]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_ends_the_run_in_a_line_and_a_stopped_one_leaves_no_half_video(tmp_path, error):
    copies, captions = plan(tmp_path, "one", "two")
    copies[0].target.parent.mkdir()
    copies[0].target.write_bytes(MARK)
    tried = []

    def write(path, target, draw, on_time):
        tried.append(path)
        Path(target).write_bytes(b"half")
        raise error

    with pytest.raises((DataError, KeyboardInterrupt)) as raised:
        save_copies(copies, captions, write, lambda path: None)
    if isinstance(error, OSError):
        assert str(raised.value) == f"--save-video: {copies[0].target} cannot be written: No space left on device"
    assert tried == ["one"]
    assert [item.read_bytes() for item in copies[0].target.parent.iterdir()] == [MARK]
