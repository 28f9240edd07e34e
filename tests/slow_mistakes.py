"""The mistakes on tools/troubleshooting.md that take a training, a server or another Python to be made.

Keys of SLOW are the headings of the page. All are made in the working directory, a folder of tests/mistakes.py in which
AttentionCluster was trained for an epoch.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import clean_env, run_script
from tests.mistakes import FEATURES, shell
from tests.test_resume_changed import change_state

BEST = "--weights=checkpoints/AttentionCluster_best"


def script(name: str, flags: str) -> str:
    """What a script says in a process of its own, in the working directory."""
    ended = run_script(name, *flags.split(), cwd=Path.cwd(), check=False, as_given=True)
    return ended.stdout + ended.stderr


def python(*arguments: str) -> str:
    """What Python says to its arguments."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=clean_env(), capture_output=True, text=True, check=False).stderr


def read_results() -> str:
    script("infer", f"{BEST} --filelist=data/val.list --infer-topk=2")
    return repr(pickle.loads(Path("AttentionCluster_infer_result").read_bytes())[0])


def run_out_of_memory() -> str:
    """Of more than any machine has; and as the kernel ends a process."""
    asked = script("train", f"{FEATURES} --set MODEL.cluster_nums=[2000000000,2000000000] --save-dir=large")
    return asked + shell("sh -c 'kill -KILL $$'; true")


def resume_inside_an_epoch() -> str:
    folder = Path("inside/AttentionCluster_epoch1_step2")
    script("train", f"{FEATURES} --epoch=1 --valid-interval=0 --save-dir=inside")
    Path("inside/AttentionCluster_epoch0").rename(folder)
    change_state(folder, epoch=1, step=2, steps_taken=5)
    return script("train", f"{FEATURES} --save-dir=inside --valid-interval=0 --resume=auto --learning-rate=0.5")


def damage_checkpoint() -> str:
    script("train", f"{FEATURES} --epoch=1 --valid-interval=0 --save-dir=damaged")
    path = Path("damaged/AttentionCluster_epoch0/model.pdparams")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return script("test", "--weights=damaged/AttentionCluster_epoch0")


def ask_server(content: bytes) -> str:
    """Of a model on features, which takes 1 MB at most."""
    from tests.tools.serve.servers import running

    uploads = Path("uploads")
    uploads.mkdir(exist_ok=True)
    with running(BEST, "--max-upload-mb=1", cwd=Path.cwd(), folder=uploads) as server:
        answer = server.send(content)
    return f"{answer.status} {answer.body.decode()}"


SLOW: dict[str, Callable[[], str]] = {
    "`No module named 'paddle.fluid'`": lambda: python("-c", "import paddle.fluid"),
    "My classes are not those of the weights": lambda: script(
        "test", f"--config=my_config.txt {BEST} --set MODEL.num_classes=20"
    ),
    "How do I read `AttentionCluster_infer_result`?": read_results,
    "Results have numbers in place of names": lambda: script("infer", f"{BEST} --filelist=data/val.list"),
    "`No matching distribution found for paddlepaddle`": lambda: python(
        "-m", "pip", "install", "--no-index", "--dry-run", "--ignore-installed", "paddlepaddle>=3.3"
    ),
    "Paddle has no GPU here": lambda: script("train", f"{FEATURES} --use-gpu=true --save-dir=gpu"),
    "The checkpoint is damaged": damage_checkpoint,
    "Memory runs out": run_out_of_memory,
    "The loss is not finite": lambda: script("train", f"{FEATURES} --learning-rate=1e38 --save-dir=nan"),
    "Training waits for data": lambda: script("train", f"{FEATURES} --epoch=1 --valid-interval=0 --save-dir=slow"),
    "A run cannot resume inside an epoch": resume_inside_an_epoch,
    "The same weights give other answers": lambda: script(
        "test", f"--config=my_config.txt {BEST} --set MODEL.seg_num=4"
    ),
    "The server answers 413": lambda: ask_server(bytes(2_000_000)),
    "The server answers 415": lambda: ask_server(Path("videos/a.mp4").read_bytes()),
    "The server answers 422": lambda: ask_server(Path("data/val0.pkl").read_bytes()[:5000]),
}
