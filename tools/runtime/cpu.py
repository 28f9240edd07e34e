"""CPU settings that Paddle reads once, while it is being imported, and that of the memory that it will use.

Nothing here imports Paddle: call ``tune_cpu`` first. Three settings matter. The MKL inside Paddle's
wheels (3.3.1; PaddlePaddle/Paddle#75760) takes a slow path on processors that are not Intel's unless
``MKL_DEBUG_CPU_TYPE`` names a faster one (3 to 5 times on AVX-512 machines), and Paddle uses a single
core unless told otherwise. On the third see ``malloc.py``.
"""

import contextlib
import gc
import importlib.abc
import importlib.util
import io
import math
import os
import platform
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from tools.runtime.malloc import keep_freed_memory
from tools.runtime.signals import heeded_signals

OPT_OUT = "PADDLE_VIDEO_CPU_TUNING"  # set to 0 to leave all as it is
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads")
OF_PADDLE = "PADDLE_RANK_IN_NODE"  # set by paddle.distributed.launch alone, the parent of those it starts
_AVX512 = {"avx512f", "avx512dq", "avx512bw", "avx512vl"}
_AVX2 = {"avx2", "fma"}
_BF16 = {"avx512_bf16", "amx_bf16"}
WITHOUT_AVX2 = "without AVX2"


def tune_cpu(threads: int | None = None, processes: int = 1) -> str:
    """Set the environment for this process before Paddle is imported; return the line to log.

    threads: what the user asked for; by default the cores this process may use, divided by the
        ``processes`` that share the machine. Variables the user has set are left alone. Under Paddle's
        launcher that does not hold for a lone OMP_NUM_THREADS=1: see ``_user_threads``.
    """
    if "paddle" in sys.modules:
        raise RuntimeError("tune_cpu must run before paddle is imported; it reads these settings once")
    if os.environ.get(OPT_OUT, "1").lower() in ("0", "false", "no"):
        return f"CPU settings left as they are ({OPT_OUT}={os.environ[OPT_OUT]})"
    return f"CPU: {_set_threads(threads, processes)}; {_set_mkl_path()}; {keep_freed_memory()}"


