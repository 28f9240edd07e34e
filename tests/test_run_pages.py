"""The page that train.py keeps, as a whole: resumed runs, killed ones, and what cannot be made."""

import json

from tests.conftest import run_script, start_script
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.test_clip_scripts import CONFIG as CLIP_CONFIG
from tests.test_train import wait_for


def test_a_resumed_run_has_the_whole_of_it_on_its_page(trained_copy):
    page = trained_copy / "checkpoints/AttentionCluster_report.html"
    before = page.read_text()
    assert "By the last validation, epoch 0." in before
    assert "Start 2" not in before
    run_script("train", "--epoch=3", "--resume=auto", "--valid-interval=2", cwd=trained_copy)
    text = page.read_text()
    assert "3 of 3" in text
    assert "Start 2" in text
    assert "checkpoints/AttentionCluster_epoch0" in text
    assert "By the last validation, epoch 1." in text
    validation = json.loads((trained_copy / "checkpoints/AttentionCluster_valid.json").read_text())
    assert len(validation["mistakes"]) == 12
    assert {row["class_id"] for row in validation["report"]["per_class"]} == set(range(12))


def test_a_run_without_validation_has_its_page_from_the_first_epoch_on(tiny):
    process = start_script("train", "--epoch=400", "--valid-interval=0", cwd=tiny)
    wait_for(process, "Epoch 1 done")
    process.kill()
    process.communicate()
    text = (tiny / "checkpoints/AttentionCluster_report.html").read_text()
    assert "running when this page was written, or killed since" in text
    assert "of 400" in text


def test_a_page_that_cannot_be_made_leaves_the_run_as_it_is(tiny):
    (tiny / "checkpoints/AttentionCluster_report.html").mkdir(parents=True)
    shown = run_script("train", "--epoch=1", cwd=tiny).stdout
    (warning,) = {line for line in shown.splitlines() if line.startswith("warning: ")}
    assert "AttentionCluster_report.html could not be made (DataError: the page" in warning
    assert (tiny / "checkpoints/AttentionCluster_best").is_dir()
    assert "best: epoch 0" in shown


def test_the_page_of_a_run_on_clips_shows_frames_of_its_worst_mistakes(tmp_path):
    (tmp_path / "tsn.txt").write_text(CLIP_CONFIG)
    lines = []
    for i in range(4):
        write_pickle(tmp_path / f"p{i}.pkl", make_frames(6, seed=i), label=i)
        write_video(tmp_path / f"a video {i}.mp4", make_frames(8, seed=9 + i))
        lines += [f"p{i}.pkl", f"a video {i}.mp4 {i}"]
    (tmp_path / "clips.list").write_text("\n".join(lines) + "\n")
    run_script("train", "--model-name=TSN", "--config=tsn.txt", cwd=tmp_path)
    validation = json.loads((tmp_path / "checkpoints/TSN_valid.json").read_text())
    assert validation["mistakes"]
    for mistake in validation["mistakes"]:
        assert len(mistake["pictures"]) == 3
        assert mistake["best"][0][0] != mistake["own"][0][0]
    page = (tmp_path / "checkpoints/TSN_report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 3 * len(validation["mistakes"])
    assert "pairs of classes that are mistaken most often" in page
