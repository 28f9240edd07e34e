"""Clips that are named by files, folders and patterns."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from datareader.named_clips import find_clips
from tests.conftest import make_record
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.datareader.clips.test_frame_folders import write_folder
from tools.errors import DataError


@pytest.fixture
def films(tmp_path, monkeypatch):
    """The working directory, with videos in folders, one of them hidden, and other files beside them."""
    monkeypatch.chdir(tmp_path)
    video = write_video(tmp_path / "b.mp4", make_frames(3)).read_bytes()
    for name in ("a.mkv", "sub/c.mp4", "sub/deep/d.avi", "sub/.hidden/e.mp4", "sub/.f.mp4", "take[1].mp4", "take1.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(video)
    write_pickle(Path("sub/p.pkl"), make_frames(3))
    Path("sub/features.pkl").write_bytes(pickle.dumps([make_record(np.random.default_rng(0), "x")]))
    Path("sub/notes.txt").write_text("text")
    Path("page.mp4").write_text("<html>404</html>")
    return tmp_path


def found(*names):
    clips = find_clips(names)
    assert [entry.written for entry in clips.entries] == [entry.path for entry in clips.entries]
    assert {(entry.line, entry.where, entry.label) for entry in clips.entries} == {(None, "", None)}
    return [entry.path for entry in clips.entries], clips.notices


def test_files_keep_their_order_and_folders_are_searched_at_any_depth(films):
    assert found("take1.mp4", "b.mp4") == (["take1.mp4", "b.mp4"], [])
    paths, notices = found("sub/")
    assert paths == ["sub/c.mp4", "sub/p.pkl", "sub/deep/d.avi"]
    assert notices == [
        "left out: 1 x pickle without frames, as of features (features.pkl)",
        "left out: 1 x text (notes.txt)",
    ]
    assert found("sub/.hidden", "sub/.f.mp4") == (["sub/.hidden/e.mp4", "sub/.f.mp4"], [])


def test_patterns_are_expanded_and_a_file_of_that_name_goes_before(films):
    assert found("*.m[kp][v4]") == (
        ["a.mkv", "b.mp4", "take1.mp4", "take[1].mp4"],
        ["left out: 1 x web page (HTML) (page.mp4)"],
    )
    assert found("take[1].mp4") == (["take[1].mp4"], [])
    Path("take[1].mp4").unlink()
    assert found("take[1].mp4") == (["take1.mp4"], [])
    assert found("**/*.avi") == (["sub/deep/d.avi"], [])
    assert found("sub/**") == found("sub")
    assert sorted(found("sub/**/*")[0]) == sorted(found("sub")[0])
    assert found("s?b")[0] == found("sub")[0]


def test_a_file_that_is_named_twice_counts_once(films):
    os.link("b.mp4", "linked.mp4")
    Path("link").symlink_to("sub")
    paths, notices = found("b.mp4", "./b.mp4", "linked.mp4", "sub/c.mp4", "link", "sub")
    assert paths == ["b.mp4", "sub/c.mp4", "link/p.pkl", "link/deep/d.avi"]
    assert notices[-1] == "named more than once, taken once: 6 x (./b.mp4, linked.mp4, link/c.mp4 and 3 more)"


def test_what_lies_in_the_folder_of_copies_is_left_out_of_searches_from_above(films):
    def paths(*names):
        return [entry.path for entry in find_clips(names, apart_from="sub/deep").entries]

    assert paths("sub") == paths("su[b]") == paths("sub/**") == ["sub/c.mp4", "sub/p.pkl"]
    notices = find_clips(["sub"], apart_from="sub/deep").notices
    assert "left out: 1 x clip in the folder of --save-video (d.avi)" in notices
    assert paths("sub/deep/d.avi") == paths("sub/deep") == paths("sub/deep/*") == ["sub/deep/d.avi"]
    with pytest.raises(
        DataError, match=r"no clip is in \*\*/\*\.avi; left out: 1 x clip in the folder of --save-video"
    ):
        paths("**/*.avi")


def test_folders_of_frames_are_clips(films):
    for name in ("frames/one", "frames/two"):
        Path(name).parent.mkdir(exist_ok=True)
        write_folder(Path(name), make_frames(3))
    assert found("frames") == found("frames/*") == found("frames/**") == (["frames/one", "frames/two"], [])
    assert found("frames/one/") == (["frames/one/"], [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.mp4", r"no file or folder none\.mp4; looked for /.*/none\.mp4"),
        ("B.mp4", r"no file or folder B\.mp4; .*; there is b\.mp4, which differs in capitals"),
        ("https://x.org/a.mp4", "no file or folder https://x.org/a.mp4; .*https:// begins an address"),
        ("*.mov", r"nothing matches \*\.mov"),
        ("~/*.mov", r"nothing matches ~/\*\.mov; ~ is not expanded here"),
        ("empty", "no clip is in empty; expected a video such as an mp4"),
        ("texts", r"no clip is in texts; left out: 1 x text \(notes\.txt\); expected a video"),
        ("page*", r"no clip is in page\*; left out: 1 x web page \(HTML\) \(page\.mp4\)"),
        ("train.list", r"train\.list is a text; if it is a list of clips, --filelist takes it"),
        ("a\0b", r".*a.x00b.* cannot be looked up: "),
        ("pipe", r"pipe is a pipe, socket or device; expected a video"),
        ("broken", r"no file or folder broken; .*; broken is a link to nowhere, which is not there"),
    ],
)
def test_names_without_a_clip_are_refused_in_one_line(films, name, message):
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/notes.txt").write_text("text")
    Path("train.list").write_text("b.mp4\n")
    os.mkfifo("pipe")
    Path("broken").symlink_to("nowhere")
    with pytest.raises(DataError, match=f"^{message}") as error:
        find_clips(["b.mp4", name])
    assert "\n" not in str(error.value)
