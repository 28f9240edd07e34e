"""Networks in test mode through Paddle's inference engine with oneDNN, for the CPU.

The network is exported once for its weights and its input's shape, and the program is kept in
``~/.paddle/programs`` (or ``PADDLE_VIDEO_PROGRAMS``) while it is among the last that were used. The engine
folds batch normalisation into the convolutions when it loads one. Imports Paddle: tune the CPU first.
"""

import contextlib
import copy
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
from paddle import inference

PLACE = "PADDLE_VIDEO_PROGRAMS"
KEPT = 8  # programs, of some 100 MB each; every set of weights has its own
UNFINISHED = ".export-"


class Predictor:
    """Takes a network's place in ``tools.engine.predict``.

    network: exportable with ``paddle.jit.save``, with one float32 input. shape: of one record's input.
    precision: "fp32", or "bf16", which is faster on processors that have it and changes answers.
    log: told of the export, which takes seconds.
    """

    def __init__(self, network, shape: tuple[int, ...], precision: str, log: Callable[[str], None]):
        self.losses, self.probs, self.average_views = network.losses, network.probs, network.average_views
        program = export_program(network, shape, log)
        config = inference.Config(str(program / "model.json"), str(program / "model.pdiparams"))
        config.disable_gpu()
        config.disable_glog_info()
        config.enable_onednn()
        if precision == "bf16":
            config.enable_onednn_bfloat16()
        config.set_cpu_math_library_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
        self._predictor = inference.create_predictor(config)

    def eval(self) -> None:
        """There is no other mode."""

    def __call__(self, x):
        """x: (N, *shape) float32 tensor -> what the network's forward gives."""
        source = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        source.copy_from_cpu(x.numpy())
        self._predictor.run()
        result = self._predictor.get_output_handle(self._predictor.get_output_names()[0])
        return paddle.to_tensor(result.copy_to_cpu())


def export_program(network, shape: tuple[int, ...], log: Callable[[str], None]) -> Path:
    """The folder with the network's program, made now if it is not there. Complete or not there."""
    root = Path(os.environ.get(PLACE) or Path.home() / ".paddle" / "programs")
    target = root / f"{type(network).__name__}-{fingerprint(network, shape)}"
    if target.is_dir():
        with contextlib.suppress(OSError):  # a folder of others
            os.utime(target)
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root))
    except OSError as error:
        log(f"{root} cannot be written ({error}): the exported program is not kept; {PLACE} names another folder")
        folder = target = Path(tempfile.mkdtemp(prefix="programs-"))
    began = time.perf_counter()
    try:
        network.eval()
        spec = paddle.static.InputSpec([None, *shape], "float32", "x")
        # Of a copy, as its forward is replaced by the static one.
        paddle.jit.save(copy.copy(network), str(folder / "model"), input_spec=[spec])
        if folder != target:
            os.replace(folder, target)
            remove_unused(root)
    except OSError:
        if not target.is_dir():  # nor has another process put it there meanwhile
            raise
    finally:
        if folder != target:
            shutil.rmtree(folder, ignore_errors=True)
    log(f"exported for the inference engine in {time.perf_counter() - began:.1f} s: {target}")
    return target


def remove_unused(root: Path) -> None:
    """Remove all programs but those used last, and what killed processes left a day ago or earlier."""
    programs = [path for path in root.iterdir() if re.fullmatch(r"\w+-[0-9a-f]{24}", path.name)]
    unused = sorted(programs, key=_last_use, reverse=True)[KEPT:]
    yesterday = time.time() - 24 * 3600
    for path in [*unused, *(path for path in root.glob(f"{UNFINISHED}*") if _last_use(path) < yesterday)]:
        with contextlib.suppress(OSError):  # another process may be removing it
            hidden = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root))
            os.replace(path, hidden)  # whole or gone, for those who look for it
            shutil.rmtree(hidden)


def _last_use(program: Path) -> float:
    try:
        return program.stat().st_mtime
    except OSError:
        return 0.0


def fingerprint(network, shape: tuple[int, ...]) -> str:
    """Changes with the weights, the code of the layers, the input's shape and the version of Paddle."""
    digest = hashlib.blake2b(f"{paddle.__version__} {shape}".encode(), digest_size=12)
    modules = {type(layer).__module__ for layer in network.sublayers(include_self=True)}
    for module in sorted(modules):
        digest.update(Path(sys.modules[module].__file__).read_bytes())
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value.numpy()))
    return digest.hexdigest()
