"""What the three scripts do between reading the command line and their loops."""

from collections.abc import Callable

from tools.config import Config
from tools.cpu import load_paddle, tune_cpu
from tools.registry import READERS


def open_dataset(model_name: str, config: Config, section: str, *, training: bool, skip_broken: int, log: Callable):
    """The dataset of a section, with a line on its size and one on every record left out."""
    dataset = READERS.get(model_name)(config, section, training=training, skip_broken=skip_broken)
    log(f"[{section}] {len(dataset)} records in {dataset.name}")
    for notice in dataset.notices:
        log(f"[{section}] {notice}")
    for text in dataset.broken:
        log(f"[{section}] left out: {text}")
    return dataset


def start_paddle(threads: int | None, use_gpu: bool | None, gpu_wanted: bool, log: Callable) -> str:
    """Tune the CPU, import Paddle, choose the device: "gpu" or "cpu"."""
    log(tune_cpu(threads))
    load_paddle()
    from tools.device import choose_device  # imports Paddle

    return choose_device(use_gpu, gpu_wanted, log)
