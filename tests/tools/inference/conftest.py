import tempfile

import pytest

import tests.tuned_paddle  # noqa: F401
from tests.models.clip_networks import networks  # noqa: F401  (a fixture)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The folder of programs, with its place for temporary ones beside it."""
    folder, temporary = tmp_path / "programs", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("PADDLE_VIDEO_PROGRAMS", str(folder))
    return folder
