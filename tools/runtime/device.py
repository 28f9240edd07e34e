"""Paddle with its CPU settings on the device that a run uses."""

import logging

from tools.errors import ConfigError
from tools.runtime.cpu import load_paddle, tune_cpu

log = logging.getLogger(__name__)


def start_paddle(threads: int | None, use_gpu: bool | None, gpu_wanted: bool, processes: int = 1) -> str:
    """Tune the CPU, import Paddle, choose the device: "gpu" or "cpu". processes: of this run on this machine."""
    log.debug(tune_cpu(threads, processes))
    load_paddle()
    return choose_device(use_gpu, gpu_wanted)


def choose_device(asked: bool | None, wanted: bool) -> str:
    """Select "gpu" or "cpu" for Paddle and return it. Imports Paddle: tune the CPU first.

    asked: --use-gpu, None when it was not given. wanted: what to do then.
    Raises ConfigError when a GPU is asked for and there is none.
    """
    import paddle

    compiled = paddle.device.is_compiled_with_cuda()
    present = compiled and paddle.device.cuda.device_count() > 0
    if not present and (asked or (asked is None and wanted)):
        reason = "no GPU is visible to it" if compiled else "this build of Paddle is for the CPU"
        if asked:
            raise ConfigError(
                f"--use-gpu: Paddle {paddle.__version__} has no GPU here ({reason}); leave the flag out to use "
                "the CPU, or see requirements.txt for the GPU build"
            )
        # Where Paddle is built for GPUs, to find none is a surprise.
        log.log(logging.INFO if compiled else logging.DEBUG, f"no GPU ({reason}): running on the CPU")
    use_gpu = present and (wanted if asked is None else asked)
    device = "gpu" if use_gpu else "cpu"
    paddle.set_device(device)
    return device
