"""What the doctor reports of a config and its lists, beside what training does with them."""

import json
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
from datareader.loader import EvaluationLoader, TrainingLoader
from tools.distributed.skipped import require_records
from tools.doctor import examination
from tools.doctor.__main__ import parse_args
from tools.doctor.checks import load_checked_config
from tools.errors import DataError
from tools.registry import READERS

CLIP_CONFIG = """
[MODEL]
name = "TSN"
num_classes = 5
seg_num = 3
seglen = 1
image_mean = [0.485, 0.456, 0.406]
image_std = [0.229, 0.224, 0.225]
num_layers = 50

[TRAIN]
epoch = 2
short_size = 40
target_size = 32
batch_size = 1
learning_rate = 0.01
learning_rate_decay = 0.1
l2_weight_decay = 1e-4
momentum = 0.9
total_videos = "auto"
pretrain_base = None
filelist = "data/train.list"

[VALID]
short_size = 40
target_size = 32
batch_size = 1
filelist = "data/val.list"
"""


def examine(config, *flags):
    """(what --json has, what each section is made of)."""
    found = examination.examine(parse_args([f"--config={config}", *flags]))
    assert json.loads(json.dumps(found.report))["verdict"] == found.report["verdict"]
    return found.report, found.sections


def load_config(path):
    """A config as the doctor has it for training."""
    return load_checked_config(parse_args([f"--config={path}"]).run, ["TRAIN"])[2]


def kinds_of(report, section="TRAIN"):
    """File name -> kinds of what was found there, of one section."""
    found = {}
    for finding in report["findings"]:
        if finding["section"] == section:
            name = Path(finding["path"]).name or finding["text"].split("no file ")[-1].split(";")[0]
            found.setdefault(name, []).append(finding["kind"])
    return found


def append_lines(path, lines):
    with open(path, "a") as file:
        file.writelines(f"{line}\n" for line in lines)


def train_ends_with_an_error(config_path, skip_broken):
    """Whether opening both data sets as train.py does and reading all of them is refused."""
    run = parse_args([f"--config={config_path}"]).run
    _, spec, config, _ = load_checked_config(run, ["TRAIN", "VALID"])
    try:
        for section, training in (("TRAIN", True), ("VALID", False)):
            dataset = READERS.get(spec.reader)(config, section, training=training, skip_broken=skip_broken)
            if training:
                TrainingLoader(dataset, config.TRAIN.batch_size, num_workers=0, as_float=False)
            # Each clip is met sooner or later; in an order that meets none, training would fail an epoch later.
            require_records(sum(map(len, EvaluationLoader(dataset, 8, num_workers=0, as_float=False).epoch())), dataset)
    except DataError:
        return True
    return False
