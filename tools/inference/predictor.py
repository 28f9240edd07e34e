"""Networks in test mode through Paddle's inference engine with oneDNN, for the CPU.

The engine folds batch normalisation into the convolutions when it loads a program. Imports Paddle: tune the CPU first.
"""

import os

import paddle
from paddle import inference

from tools.inference.export import PADDLE, PROGRAM, WEIGHTS, exported_program


class Engine:
    """A network's forward, for networks of any purpose.

    network: exportable with ``paddle.jit.save``, with one float32 input; its forward uses all of its weights.
    shape: of one record's input.
    precision: "fp32", or "bf16", which is faster on processors that have it and changes answers.
    """

    def __init__(self, network, shape: tuple[int, ...], precision: str):
        with exported_program(network, shape, PADDLE) as program:
            config = inference.Config(str(program / PROGRAM), str(program / WEIGHTS))
            config.disable_gpu()
            config.disable_glog_info()
            config.enable_onednn()
            if precision == "bf16":
                config.enable_onednn_bfloat16()
            config.set_cpu_math_library_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
            self._predictor = inference.create_predictor(config)

    def __call__(self, x):
        """x: (N, *shape) float32 tensor -> what the network's forward gives."""
        source = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        source.copy_from_cpu(x.numpy())
        self._predictor.run()
        result = self._predictor.get_output_handle(self._predictor.get_output_names()[0])
        return paddle.to_tensor(result.copy_to_cpu())


class StandsIn:
    """What an engine needs besides to take a network's place in ``tools.inference.predict``. It comes before it."""

    def __init__(self, network, *options):
        super().__init__(network, *options)
        self.losses, self.probs, self.average_views = network.losses, network.probs, network.average_views

    def eval(self) -> None:
        """There is no other mode."""


class Predictor(StandsIn, Engine):
    """Takes a network's place in ``tools.inference.predict``."""
