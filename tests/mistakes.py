"""The mistakes on tools/troubleshooting.md, each made anew in a small folder, and what the programs say to them.

Keys of QUICK are the headings of the page. These mistakes end a program before it imports Paddle, so that it can run in
this process; tests/slow_mistakes.py has the others.
"""

import contextlib
import ctypes
import gzip
import importlib
import io
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from tests.conftest import PROJECT, TINY_CONFIG, make_record, write_pickles
from tests.datareader.clips.synthetic import make_frames, open_dataset, write_pickle, write_video
from tests.sequence_examples import frame, serialize_means
from tests.test_clip_scripts import CONFIG
from tools.errors import ZooError
from tools.runtime.log import collect_lines

CLIPS = "--config=my_tsn.txt"
FEATURES = "--model-name=AttentionCluster --config=my_config.txt"
OTHER = "--weights=weights/other.pdparams"  # that nothing looks into before the videos
TSN_CONFIG = re.sub(r"batch_size = \d+", "batch_size = 2", re.sub(r"(format|buf_size) = .*\n", "", CONFIG))
LISTS = {  # name -> content
    "clips.list": b"videos/a.mp4 0\nvideos/b.mp4 1\n",
    "empty.list": b"# nothing yet\n",
    "gone.list": b"videos/a.mp4 0\nvideos/gone.mp4 1\n",
    "from_one.list": b"videos/a.mp4 1\nvideos/b.mp4 6\n",
    "comma.list": b"videos/a.mp4,0\nvideos/b.mp4,1\n",
    "gbk.list": "视频/一.mp4 0\n".encode("gbk"),
    "windows.list": "videos/a.mp4 0\r\nvideos/b.mp4 1\r\n".encode("utf-16"),
    "unlabelled.list": b"videos/a.mp4\nvideos/b.mp4\n",
    "zero.list": b"videos/zero.mp4 0\n",
    "page.list": b"videos/page.mp4 0\n",
    "folder.list": b"videos 0\n",
    "pickle.list": b"videos/a.pkl 0\n",
    "features.list": b"data/train0.pkl 0\n",
    "mp4s.list": b"videos/a.mp4\n",
    "clip_pickles.list": b"videos/a.pkl\n",
    "multi_hot.list": b"data/multi_hot.pkl\n",
    "packed.list": b"data/train00.tfrecord\n",
    "means.list": b"data/video_level.tfrecord\n",
    "unsafe.list": b"data/unsafe.pkl\n",
}


def make_folder(folder: Path) -> None:
    """Configs, features, clips and files that are not what they should be."""
    data, videos = folder / "data", folder / "videos"
    data.mkdir()
    videos.mkdir()
    write_pickles(data, "train", [24])
    write_pickles(data, "val", [10, 11], seed=1)
    (folder / "my_config.txt").write_text(TINY_CONFIG)
    (folder / "my_tsn.txt").write_text(TSN_CONFIG)
    (folder / "typo.txt").write_text(TINY_CONFIG.replace("batch_size = 8", "batch_sise = 8", 1))
    (folder / "computed.txt").write_text(TINY_CONFIG.replace("batch_size = 8", "batch_size = 4 * 2", 1))
    for seed, name in enumerate(("a", "b")):
        write_video(videos / f"{name}.mp4", make_frames(12, seed=seed))
    write_pickle(videos / "a.pkl", make_frames(4))
    (videos / "zero.mp4").touch()
    (videos / "page.mp4").write_bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n")
    record = make_record(np.random.default_rng(3), "v", frames=6)
    multi_hot = record | {"label": np.eye(12, dtype=np.int64)[3]}
    (data / "multi_hot.pkl").write_bytes(pickle.dumps([multi_hot], protocol=4))
    (data / "unsafe.pkl").write_bytes(pickle.dumps(os.getcwd))
    (data / "train00.tfrecord").write_bytes(gzip.compress(bytes(200)))
    (data / "video_level.tfrecord").write_bytes(frame(serialize_means(record)))
    for name, content in LISTS.items():
        (folder / name).write_bytes(content)
    make_weights(folder / "weights")


