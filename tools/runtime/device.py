"""Which device a run uses. Imports Paddle: tune the CPU first."""

from collections.abc import Callable

import paddle

from tools.errors import ConfigError


def choose_device(asked: bool | None, wanted: bool, log: Callable[[str], None]) -> str:
    """Select "gpu" or "cpu" for Paddle and return it.

    asked: --use-gpu, None when it was not given. wanted: what to do then.
    Raises ConfigError when a GPU is asked for and there is none.
    """
    compiled = paddle.device.is_compiled_with_cuda()
    present = compiled and paddle.device.cuda.device_count() > 0
    if not present and (asked or (asked is None and wanted)):
        reason = "no GPU is visible to it" if compiled else "this build of Paddle is for the CPU"
        if asked:
            raise ConfigError(
                f"--use-gpu: Paddle {paddle.__version__} has no GPU here ({reason}); leave the flag out to use "
                "the CPU, or see requirements.txt for the GPU build"
            )
        log(f"no GPU ({reason}): running on the CPU")
    use_gpu = present and (wanted if asked is None else asked)
    device = "gpu" if use_gpu else "cpu"
    paddle.set_device(device)
    return device
