"""Whether another user could have written something."""

import os

import pytest

from tools.files.ownership import close_to_others, describe_other_writers


@pytest.mark.parametrize(
    ("mode", "open_to_others"), [(0o755, False), (0o700, False), (0o775, True), (0o757, True), (0o1777, False)]
)
def test_who_may_write_a_folder_is_read_from_its_mode(tmp_path, mode, open_to_others):
    tmp_path.chmod(mode)
    text = describe_other_writers(tmp_path)
    assert text == (f"{tmp_path} can be written by others (mode {mode:o})" if open_to_others else "")
    close_to_others(tmp_path)
    assert describe_other_writers(tmp_path) == ""
    tmp_path.chmod(0o700)


def test_the_sticky_bit_says_nothing_of_a_file(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o1666)
    assert "can be written by others" in describe_other_writers(tmp_path / "file")


def test_what_is_of_another_user_is_told(tmp_path, monkeypatch):
    own = os.geteuid()
    if own == 0:
        os.chown(tmp_path, 1234, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    number = 1234 if own == 0 else own
    assert describe_other_writers(tmp_path) == f"{tmp_path} belongs to another user (number {number})"
