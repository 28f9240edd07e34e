"""What a checkpoint says of itself: written and read back, whatever the names of its classes."""

import pytest

from datareader.class_names import load_class_names
from models.clip_spec import ResNetClipSpec
from tools.config.load import load_config
from tools.weights.self_description import compare_settings, describe_itself

NAMES = ["", 'quoted, "twice"', "two\nlines", " spaces ", "舞蹈", "\u202eright to left", "😀", "=1+1", "x" * 300]
TRAINING = """
[MODEL]
num_classes = 9
seg_num = 3
seglen = 1
image_mean = [0.485, 0.456, 0.406]
image_std = [0.229, 0.224, 0.225]
num_layers = 50

[TRAIN]
epoch = 1
short_size = 80
target_size = 64
batch_size = 4
keep_aspect = True
learning_rate = 0.001
learning_rate_decay = 0.1
l2_weight_decay = 1e-4
momentum = 0.9
total_videos = "auto"
filelist = "it's a list"
"""


def load(path, text, needs):
    path.write_text(text, encoding="utf-8")
    return load_config(str(path), ResNetClipSpec.schema, needs, "TSN")


def test_names_are_read_back_as_they_are(tmp_path):
    files = describe_itself(load(tmp_path / "t.txt", TRAINING, ["TRAIN"]), ResNetClipSpec.schema, NAMES)
    (tmp_path / "class_names.csv").write_bytes(files["class_names.csv"])
    assert load_class_names(str(tmp_path / "class_names.csv"), 9, complete=True) == NAMES


@pytest.mark.parametrize("valid", ["", "[VALID]\nshort_size = 72\ntarget_size = 60\nbatch_size = 2\nfilelist = 'v'\n"])
def test_sections_that_a_training_lacks_are_as_its_validation_or_itself(tmp_path, valid):
    config = load(tmp_path / "t.txt", TRAINING + valid, ["TRAIN"])
    files = describe_itself(config, ResNetClipSpec.schema, None)
    assert list(files) == ["config.txt"]
    again = load(tmp_path / "config.txt", files["config.txt"].decode(), ["MODEL", "TRAIN", "TEST", "INFER"])
    for name in ("TEST", "INFER"):
        assert again[name].short_size == (72 if valid else 80)
        assert again[name].keep_aspect == (not valid)
        assert again[name].filelist == ("v" if valid else "it's a list")
    assert again.INFER.class_names is None
    assert again.TRAIN == config.TRAIN


def test_what_changes_no_answer_is_not_told(tmp_path):
    one = load(tmp_path / "one.txt", TRAINING, ["TRAIN"])
    other = load(tmp_path / "two.txt", TRAINING.replace("batch_size = 4", "batch_size = 8"), ["TRAIN"])
    assert compare_settings("it", other, one, ["MODEL", "TRAIN"]) == []
    mean = load(tmp_path / "two.txt", TRAINING.replace("[0.485, ", "[0.5, "), ["TRAIN"])
    (line,) = compare_settings("it", mean, one, ["MODEL"])
    assert line.endswith("MODEL.image_mean = [0.5, 0.456, 0.406] (trained with [0.485, 0.456, 0.406])")
