"""Videos of Kinetics' form and what video2pkl.py makes of them, to be read only."""

import numpy as np
import pytest

from dataset.kinetics import make_demo
from tests.dataset.kinetics.annotated_videos import CLASSES, DRAWINGS, HEADER, clip_id, csv_line
from tests.dataset.programs import run


@pytest.fixture(scope="session")
def kinetics(tmp_path_factory):
    """A CSV and the videos of four classes, two of each, in a folder with a space and Chinese characters."""
    folder = tmp_path_factory.mktemp("data") / "视频 of Bob's"
    lines = []
    for i in range(2):
        for label, (name, drawing) in enumerate(zip(CLASSES, DRAWINGS, strict=True)):
            place = folder / "videos" / name / f"{clip_id(label, i)}_000007_000017.mp4"
            place.parent.mkdir(parents=True, exist_ok=True)
            frames = make_demo.draw_clip(drawing, np.random.default_rng([label, i]))[:30]
            place.write_bytes(make_demo.encode_h264(frames))
            lines.append(csv_line(name, clip_id(label, i)))
    (folder / "train.csv").write_text(HEADER + "".join(lines))
    return folder


@pytest.fixture(scope="session")
def pickles(kinetics, tmp_path_factory):
    """The folder that video2pkl.py makes of ``kinetics``, and what it printed."""
    target = tmp_path_factory.mktemp("target") / "pkl 文件's"
    result = run("kinetics/video2pkl.py", kinetics / "train.csv", kinetics / "videos", target, 2)
    assert (result.returncode, result.stderr) == (0, "")
    return target, result.stdout
