"""How much memory there is, of the machine and of its GPUs. Imports nothing that is slow."""

import ctypes
from importlib import metadata
from pathlib import Path

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of a control group, version 2 and 1


def memory_bytes(root: Path = Path("/")) -> tuple[int, int] | None:
    """(all there is, what programs can have now); None where the system does not say."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    return (values["MemTotal"], values["MemAvailable"]) if {"MemTotal", "MemAvailable"} <= values.keys() else None


def usable_bytes(root: Path = Path("/")) -> int | None:
    """All the memory that this process may ever use: the machine's, cut by the control group's limit."""
    found = [memory[0]] if (memory := memory_bytes(root)) else []
    for name in _LIMITS:
        try:
            found.append(int((root / "sys/fs/cgroup" / name).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(found, default=None)


def gpu_bytes() -> list[int]:
    """The memory of each GPU that Paddle will see, 0 of one that does not say.

    Their driver is asked, which goes by CUDA_VISIBLE_DEVICES too.
    """
    try:
        metadata.version("paddlepaddle-gpu")
        driver = ctypes.CDLL("libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return []
    count, device, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for number in range(count.value):
        failed = driver.cuDeviceGet(ctypes.byref(device), number)
        failed = failed or driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        found.append(0 if failed else size.value)
    return found
