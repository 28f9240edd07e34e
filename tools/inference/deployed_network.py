"""Exported models at work: Paddle's inference engine, or ONNX Runtime, on the program of a folder.

Imports Paddle: tune the CPU first.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
from paddle import inference

from tools.config.flags import EngineOptions
from tools.config.load import Config
from tools.errors import CheckpointError, ConfigError
from tools.inference.deployed import LENGTHS, ONNX, PROGRAM, WEIGHTS, DeployedModel, pad_frames
from tools.inference.onnx_engine import open_session

Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]  # inputs by name -> outputs in the program's order


class DeployedNetwork:
    """Takes a network's place in ``tools.inference.predict``.

    network: the model's own, of which no weight is needed. run: runs the program. names: of its inputs. logits: which
    of its outputs has them.
    """

    def __init__(self, network, run: Run, names: list[str], logits: int):
        self._network, self._run, self._names, self._logits = network, run, names, logits

    def __call__(self, *inputs):
        """Inputs as the network takes them in training -> logits (N, num_classes)."""
        arrays = [part.numpy() for part in inputs]
        if self._names[0] == LENGTHS:
            arrays = [arrays[0], *pad_frames(arrays[0], arrays[1:])]
        outputs = self._run(dict(zip(self._names, arrays, strict=True)))
        return paddle.to_tensor(outputs[self._logits])

    def eval(self) -> None:
        """There is no other mode."""

    def losses(self, logits, labels, class_weights=None, label_smoothing: float = 0.0):
        return self._network.losses(logits, labels, class_weights, label_smoothing)

    def probs(self, logits):
        return self._network.probs(logits)

    def average_views(self, logits, views: int):
        return self._network.average_views(logits, views)


def load_deployed(
    spec, config: Config, deployed: DeployedModel, device: str, options: EngineOptions
) -> DeployedNetwork:
    """The program of an exported model, in place of a network.

    device: "gpu" or "cpu". Raises ConfigError for an engine that cannot run it, PackageError for one that is not
    installed, and CheckpointError for a program that the engine does not take.
    """
    with paddle.LazyGuard():  # for its losses and the like alone, which need no weights
        network = spec.build_network(config)
    names = list(deployed.input_shapes)
    outputs = [part["holds"] for part in deployed.card["outputs"]]
    return DeployedNetwork(network, choose_run(deployed, device, options), names, outputs.index("logits"))


def choose_run(deployed: DeployedModel, device: str, options: EngineOptions) -> Run:
    """How a program is run. Raises as ``load_deployed``."""
    if options.engine in ("dygraph", "onednn"):
        raise ConfigError(
            f"--engine {options.engine}: an exported model is run by predictor or onnxruntime; leave the flag out"
        )
    if options.engine == "onnxruntime":
        if options.precision != "fp32":
            raise ConfigError(f"--precision {options.precision} needs --engine predictor; here it is onnxruntime")
        if ONNX not in deployed.card["sha256"]:
            raise ConfigError(f"--engine onnxruntime: {deployed.folder} holds no {ONNX}; export it with --onnx")
        return OnnxRun(deployed.folder / ONNX)
    return PaddleRun(deployed, device, options.precision)


class PaddleRun:
    """The program of a folder in Paddle's inference engine. Raises CheckpointError for one that it does not take."""

    def __init__(self, deployed: DeployedModel, device: str, precision: str = "fp32"):
        folder = deployed.folder
        config = inference.Config(str(folder / PROGRAM), str(folder / WEIGHTS))
        config.disable_glog_info()
        if device == "gpu":
            config.enable_use_gpu(100, 0)  # MB to begin with, and the first of those that are visible
        else:
            config.disable_gpu()
            if deployed.takes_clips:  # convolutions gain by it, and a recurrence loses a third (Paddle 3.3.1)
                config.enable_onednn()
            if precision == "bf16":
                config.enable_onednn()
                config.enable_onednn_bfloat16()
            config.set_cpu_math_library_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
        try:
            self._predictor = inference.create_predictor(config)
        except (RuntimeError, SystemError, ValueError) as error:  # of Paddle 3.3.1
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"{folder / PROGRAM} cannot be run by Paddle {paddle.__version__}: {reason}"
            ) from None
        self.output_names = self._predictor.get_output_names()

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Inputs by name -> outputs, in the order of their names."""
        for name, value in inputs.items():
            self._predictor.get_input_handle(name).copy_from_cpu(value)
        self._predictor.run()
        return [self._predictor.get_output_handle(name).copy_to_cpu() for name in self.output_names]


class OnnxRun:
    """A model of ONNX in ONNX Runtime. Raises PackageError where that is missing."""

    def __init__(self, path: Path):
        self._session = open_session(path)

    def __call__(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """As of ``PaddleRun``."""
        return self._session.run(None, inputs)
