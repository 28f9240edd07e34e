"""What goes wrong: each in one line that says why, and no file is lost."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import PROJECT, make_record
from tests.datareader.clips.synthetic import encode_jpeg, make_frames, write_pickle
from tests.tools.drawing.pictures import load_picture
from tests.tools.show.inputs import write_config, write_records
from tools.errors import ConfigError, DataError, ZooError
from tools.show import __main__ as show


def broken_files(folder):
    """Files with something wrong with them, by name."""
    for name, content in {
        "empty.pkl": b"",
        "text.txt": b"hello, world\n",
        "half.pkl": pickle.dumps([{"video": "a"}], protocol=4)[:-4],
        "five.pkl": pickle.dumps(5),
        "none.pkl": pickle.dumps([]),
        "bare.pkl": pickle.dumps([{"video": "a", "label": [1]}]),
        "keyless.pkl": pickle.dumps([{}]),
        "cut.pkl": pickle.dumps(("a", 1, [encode_jpeg(make_frames(1)[0])[:300]])),
        "call.pkl": b"\x80\x04cos\nsystem\n(S'echo'\ntR.",
    }.items():
        (folder / name).write_bytes(content)
    write_pickle(folder / "clip.pkl", make_frames(3))
    rng = np.random.default_rng(0)
    write_records(folder / "two.pkl", [make_record(rng, name) for name in ("first", "second")])
    (folder / "short.txt").write_text("one\ntwo\n")
    (folder / "there.png").write_bytes(b"mine")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["gone.mp4"], DataError, "gone.mp4 cannot be read: No such file or directory; expected a video, a pickle of"),
        (["."], DataError, ". is a folder; name one file: a video, a pickle of"),
        (["a\0b"], DataError, "'a\\x00b' cannot be read: embedded null byte"),
        (["empty.pkl"], DataError, "empty.pkl is empty; fetch or copy it again"),
        (["text.txt"], DataError, "text.txt is not a video ("),
        (["half.pkl"], DataError, "half.pkl is not a whole pickle: it is cut short"),
        (["five.pkl"], DataError, "five.pkl holds a int; expected (video_id, label, [JPEG bytes, ...])"),
        (["none.pkl"], DataError, "none.pkl holds no records"),
        (["bare.pkl"], DataError, "bare.pkl record 0 has neither feature nor audio; its keys are video, label"),
        (["keyless.pkl"], DataError, "keyless.pkl record 0 has neither feature nor audio; it is empty"),
        (["cut.pkl"], DataError, "cut.pkl frame 0 is a JPEG that was cut off"),
        (["call.pkl"], DataError, "call.pkl is not a data file and was not loaded: it names os.system"),
        (["two.pkl", "--record", "2"], ConfigError, "--record 2: two.pkl holds 2 records; the last is number 1"),
        (["two.pkl", "--id", "secnod"], ConfigError, "--id secnod: two.pkl has no such record among 2; did you mean s"),
        (["two.pkl", "--id", "x"], ConfigError, "--id x: two.pkl has no such record among 2; they are first, second"),
        (["clip.pkl", "--record", "0"], ConfigError, "clip.pkl holds one clip; --record and --id choose among records"),
        (["two.pkl", "--model-name", "tsn"], ConfigError, "two.pkl holds YouTube-8M features, which TSN does not read"),
        (["clip.pkl", "--model-name", "nextvlad"], ConfigError, "clip.pkl holds a clip, which NEXTVLAD does not read"),
        (["clip.pkl", "--model-name", "tsm"], ConfigError, "no model named 'tsm'; known: "),
        (["clip.pkl", "--config", "gone.txt"], ConfigError, "config gone.txt does not exist"),
        (["clip.pkl", "--seed", "1"], ConfigError, "--seed draws a view as in training; add --section TRAIN"),
        (["two.pkl", "--class-names", "short.txt"], DataError, "class names short.txt has 2 lines, but num_"),
        (["two.pkl", "--output", "there.jpg"], ConfigError, "--output there.jpg: the picture is a PNG; expected a"),
        (["two.pkl", "--output", "there.png"], ConfigError, "there.png is there already; --force replaces it"),
        (["two.pkl", "--output", "two.pkl/x.png"], DataError, "two.pkl/x.png cannot be written: "),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_one_line_that_says_why(arguments, kind, message, folder, run_show):
    broken_files(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(ZooError) as error:
        run_show(*arguments)
    assert str(error.value).startswith(message)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)
    assert sorted(folder.iterdir()) == before
    assert (folder / "there.png").read_bytes() == b"mine"


def test_force_replaces_a_picture_but_never_the_file_that_is_shown(folder, run_show):
    write_pickle(folder / "a.pkl", make_frames(3))
    config = write_config(folder)
    (folder / "a.png").write_bytes(b"old")
    run_show("a.pkl", "--config", config, "--force")
    assert load_picture("a.png").shape[2] == 3
    write_pickle(folder / "c.png", make_frames(3))
    with pytest.raises(ConfigError, match=r"^c.png is the file that is shown; --output FILE.png writes another$"):
        run_show("c.png", "--config", config, "--force")


def test_without_matplotlib_the_text_is_printed_and_the_error_says_what_to_do(records, folder, monkeypatch, capsys):
    write_records(folder / "x.pkl", records)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(sys, "argv", ["show", "x.pkl"])
    with pytest.raises(ConfigError, match=r"the plot needs Matplotlib: python -m pip install matplotlib; --no-image "):
        show.main()
    assert "video0" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["x.pkl"]


def test_the_program_ends_with_one_line_and_code_1_and_needs_neither_paddle_nor_matplotlib_to_say_so():
    absent = "import runpy, sys; sys.modules.update(paddle=None, matplotlib=None)"
    code = f"{absent}; runpy.run_module('tools.show', run_name='__main__')"
    command = [sys.executable, "-c", code, "gone.mp4"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: gone.mp4 cannot be read")
    assert result.stderr.count("\n") == 1
