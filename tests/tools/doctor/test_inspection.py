"""What is the same for all kinds of files: an inspector for every model, and duplicates."""

import pickle

from tests.datareader.clips.synthetic import make_frames, write_pickle
from tests.tools.doctor.reports import append_lines, examine, kinds_of
from tools.doctor.inspection import INSPECTORS
from tools.registry import MODELS


def test_every_model_has_an_inspector():
    assert set(INSPECTORS.names()) == {MODELS.get(name).data for name in MODELS.names()}


def test_twins_in_a_list_and_between_training_and_validation_are_named_once_each(features):
    data = features / "data"
    records = pickle.loads((data / "train0.pkl").read_bytes())
    renamed = records[3] | {"video": "other name"}
    (data / "mixed.pkl").write_bytes(pickle.dumps([records[2] | {"nframes": 1}, renamed], protocol=4))
    (data / "link.pkl").symlink_to(data / "train1.pkl")
    append_lines(data / "val.list", ["link.pkl", "mixed.pkl", "val0.pkl"])
    report, _ = examine("tiny.txt", "--deep")
    assert not report["verdict"]["fails"]
    found = {"TRAIN": [], "VALID": [], "TEST": [], "INFER": []}
    for finding in report["findings"]:
        found[finding["section"]].append((finding["kind"], finding["where"][-6:], finding["record"]))
    alone = [("same file", "line 5", None)]
    leaks = [("same file", "line 3", None), ("same video id", "line 4", 0), ("same content", "line 4", 1)]
    assert found == {"TRAIN": [], "VALID": [*alone, *leaks], "TEST": [*alone, *leaks], "INFER": alone}
    text = "data/val.list line 4: data/mixed.pkl record 1 has the same content as in data/train.list line 1"
    assert any(f["text"].startswith(text) for f in report["findings"])


def test_twins_of_clips_are_found_by_file_id_and_content(clips):
    data = clips / "data"
    (data / "copy.mp4").write_bytes((data / "train 1.mp4").read_bytes())
    (data / "hard.mp4").hardlink_to(data / "train 1.mp4")
    write_pickle(data / "same id.pkl", make_frames(3, seed=77), label=0, video_id="train")
    write_pickle(data / "same frames.pkl", make_frames(4, seed=0), label=0, video_id="another")
    append_lines(data / "val.list", ["copy.mp4 0", "hard.mp4 0", "same id.pkl", "same frames.pkl"])
    found = kinds_of(examine("clips.txt", "--deep")[0], "VALID")
    assert found.pop("copy.mp4") == ["same content"]
    assert found.pop("hard.mp4") == ["same content", "same file"]  # as copy.mp4 here, as train 1.mp4 there
    assert found == {"same id.pkl": ["same video id"], "same frames.pkl": ["same content"]}
    quick = kinds_of(examine("clips.txt")[0], "VALID")
    assert quick == {"hard.mp4": ["same file"], "same id.pkl": ["same video id"]}
