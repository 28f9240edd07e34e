"""Configs and files of records to be shown."""

import pickle

CLIP_CONFIG = """
[MODEL]
name = "{name}"
num_classes = 5
seg_num = 3
seglen = {seglen}
image_mean = [0.485, 0.456, 0.406]
image_std = [0.229, 0.224, 0.225]
num_layers = 50
[TRAIN]
epoch = 1
short_size = 40
target_size = {target_size}
batch_size = 1
learning_rate = 0.1
learning_rate_decay = 0.1
l2_weight_decay = 0.0
momentum = 0.9
total_videos = "auto"
filelist = "one.list"
[TEST]
short_size = 40
target_size = {target_size}
batch_size = 1
filelist = "one.list"
num_clips = {num_clips}
num_crops = {num_crops}
[INFER]
short_size = 40
target_size = {target_size}
batch_size = 1
filelist = "one.list"
class_names = {class_names!r}
"""


def write_config(folder, name="TSN", seglen=1, target_size=32, num_clips=1, num_crops=1, class_names=None):
    path = folder / "clips.txt"
    values = {"name": name, "seglen": seglen, "target_size": target_size, "class_names": class_names}
    path.write_text(CLIP_CONFIG.format(**values, num_clips=num_clips, num_crops=num_crops))
    return path


def write_records(path, records, **options):
    path.write_bytes(pickle.dumps(records, **{"protocol": 4, **options}))
    return path
