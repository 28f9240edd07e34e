"""The folder of uploads is of one user alone, and goes at the end or at the next start."""

import os
import shutil
import stat
import tempfile

import pytest

from tools.errors import ConfigError
from tools.serve.spool import Spool


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"paddle-video-serve-{os.geteuid()}"


def test_nobody_else_can_look_inside_and_nothing_is_left(base):
    with Spool() as spool:
        path = spool.new_path()
        path.write_bytes(b"x")
        assert path.name.isalnum()
        for folder in (base, path.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(base.iterdir()) == []


def test_what_a_killed_server_left_is_removed_and_that_of_one_that_lives_is_not(base):
    base.mkdir(mode=0o700)
    (base / "dead").mkdir()
    (base / "dead" / "upload").write_bytes(b"x")
    with Spool() as first:
        assert not (base / "dead").exists()
        kept = first.new_path()
        kept.write_bytes(b"x")
        with Spool():
            assert kept.exists()
        assert kept.exists()


def test_a_folder_that_was_tidied_away_is_made_anew(base):
    with Spool() as spool:
        shutil.rmtree(base)
        path = spool.new_path()
        path.write_bytes(b"x")
        assert stat.S_IMODE(base.stat().st_mode) == 0o700


def test_a_folder_that_was_made_anew_is_that_of_a_server_that_lives(base):
    with Spool() as first:
        shutil.rmtree(base)
        path = first.new_path()
        path.write_bytes(b"x")
        with Spool():
            assert path.exists()


def test_what_is_removed_before_the_process_ends_at_once_leaves_nothing(base):
    with Spool() as spool:
        spool.new_path().write_bytes(b"x")
        spool.remove()
        assert list(base.iterdir()) == []


@pytest.mark.parametrize("kind", ["open", "link"])
def test_a_folder_that_others_could_open_is_not_used(base, tmp_path, kind):
    if kind == "open":
        base.mkdir()
        base.chmod(0o755)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        base.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="set TMPDIR to another folder"):
        Spool().__enter__()
