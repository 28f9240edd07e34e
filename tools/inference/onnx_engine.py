"""Networks in test mode through ONNX Runtime, for the CPU, where its packages are installed.

On processors with AVX2 alone its convolutions take a ninth less time than those of Paddle's engine (3.3.1). Imports
Paddle: tune the CPU first.
"""

import os
from pathlib import Path

import paddle

from tools.errors import CheckpointError, PackageError, PeerError
from tools.inference.export import PROGRAM, WEIGHTS, Form, exported_program, sync_file, write_program
from tools.inference.predictor import StandsIn
from tools.runtime.workers import call_in_process

MODEL = "model.onnx"
OPSET = 13  # of the operators that these networks need, since ONNX 1.8
INSTALL = "python -m pip install -r requirements-onnxruntime.txt"


def write_onnx(network, shape: tuple[int, ...], folder: Path) -> None:
    """Export a network into a new folder. Raises PackageError, and CheckpointError for what cannot be converted."""
    program = folder.with_name("paddle")
    write_program(network, shape, program)
    folder.mkdir()
    try:
        # In a process of its own: it changes what Paddle works with, and writes to the terminal past Python.
        call_in_process(convert, program, folder / MODEL)
    except PeerError:
        raise CheckpointError("the process of paddle2onnx was ended") from None
    sync_file(folder / MODEL)


def convert(program: Path, target: Path) -> None:
    """Write an exported program as a model of ONNX. Raises PackageError."""
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    try:
        import paddle2onnx
    except ImportError as error:
        raise PackageError(_describe_missing(error)) from None
    # Without its tools that make graphs simpler, which ONNX Runtime does itself: polygraphy calls pip (0.53.6).
    paddle2onnx.export(
        str(program / PROGRAM), str(program / WEIGHTS), str(target), opset_version=OPSET, optimize_tool="None"
    )


def _describe_missing(error: ImportError) -> str:
    return f"--engine onnxruntime needs {error.name}, which is not installed: {INSTALL}"


ONNX = Form("_onnx", (MODEL,), write_onnx)


class OnnxEngine:
    """As ``tools.inference.predictor.Engine``. Raises PackageError where a package is missing."""

    def __init__(self, network, shape: tuple[int, ...]):
        try:
            import onnxruntime
        except ImportError as error:
            raise PackageError(_describe_missing(error)) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 1))
        options.log_severity_level = 3  # errors; it warns of each constant that it does not need
        with exported_program(network, shape, ONNX) as folder:
            model = str(folder / MODEL)
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x):
        """x: (N, *shape) float32 tensor -> what the network's forward gives."""
        (result,) = self._session.run(None, {self._input: x.numpy()})
        return paddle.to_tensor(result)


class OnnxPredictor(StandsIn, OnnxEngine):
    """Takes a network's place in ``tools.inference.predict``."""
