"""Folders of healthy features and clips, and a doctor that starts no network unless a test is of it."""

import pytest

import tests.tuned_paddle  # noqa: F401
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.tools.doctor.reports import CLIP_CONFIG
from tools.doctor import examination, network


@pytest.fixture(autouse=True)
def _without_network(request, monkeypatch):
    """Only the tests of the network start it; Paddle is loaded here already, and its settings are made once."""
    if "network" not in request.keywords:
        monkeypatch.setattr(examination, "check_network", lambda *arguments: [])
    monkeypatch.setattr(network, "start_paddle", lambda *arguments: "cpu")


@pytest.fixture
def features(tiny, monkeypatch):
    """The folder of ``tiny``, whose lists are of YouTube-8M pickles, as the working directory."""
    monkeypatch.chdir(tiny)
    return tiny


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A folder with clips.txt and lists of a pickle and a video each, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "clips.txt").write_text(CLIP_CONFIG)
    for i, name in enumerate(("train", "val")):
        write_pickle(tmp_path / f"data/{name}.pkl", make_frames(4, seed=i), label=i)
        write_video(tmp_path / f"data/{name} 1.mp4", make_frames(5, seed=10 + i))
        (tmp_path / f"data/{name}.list").write_text(f"# made\n{name}.pkl\n{name} 1.mp4 {i}\n")
    return tmp_path