def make_weights(folder: Path) -> None:
    """Files that hold no weights that can be used."""
    folder.mkdir()
    (folder / "page.pdparams").write_bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n")
    with zipfile.ZipFile(folder / "tsn.pth", "w") as archive:  # as torch.save writes
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/version", "3\n")
    for name in ("other", "checked"):
        (folder / f"{name}.pdparams").write_bytes(pickle.dumps({"fc.weight": np.ones((2, 2), np.float32)}, protocol=4))
    (folder / "checked.pdparams.sha256").write_text(f"{'0' * 64}  checked.pdparams\n")


def error_of(function: Callable, *arguments) -> str:
    """What a call that has to fail says, as a program prints it."""
    try:
        function(*arguments)
    except ZooError as error:
        return f"error: {error}"
    except (OSError, UnicodeError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{function} did not fail")


def call(command: str) -> str:
    """What a program says in this process and in the working directory. command: its module and flags."""
    name, *flags = command.split()
    module, said = importlib.import_module(name), io.StringIO()
    program = f"{name.removesuffix('.__main__').rpartition('.')[2]}.py"
    with (
        mock.patch.object(sys, "argv", [program, *flags]),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        collect_lines() as lines,
    ):
        said.write(error_of(module.main))
    return "\n".join([*lines, said.getvalue(), ""])


def shell(command: str) -> str:
    """What bash and what it runs say, in the project's folder."""
    return subprocess.run(
        ["bash", "-c", command, "scripts/quickstart.sh"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stderr


def find_old() -> str:
    from tools.runtime import packages

    def find(name):
        return (name, "4.25.3") if name == "protobuf" else None

    with mock.patch.object(packages, "find_installed", find):
        return error_of(packages.check_versions)


def name_missing() -> str:
    from tools.runtime.packages import missing_package

    return f"error: {missing_package('cv2')}"


def load_library() -> str:
    """Of a name that no machine has, as some have the one on the page; Python's importer uses the same words."""
    from tools.runtime.packages import explain_import

    try:
        ctypes.CDLL("libGL-of-nobody.so.1")
    except OSError as error:
        return f"error: {explain_import(ImportError(str(error).replace('-of-nobody', '')))}"
    raise AssertionError("there is such a library")


def fill_no_batch() -> str:
    from datareader.loader import TrainingLoader

    dataset = open_dataset("clips.list", training=True)
    return error_of(lambda: TrainingLoader(dataset, 64, num_workers=0, as_float=False))


def see_hdr() -> str:
    from datareader.clips.video import describe_colours, note_colours

    with collect_lines() as lines:
        note_colours.__wrapped__(describe_colours(9, 18))
    return lines[0]


def use_busy_folder() -> str:
    from tools.training.checkpoint import CheckpointStore

    store = CheckpointStore("busy", "AttentionCluster")
    try:
        return call(f"train {FEATURES} --save-dir=busy")
    finally:
        store.close()


def use_busy_port() -> str:
    from tools.serve.listening import Port

    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        return error_of(Port, "127.0.0.1", number).replace(str(number), "8866")


def keep_no_secret() -> str:
    from tools.distributed.secret import take_key

    with mock.patch.dict(os.environ):
        os.environ.pop("PADDLE_VIDEO_SECRET_FILE", None)
        return error_of(take_key)


def await_nobody() -> str:
    """Shorter than the 300 s of the page."""
    from tools.distributed import rendezvous

    assert rendezvous._RENDEZVOUS_SEC == 300
    with mock.patch.object(rendezvous, "_RENDEZVOUS_SEC", 0.01):
        return error_of(rendezvous.await_others, ("127.0.0.1", 0), 2, bytes(32)).replace("0.01 s", "300 s")


def find_no_onnxruntime() -> str:
    from tools.inference.onnx_conversion import describe_missing

    return f"error: {describe_missing(ImportError(name='onnxruntime'), '--engine onnxruntime')}"


def find_no_visualdl() -> str:
    with mock.patch.dict(sys.modules, {"visualdl": None}):
        return call(f"train {FEATURES} --visualdl=scalars")


def ask_busy_server() -> str:
    from tools.serve.app import Service
    from tools.serve.refusals import RefusalError

    busy = SimpleNamespace(is_stopping=False, num_taken=17, limits=SimpleNamespace(most_requests=17))
    try:
        Service._take_place(busy)
    except RefusalError as error:
        return json.dumps({"error": error.text})
    raise AssertionError("it took one more")


def write_no_page() -> str:
    from tools.pages.blocks import Page
    from tools.pages.page import try_to_write

    Path("results").touch()
    with collect_lines() as lines:
        try_to_write(Path("results/TSN_report.html"), lambda: Page("TSN", []))
    return lines[0]


def train_on(filelist: str) -> str:
    return call(f"train {CLIPS} --set TRAIN.filelist={filelist}")


def train_on_features(filelist: str) -> str:
    return call(f"train {FEATURES} --set TRAIN.filelist={filelist}")


QUICK: dict[str, Callable[[], str]] = {
    "How do I get the classes of one video?": lambda: call(f"infer {FEATURES} {OTHER} --filelist=mp4s.list"),
    "The released weights are not there": lambda: call(f"test {CLIPS} --offline --weights-dir=weights"),
    "`num_gpus` has no effect": lambda: call("train --model-name=TSN --set TRAIN.filelist=empty.list"),
    "`'ascii' codec can't decode byte` in a script of mine": lambda: error_of(pickle.loads, b"U\x01\xff."),
    "No Python 3.10, 3.11, 3.12 or 3.13 is found": lambda: shell(
        "PYTHON=; PATH=/none; . scripts/environment.sh; find_python"
    ),
    "A package is not installed": name_missing,
    "A package is too old": find_old,
    "`libGL.so.1` is not installed": load_library,
    "`Illegal instruction`": lambda: shell("sh -c 'kill -ILL $$'; true"),
    "The list does not exist": lambda: train_on("nowhere.list"),
    "The list names no files": lambda: train_on("empty.list"),
    "A line of the list names no file": lambda: train_on("gone.list"),
    "The list has commas": lambda: train_on("comma.list"),
    "The list is not UTF-8": lambda: train_on("gbk.list"),
    "A label is out of range": lambda: train_on("from_one.list"),
    "A video has no label": lambda: train_on("unlabelled.list"),
    "A file is no video, or empty": lambda: train_on("page.list") + train_on("zero.list"),
    "A folder is without frames": lambda: train_on("folder.list"),
    "A pickle holds the other kind of data": lambda: train_on("features.list") + train_on_features("clip_pickles.list"),
    "A label looks like a multi-hot vector": lambda: train_on_features("multi_hot.list"),
    "A pickle was not loaded": lambda: train_on_features("unsafe.list"),
    "A shard is packed, or video-level": lambda: train_on_features("packed.list") + train_on_features("means.list"),
    "The records do not fill a batch": fill_no_batch,
    "Some videos are HDR": see_hdr,
    "A key is unknown": lambda: call("train --config=typo.txt"),
    "A value should be a whole number": lambda: call("train --config=computed.txt"),
    "Which model?": lambda: call("test"),
    "The batch size does not split over the processes": lambda: call(f"train {FEATURES} --nproc=3 --batch-size=64"),
    "The config is of another model": lambda: call("train --model-name=NEXTVLAD --config=my_config.txt"),
    "`eigenvals.npy` does not exist": lambda: call("train --model-name=NEXTVLAD"),
    "The class names are too many or too few": lambda: call(
        f"infer {CLIPS} {OTHER} --video videos/a.mp4 --class-names=my_tsn.txt"
    ),
    "A file holds no weights": lambda: call(f"test {CLIPS} --weights=weights/page.pdparams"),
    "A file of weights is not the file it was": lambda: call(f"test {CLIPS} --weights=weights/checked.pdparams"),
    "The accuracy stays at that of chance": lambda: call(f"train {CLIPS} --set VALID.filelist=nowhere.list"),
    "`--save-dir` is in use": use_busy_folder,
    "A secret is needed": keep_no_secret,
    "A process did not come": await_nobody,
    "Windows of a pickle": lambda: call(f"infer {CLIPS} {OTHER} --video videos/a.pkl --window-sec=1"),
    "A folder is no exported model": lambda: call("infer --export=data"),
    "ONNX Runtime is not installed": find_no_onnxruntime,
    "The port is in use": use_busy_port,
    "The server answers 503": ask_busy_server,
    "A folder holds no training run": lambda: call("tools.report.__main__ data"),
    "A page could not be made": write_no_page,
    "VisualDL is not installed": find_no_visualdl,
}
