"""Networks as programs of inference engines, kept for the next time.

A network is exported once for its weights and its input's shape, and the program is kept in ``~/.paddle/programs`` (or
``PADDLE_VIDEO_PROGRAMS``) while it is among the last that were used. Its sums are compared before it is used, as the
engine may take a damaged program for another one; one that another user could have written is not used. Imports Paddle:
tune the CPU first.
"""

import contextlib
import copy
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from tools.errors import CheckpointError
from tools.files.atomic import remove_unfinished, sync_file, sync_folder, temporary_folder, temporary_path
from tools.files.ownership import close_to_others, describe_other_writers
from tools.files.sums import SumError, check_sums, write_sums
from tools.files.texts import NO_JSON
from tools.weights.fluid_files import read_file

FOLDER_VARIABLE = "PADDLE_VIDEO_PROGRAMS"
KEPT = 8  # programs, of 100 to 300 MB each; every set of weights has its own
UNFINISHED = "export"  # begins what is being written or removed there; earlier versions wrote .export-*
PROGRAM, WEIGHTS, SUMS = "model.json", "model.pdiparams", "sums.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Form:
    """What a network is exported as. suffix: of the network's name. files: that make up a program.

    write: called with a network, its input's shape and a folder that it makes, in one that will go.
    """

    suffix: str
    files: tuple[str, ...]
    write: Callable[[Any, tuple[int, ...], Path], None]


@contextlib.contextmanager
def exported_program(network, shape: tuple[int, ...], form: Form) -> Iterator[Path]:
    """A folder with the network's whole program, made now if it is not there; one that cannot be kept goes afterwards.

    Raises CheckpointError for one that cannot be written.
    """
    root = find_closed_folder()
    name = f"{type(network).__name__}{form.suffix}-{fingerprint(network, shape)}"
    target = root and root / name
    if root:
        remove_unfinished(root, UNFINISHED)
    if target and is_kept(target, form):
        yield target
        return
    with _temporary_folder(root) as temporary:
        program = temporary / name
        began = time.perf_counter()
        try:
            form.write(network, shape, program)
            seal(program, form)
        # Paddle 3.3.1 raises any of the first three.
        except (OSError, RuntimeError, SystemError, CheckpointError) as error:
            raise _refusal(temporary.parent, error) from error
        took = f"exported for the inference engine in {time.perf_counter() - began:.1f} s"
        with contextlib.suppress(OSError):  # it cannot be kept, or another process has put it there meanwhile
            if target:
                os.replace(program, target)
                program = target
                sync_folder(root)
                remove_unused(root)
        log.info(f"{took}: {target}" if program == target else took)
        yield program


def seal(program: Path, form: Form) -> None:
    """Write the sums of a program, which from then on nobody else can change."""
    write_sums(program / SUMS, program, form.files, program=program.name)
    for path in (program, *program.iterdir()):
        close_to_others(path)
    sync_folder(program)


def is_kept(target: Path, form: Form) -> bool:
    """Whether a program is there, as it was written and by nobody else; another is removed, which the log tells."""
    if not os.path.lexists(target):
        return False
    try:
        _require_own(target, form)
        check_sums(target / SUMS, target, program=target.name)
    except (OSError, SumError) as error:
        reason = f"{error.filename} is missing" if isinstance(error, FileNotFoundError) else str(error)
        log.info(f"the program kept in {target} is not used, and made anew: {reason}")
        with contextlib.suppress(OSError):
            _remove(target)
        return False
    with contextlib.suppress(OSError):  # a folder of the administrator
        os.utime(target)
    return True


def _require_own(program: Path, form: Form) -> None:
    """Raise SumError for a program that another user could have written."""
    for path in (program, *(program / name for name in (SUMS, *form.files))):
        if path.is_symlink():
            raise SumError(f"{path} is a link")
        if others := describe_other_writers(path):
            raise SumError(others)