def usable_cores() -> int:
    """Cores this process may use: the affinity mask, cut by the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if can_pin() else os.cpu_count() or 1
    quota = _cgroup_quota(Path("/sys/fs/cgroup"))
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def can_pin() -> bool:
    """Whether this system tells and sets which cores a process may use."""
    return hasattr(os, "sched_setaffinity")


def _set_threads(threads: int | None, processes: int) -> str:
    taken = _user_threads()
    if threads is None and taken:
        return " ".join(f"{name}={value}" for name, value in taken.items()) + " (from the environment)"
    cores = usable_cores()
    chosen = threads or max(1, cores // processes)
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(chosen)
    reason = "as asked" if threads else f"{cores} usable cores, {processes} process{'es'[: 2 * (processes > 1)]}"
    return f"{chosen} thread{'s'[: chosen > 1]} ({reason})"


def _user_threads() -> dict[str, str]:
    """The variables of threads that the user has set.

    Paddle (3.3.1; PaddlePaddle/Paddle#7208) sets OMP_NUM_THREADS=1 where it is not set while it is imported, so
    what its launcher starts inherits that. A user who set the same is not told apart there; --threads decides.
    """
    taken = {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ}
    return {} if OF_PADDLE in os.environ and taken == {"OMP_NUM_THREADS": "1"} else taken


def _set_mkl_path() -> str:
    name = "MKL_DEBUG_CPU_TYPE"
    if name in os.environ:
        return f"{name}={os.environ[name]} (from the environment)"
    vendor, flags = _processor(Path("/proc/cpuinfo"))
    if vendor != "AuthenticAMD":
        return f"MKL as it comes ({vendor or platform.machine()})"
    widest = _widest_vectors(flags)
    if not widest:
        return "MKL as it comes (AMD without AVX2)"
    os.environ[name] = value = {"AVX-512": "7", "AVX2": "5"}[widest]
    return f"{name}={value} (AMD with {widest}; {OPT_OUT}=0 turns this off)"


def name_vectors(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The widest vectors of this processor, which decide how fast networks are: AVX-512, AVX2, or neither."""
    return _widest_vectors(_processor(cpuinfo)[1]) or WITHOUT_AVX2


def _widest_vectors(flags: set[str]) -> str:
    return "AVX-512" if flags >= _AVX512 else "AVX2" if flags >= _AVX2 else ""


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies matrices of bfloat16 (AMX), several times as fast as any of float32."""
    return "amx_bf16" in _processor(cpuinfo)[1]


def find_onednn() -> Path | None:
    """The library oneDNN 3 that Paddle's wheels for Linux on x86 bring along; None without one."""
    paddle = importlib.util.find_spec("paddle")  # imports nothing
    for folder in (paddle and paddle.submodule_search_locations) or ():
        if (path := Path(folder) / "libs" / "libdnnl.so.3").is_file():  # the number is that of its binary interface
            return path
    return None


def describe_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What Paddle's inference engine (3.3.1) makes of bfloat16 on this processor, for people who ask for it."""
    _, flags = _processor(cpuinfo)
    if not flags >= _AVX512:
        return "this processor has no AVX-512, without which the engine computes in fp32: answers and speed are those"
    differ = "probabilities differ from those of fp32, and some best classes may"
    if flags & _BF16:
        return differ
    return f"{differ}; this processor has no avx512_bf16, so that it is simulated, which is not faster"


def _processor(cpuinfo: Path) -> tuple[str, set[str]]:
    """Vendor and flags of the first processor in a /proc/cpuinfo; ("", set()) where there is none."""
    fields = {}
    try:
        text = cpuinfo.read_text()
    except OSError:
        return "", set()
    for line in text.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields.get("vendor_id", ""), set(fields.get("flags", "").split())


def _cgroup_quota(root: Path) -> float | None:
    """CPUs granted by a control group (version 2, then 1); None when there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    if quota == "max" or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def load_paddle():
    """Import Paddle without the start-up remarks that do not concern a user of this project.

    Those of Paddle 3.3.1 are: threads are only for builds with MKL (the published wheels are), ccache is missing
    (PaddlePaddle/Paddle#75836), and batch normalisation tracks its statistics in training (#56046).
    """
    # Its C++ part tells of every connection otherwise (level 0), and at every export that its "static graph(PIR)" does
    # "not support input out tensor" (level 1), which changes nothing.
    os.environ.setdefault("GLOG_minloglevel", "2")
    heard = io.StringIO()
    with _deferred_signals(), _no_collection(), contextlib.redirect_stderr(heard), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No ccache found")
        import paddle
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")
    for line in heard.getvalue().splitlines():
        if "OMP_NUM_THREADS" not in line:
            print(line, file=sys.stderr)
    return paddle


@contextlib.contextmanager
def _no_collection():
    """Garbage is not looked for among the 130,000 objects of an import, again and again: a tenth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _deferred_signals():
    """A signal to stop waits until Paddle is loaded: in the middle of it, it would surface as an ImportError.

    Early in its import Paddle (3.3.1) has SIGTERM end the process with a report of its own, so these handlers are set
    again at each module that it imports, and at the end what a signal did before.
    """
    heard = []
    before = {number: signal.getsignal(number) for number in heeded_signals()}

    def defer() -> None:
        for number in before:
            signal.signal(number, lambda number, _: heard.append(number))

    finder = _AtEachImport(defer)
    sys.meta_path.insert(0, finder)
    try:
        defer()
        yield
    finally:
        sys.meta_path.remove(finder)
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        signal.raise_signal(heard[0])


class _AtEachImport(importlib.abc.MetaPathFinder):
    """Finds nothing, and calls a function when the main thread looks for a module."""

    def __init__(self, function: Callable[[], None]):
        self._function = function

    def find_spec(self, fullname, path=None, target=None) -> None:
        if threading.current_thread() is threading.main_thread():  # which alone may handle signals
            self._function()
