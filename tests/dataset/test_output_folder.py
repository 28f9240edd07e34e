"""The folder that a converter writes to: one run at a time, one set of settings."""

import pytest

from dataset.output_folder import open_output_folder
from tools.errors import DataError


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    with (
        open_output_folder(tmp_path / "out", {"--fps": 5}),
        pytest.raises(DataError, match=r"another run is writing to .*out; wait for it, or take another folder"),
        open_output_folder(tmp_path / "out", {"--fps": 5}),
    ):
        pass


def test_a_folder_takes_one_set_of_settings(tmp_path):
    with open_output_folder(tmp_path, {"--fps": None, "--class-names": ["a"] * 99}):
        pass
    with (
        pytest.raises(DataError, match=r"was made with --fps unset, not 5; give the same, or an empty folder"),
        open_output_folder(tmp_path, {"--fps": 5, "--class-names": ["a"] * 99}),
    ):
        pass
    with (
        pytest.raises(DataError, match=r"was made with --class-names \['a', .*\.\.\., not \['b'\]; give"),
        open_output_folder(tmp_path, {"--fps": None, "--class-names": ["b"]}),
    ):
        pass
    for text in ("{", "[" * 200_000):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(DataError, match=r"settings\.json cannot be read"), open_output_folder(tmp_path, {}):
            pass
    (tmp_path / "settings.json").unlink()
    (tmp_path / "a.pkl").touch()
    with pytest.raises(DataError, match="holds pickles that were made otherwise"), open_output_folder(tmp_path, {}):
        pass


def test_a_folder_that_cannot_be_written_is_named_and_so_is_how_to_resume(tmp_path, capsys):
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file cannot be a folder to write to: .*exists"),
        open_output_folder(tmp_path / "file", {}),
    ):
        pass
    with (
        pytest.raises(DataError, match=r"out cannot be written: .*No space left on device; what is finished stays"),
        open_output_folder(tmp_path / "out", {}),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), open_output_folder(tmp_path / "out", {}):
        raise KeyboardInterrupt
    assert "out: what is finished stays; run this again to resume" in capsys.readouterr().err