def find_closed_folder() -> Path | None:
    """Where programs are kept; None where others could put or change some, which the log tells.

    The usual folder, which versions before made as open as the umask said, is closed to them.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    root = Path(named or Path.home() / ".paddle" / "programs")
    try:
        others = describe_other_writers(root)
        if others and not named:
            close_to_others(root)
            log.info(f"{others}: it is closed to them now")
            others = describe_other_writers(root)
    except OSError:  # it is to be made, or cannot be, or is not ours to close
        others = ""
    if not others:
        return root
    log.info(f"{others}: no program in it is used or kept; chmod go-w mends its mode, {FOLDER_VARIABLE} names another")
    return None


@contextlib.contextmanager
def _temporary_folder(root: Path | None) -> Iterator[Path]:
    """In root, so that a program can be renamed into it; somewhere else where there is none or it cannot be written."""
    with contextlib.ExitStack() as stack:
        folder = None
        try:
            if root:
                root.mkdir(mode=0o755, parents=True, exist_ok=True)
                folder = stack.enter_context(temporary_folder(root / UNFINISHED, mode=0o700))
        except OSError as error:
            log.info(
                f"{root} cannot be written ({error}): the exported program is not kept; {FOLDER_VARIABLE} names "
                "another folder"
            )
        try:
            if not folder:
                elsewhere = tempfile.TemporaryDirectory(prefix="programs-", ignore_cleanup_errors=True)
                folder = Path(stack.enter_context(elsewhere))
        except OSError as error:
            raise _refusal(root or Path(tempfile.gettempdir()), error) from None
        yield folder


def write_program(network, shape: tuple[int, ...], folder: Path) -> None:
    """Export a network into a new folder, whole and on the disk, which Paddle (3.3.1) does not look after."""
    folder.mkdir()  # with the mode that the umask leaves for reading; what others could write is not used again
    network.eval()
    spec = paddle.static.InputSpec([None, *shape], "float32", "x")
    # Of a copy, as its forward is replaced by the static one.
    save_layer(copy.copy(network), [spec], folder, "model")


def save_layer(layer, inputs: list, folder: Path, stem: str) -> None:
    """Export a layer into a folder that is there, as stem.json and stem.pdiparams, whole and on the disk.

    inputs: of ``paddle.static.InputSpec``. Raises CheckpointError for files that are not whole.
    """
    with _home_in(folder.parent):
        paddle.jit.save(layer, str(folder / stem), input_spec=inputs)
    program, weights = folder / f"{stem}.json", folder / f"{stem}.pdiparams"
    require_whole(program, weights, layer)
    sync_file(program)
    sync_file(weights)


PADDLE = Form("", (PROGRAM, WEIGHTS), write_program)


@contextlib.contextmanager
def _home_in(folder: Path) -> Iterator[None]:
    """Paddle (3.3.1) writes the code that it makes of a forward below the home directory, where not all can write."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["HOME"]
        if before is not None:
            os.environ["HOME"] = before


def require_whole(program: Path, weights_path: Path, network) -> None:
    """Raise CheckpointError unless both files can be read and all of the network's weights are there."""
    try:
        json.loads(program.read_bytes())
    except (OSError, *NO_JSON) as error:
        raise CheckpointError(f"{program} cannot be read ({error})") from None
    saved = Counter(value.shape for value in read_file(weights_path))
    weights = Counter(tuple(value.shape) for value in network.state_dict().values())
    if missing := (weights - saved).total():
        raise CheckpointError(f"{weights_path} is cut: {missing} of {weights.total()} weights are missing")


def _refusal(folder: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().partition("\n")[0]
    return CheckpointError(
        f"{folder}: the program for the inference engine could not be written ({reason}); --engine dygraph needs none, "
        f"and {FOLDER_VARIABLE} names another folder, on a disk with room"
    )


def remove_unused(root: Path) -> None:
    """Remove all programs but those used last, and what killed processes left a day ago or earlier."""
    programs = [path for path in root.iterdir() if re.fullmatch(r"\w+-[0-9a-f]{24}", path.name)]
    unused = sorted(programs, key=_last_use, reverse=True)[KEPT:]
    yesterday = time.time() - 24 * 3600
    for path in [*unused, *(path for path in root.glob(f".{UNFINISHED}-*") if _last_use(path) < yesterday)]:
        with contextlib.suppress(OSError):  # another process may be removing it
            _remove(path)


def _remove(program: Path) -> None:
    if program.is_symlink():
        program.unlink()
        return
    hidden = temporary_path(program.parent / UNFINISHED)
    os.replace(program, hidden)  # whole or gone, for those who look for it
    shutil.rmtree(hidden)


def _last_use(program: Path) -> float:
    try:
        return program.stat().st_mtime
    except OSError:
        return 0.0


def fingerprint(network, shape: tuple[int, ...]) -> str:
    """Changes with the weights, the code of the layers, the input's shape and the version of Paddle."""
    digest = hashlib.blake2b(f"{paddle.__version__} {shape}".encode(), digest_size=12)
    modules = {type(layer).__module__ for layer in network.sublayers(include_self=True)}
    for module in sorted(modules):
        digest.update(Path(sys.modules[module].__file__).read_bytes())
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value.numpy()))
    return digest.hexdigest()
