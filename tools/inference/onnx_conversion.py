"""From programs of Paddle's inference engine to models of ONNX, by paddle2onnx. Without Paddle at its import."""

import json
import os
from pathlib import Path

from tools.errors import CheckpointError, PackageError, PeerError
from tools.files.atomic import sync_file
from tools.runtime.workers import call_in_process

OPSET = 13  # of the operators that these networks need, since ONNX 1.8
# Operators that paddle2onnx 2.1.0 converts, and lists under names of Paddle 2, or not at all.
_LISTED_OTHERWISE = {
    "add", "arange", "batch_norm_", "data", "fetch", "flatten", "matmul", "max", "multiply", "subtract", "unsqueeze",
}  # fmt: skip
INSTALL = "python -m pip install -r requirements-onnxruntime.txt"


def convert_program(program: Path, weights: Path, target: Path, flag: str) -> None:
    """Write an exported program as a model of ONNX.

    flag: that asked for it. Raises PackageError, and CheckpointError for a program that cannot be converted, with the
    operators that are to blame where they are known.
    """
    try:
        # In a process of its own: it changes what Paddle works with, writes to the terminal past Python, and ends the
        # process at an operator that it does not know.
        call_in_process(convert, program, weights, target, flag)
    except PeerError:
        if unknown := _try_to_list_unknown(program):
            text = f"paddle2onnx cannot convert {program.name}: it has no operator {', '.join(unknown)}"
            raise CheckpointError(text) from None
        raise CheckpointError("the process of paddle2onnx was ended") from None
    sync_file(target)


def _try_to_list_unknown(program: Path) -> list[str]:
    try:
        return call_in_process(list_unknown_operators, program)
    except (PeerError, ImportError):
        return []


def list_unknown_operators(program: Path) -> list[str]:
    """Those of a program that paddle2onnx does not list among its own."""
    _be_silent()
    import paddle2onnx.paddle2onnx_cpp2py_export as converter

    known = {str(name).rpartition(".")[2] for name in converter.get_all_supported_operators_pir()}
    known |= _LISTED_OTHERWISE
    found, parts = set(), [json.loads(program.read_bytes())]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            name = part.get("#")
            if isinstance(name, str) and name.startswith("1.") and "I" in part:  # an operator of Paddle's own
                found.add(name.removeprefix("1."))
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return sorted(found - known)


def _be_silent() -> None:
    """Let go of the terminal, to which libraries in C write too."""
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)


def convert(program: Path, weights: Path, target: Path, flag: str) -> None:
    """As ``convert_program``, in the process at hand."""
    _be_silent()
    try:
        import paddle2onnx
    except ImportError as error:
        raise PackageError(describe_missing(error, flag)) from None
    # Without its tools that make graphs simpler, which ONNX Runtime does itself: polygraphy calls pip (0.53.6).
    paddle2onnx.export(str(program), str(weights), str(target), opset_version=OPSET, optimize_tool="None")


def describe_missing(error: ImportError, flag: str) -> str:
    return f"{flag} needs {error.name}, which is not installed: {INSTALL}"
