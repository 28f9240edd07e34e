"""Networks in test mode through ONNX Runtime, for the CPU, where its packages are installed.

On processors with AVX2 alone its convolutions take a ninth less time than those of Paddle's engine (3.3.1). Imports
Paddle: tune the CPU first.
"""

import os
from pathlib import Path

import paddle

from tools.errors import PackageError
from tools.inference.export import PROGRAM, WEIGHTS, Form, exported_program, write_program
from tools.inference.onnx_conversion import convert_program, describe_missing
from tools.inference.predictor import StandsIn

MODEL = "model.onnx"


def write_onnx(network, shape: tuple[int, ...], folder: Path) -> None:
    """Export a network into a new folder. Raises PackageError, and CheckpointError for what cannot be converted."""
    program = folder.with_name("paddle")
    write_program(network, shape, program)
    folder.mkdir()
    convert_program(program / PROGRAM, program / WEIGHTS, folder / MODEL, "--engine onnxruntime")


ONNX = Form("_onnx", (MODEL,), write_onnx)


def require_onnxruntime(flag: str = "--engine onnxruntime"):
    """The module. flag: that asked for it. Raises PackageError where it is missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise PackageError(describe_missing(error, flag)) from None
    return onnxruntime


def open_session(path: Path):
    """A model of ONNX, on the CPU, in an ``onnxruntime.InferenceSession``. Raises PackageError."""
    onnxruntime = require_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    options.log_severity_level = 3  # errors; it warns of each constant that it does not need
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class OnnxEngine:
    """As ``tools.inference.predictor.Engine``. Raises PackageError where a package is missing."""

    def __init__(self, network, shape: tuple[int, ...]):
        require_onnxruntime()
        with exported_program(network, shape, ONNX) as folder:
            self._session = open_session(folder / MODEL)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x):
        """x: (N, *shape) float32 tensor -> what the network's forward gives."""
        (result,) = self._session.run(None, {self._input: x.numpy()})
        return paddle.to_tensor(result)


class OnnxPredictor(StandsIn, OnnxEngine):
    """Takes a network's place in ``tools.inference.predict``."""
