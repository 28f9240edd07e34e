"""A folder with weights of TSN and videos, and a server of them."""

import pytest

import tests.tuned_paddle  # noqa: F401
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.test_clip_scripts import CONFIG
from tests.tools.serve.servers import running

FLAGS = ("--model-name=TSN", "--config=tsn.txt", "--weights=tsn.pdparams", "--engine=dygraph")


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Random weights of TSN, its config, class names and videos of 1 to 4 seconds; to be read only."""
    import paddle

    from models.tsn.tsn import TSN

    folder = tmp_path_factory.mktemp("films")
    paddle.seed(0)
    network = TSN(50, 6, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    network.fc.weight.set_value(network.fc.weight * 0.02)  # or logits are so large that their last bits are seen
    paddle.save(network.state_dict(), str(folder / "tsn.pdparams"))
    (folder / "tsn.txt").write_text(CONFIG)
    (folder / "names.txt").write_text("打太极拳\nrunning\n<b>swimming</b>\ndancing\nsleeping\neating\n")
    for i, name in enumerate(("one.mp4", "two.avi", "three.mp4")):
        write_video(folder / name, make_frames(25 + 35 * i, seed=i))
    write_pickle(folder / "p.pkl", make_frames(6))
    return folder


@pytest.fixture(scope="session")
def server(films, tmp_path_factory):
    """A server that stays for all tests of this process: they leave it as it is."""
    flags = (*FLAGS, "--class-names=names.txt", "--max-upload-mb=4", "--slow-sec=2", "--decode-processes=1")
    with running(*flags, "--batch-size=4", cwd=films, folder=tmp_path_factory.mktemp("uploads")) as server:
        yield server
