"""The whole way with networks of full size and made weights: published files, a film with sound, a record, answers."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from datareader.clips.pyav import SequentialVideo
from datareader.extraction.youtube8m import hear
from datareader.features.records import load_records
from datareader.youtube8m.pixels import resize_frame
from datareader.youtube8m.vectors import make_projection, quantize_rounding, quantize_truncating
from tests import yt8m_recipe
from tests.conftest import PROJECT, clean_env, run_script, write_pickles
from tests.datareader.clips.talkies import make_talkie
from tests.datareader.clips.videos import Clip, make_clip
from tests.extractor_files import write_published_files

pytestmark = [pytest.mark.slow, pytest.mark.pyav]
FRAMES = (0, 30, 60)  # of the film, whose sound is three seconds long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A film with sound and one without, the published files, and what the program makes of the films."""
    folder = tmp_path_factory.mktemp("whole_way")
    write_published_files(folder / "published")
    make_talkie(folder / "talkie.mp4", ticks=range(100), sound_sec=2.9, flash_sec=1.5, size=(160, 120))
    make_clip(folder, Clip("silent.mp4", "libx264", num_frames=70))
    flags = ["--video", "talkie.mp4", "silent.mp4", "--output", "features", "--weights-dir", "published", "--offline"]
    program = [sys.executable, "-m", "tools.extract", "--features", "youtube8m", *flags]
    env = clean_env() | {"PYTHONPATH": str(PROJECT), "PADDLE_VIDEO_PROGRAMS": str(folder / "programs")}
    subprocess.run(program, cwd=folder, env=env, check=True, timeout=300)
    return folder


def test_a_record_is_what_its_parts_give_one_by_one(folder):
    from models.extractors import build_picture_network, build_sound_network
    from tests.tuned_paddle import paddle

    record, silent = load_records(str(folder / "features" / "features-00000.pkl"))
    assert (record["video"], record["nframes"], silent["nframes"]) == ("talkie.mp4", len(FRAMES), 3)
    images = dict(SequentialVideo(str(folder / "talkie.mp4")).frames(np.array(FRAMES)))
    look = build_picture_network(dict(yt8m_recipe.inception_weights()))
    listen = build_sound_network(dict(yt8m_recipe.vggish_weights()))
    look.eval()
    listen.eval()
    with paddle.no_grad():
        seen = [look(paddle.to_tensor(resize_frame(images[number])[None])).numpy()[0] for number in FRAMES]
        heard = [listen(paddle.to_tensor(each[None])).numpy()[0] for each in hear(str(folder / "talkie.mp4"))]
    pictures = quantize_rounding(make_projection(*yt8m_recipe.used_visual_pca())(np.stack(seen)))
    sound = quantize_truncating(make_projection(*yt8m_recipe.used_vggish_pca())(np.stack(heard)))
    for found, wanted in ((record["feature"], pictures), (record["audio"], sound)):
        difference = np.abs(found.astype(int) - wanted)  # the engine's sums are in another order
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01
    assert not silent["audio"].any()


@pytest.mark.parametrize("name", ["NEXTVLAD", "AttentionLSTM"])
def test_one_video_in_names_out_as_from_its_record(folder, name):
    data = folder / name
    data.mkdir()
    for split, sizes in (("train", [40]), ("val", [10])):
        write_pickles(data, split, sizes)
    np.save(data / "eigenvals.npy", np.ones((2048, 1), np.float32))
    (data / "class_names.txt").write_text("".join(f"class number {number}\n" for number in range(20)))
    config = {"NEXTVLAD": "nextvlad", "AttentionLSTM": "attention_lstm"}[name]
    text = (PROJECT / f"configs/demo/{config}.txt").read_text().replace("dataset/youtube8m/demo", str(data))
    (folder / f"{name}.txt").write_text(text)
    flags = [f"--model-name={name}", f"--config={name}.txt"]
    run_script("train", *flags, "--epoch=1", "--batch-size=10", cwd=folder)
    weights = f"--weights=checkpoints/{name}_best"
    published = ["--weights-dir=published", "--offline"]
    videos = ["--video", "talkie.mp4", "silent.mp4", *published]
    shown = run_script("infer", *flags, weights, *videos, "--save-dir=by_video", cwd=folder)
    assert "class number " in shown.stdout
    run_script("infer", *flags, weights, "--filelist=features/features.list", "--save-dir=by_list", cwd=folder)
    results = [folder / way / f"{name}_infer_result.json" for way in ("by_video", "by_list")]
    found, wanted = (json.loads(path.read_text()) for path in results)
    assert [item["path"] for item in found] == ["talkie.mp4", "silent.mp4"]
    assert [(item["id"], item["classes"]) for item in found] == [(item["id"], item["classes"]) for item in wanted]
    if name == "NEXTVLAD":
        check_published_eigenvalues(folder, [*flags, weights, *videos])


def check_published_eigenvalues(folder, flags):
    """Where the config names the usual file and there is none, --video takes that of the PCA which it needs anyway."""
    usual = "--set=MODEL.eigen_file=dataset/youtube8m/yt8m_pca/eigenvals.npy"
    shown = run_script("infer", *flags, usual, "--save-dir=usual", cwd=folder).stdout
    (path,) = re.findall(r"MODEL.eigen_file is (\S+), of YouTube-8M's PCA", shown)
    run_script("infer", *flags, f"--set=MODEL.eigen_file={path}", "--save-dir=named", cwd=folder)
    usual_way, named = ((folder / way / "NEXTVLAD_infer_result.csv").read_bytes() for way in ("usual", "named"))
    assert usual_way == named
    refused = run_script("infer", *flags, "--set=MODEL.eigen_file=mine.npy", cwd=folder, check=False)
    assert "eigen_file mine.npy does not exist" in refused.stderr
