"""Export a model with its weights, for use without this project.

python -m tools.export --weights=checkpoints/TSN_best exported/tsn
python -m tools.export --weights=checkpoints/TSN_best exported/tsn --verify my_videos.list --onnx

The folder gets the program and its weights, model.json with all that a stranger needs to know, and example.py, which
names the classes of a file. The program's answers are compared with the network's before the folder is there.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.class_names import choose_class_names, load_class_names
from datareader.loader import EvaluationLoader
from tools.config.flags import (
    EngineOptions,
    RunOptions,
    add_override,
    add_run_flags,
    add_weights_flag,
    parse_text,
    read_run_options,
)
from tools.config.load import Override
from tools.config.parser import Group, make_parser
from tools.errors import CheckpointError, ConfigError, DataError
from tools.export.card import SECTION, describe_model, describe_outputs, describe_weights
from tools.export.verification import MOST_DIFFERENT, Comparison, compare, make_batches
from tools.files.atomic import atomic_folder, atomic_write
from tools.files.sums import sha256_of
from tools.inference.deployed import CARD, EXAMPLE, ONNX, PROGRAM, WEIGHTS, DeployedModel, read_deployed
from tools.run_setup import Run, plan_run
from tools.runtime.entry import run_program
from tools.runtime.text import some_of
from tools.weights.files import WeightFile
from tools.weights.loading import load_into_network
from tools.weights.released_names import find_released_names
from tools.weights.resolve import find_weights
from tools.weights.self_description import describe_itself

log = logging.getLogger(__name__)
EXAMPLES = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class ExportOptions:
    """verify: a list whose videos are compared, None for made inputs."""

    run: RunOptions
    weights: str | None
    folder: Path
    verify: str | None
    onnx: bool


def parse_args() -> ExportOptions:
    parser = make_parser(__doc__, prog="python -m tools.export")
    parser.add_argument("folder", type=parse_text, metavar="FOLDER", help="where it goes; replaces an earlier export")
    add_weights_flag(parser)
    parser.group(Group.TASK).add_argument("--verify", type=parse_text, metavar="LIST", help="compare answers on the "
        "videos of a list; default: on made inputs")  # fmt: skip
    parser.group(Group.OUTPUT).add_argument(
        "--onnx", action="store_true", help="write model.onnx too, for ONNX Runtime and others"
    )
    names = ("--class-names", (SECTION,), "class_names", parse_text, "names by class id, .txt or .csv")
    add_override(parser, Group.OUTPUT, *names)
    add_run_flags(parser, sections=(SECTION,))
    args = parser.parse_args()
    if (args.nproc or 1) > 1:
        parser.error("--nproc: an export is the work of one process; leave the flag out")
    return ExportOptions(read_run_options(args), args.weights, follow(Path(args.folder)), args.verify, args.onnx)


def follow(folder: Path) -> Path:
    """The folder that a link, or a path such as ``..``, stands for, as names beside it are needed; else as it is."""
    return folder.resolve() if folder.is_symlink() or folder.name in ("", "..") else folder


def main() -> None:
    options = parse_args()
    earlier = require_place(options.folder)
    run = plan(options.run, options)
    run.start_log(None)
    weights = find_weights(options.weights, run.name, weights_dir=options.run.weights_dir, offline=options.run.offline)
    dataset = None
    if options.verify:
        listed = Override(SECTION, "filelist", options.verify, "--verify")
        dataset = plan(with_overrides(options.run, [listed]), options).open_dataset(SECTION, training=False)
    device = run.start_paddle(gpu_wanted=False)
    network, names = load(run, options, weights)
    try:
        options.folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(options.folder, aside=earlier) as temporary:
            write(temporary, run, options, network, weights, names, device)
            verify(temporary, run, options, network, device, dataset)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(f"{options.folder} could not be written: {error}") from None
    log.info(f"exported to {options.folder}: {', '.join(sorted(path.name for path in options.folder.iterdir()))}")


def plan(run: RunOptions, options: ExportOptions) -> Run:
    return plan_run(run, ["MODEL", SECTION], lambda config: False, weights=options.weights)


def with_overrides(run: RunOptions, overrides: list[Override]) -> RunOptions:
    return replace(run, config=replace(run.config, overrides=(*run.config.overrides, *overrides)))


def require_place(folder: Path) -> Path:
    """Where an earlier export of this name goes until the new one is in its place.

    One that a killed run has left there is put back, or removed where the new one was in place already. Raises
    ConfigError for a name that something else has.
    """
    aside = folder.with_name(f".{folder.name}.replaced") if folder.name else folder  # of /, which is refused below
    if os.path.lexists(folder):
        try:
            card = read_deployed(str(folder)).card
        except CheckpointError as error:
            raise ConfigError(f"{folder} is there already, and no export to replace: {error}") from None
        if others := sorted({path.name for path in folder.iterdir()} - {CARD, *card["sha256"]}):
            raise ConfigError(f"{folder} holds {some_of(others, 3)} beside an export; name another folder")
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.is_dir():
        aside.rename(folder)
    return aside


def load(run: Run, options: ExportOptions, weights: WeightFile) -> tuple[object, list[str] | None]:
    """The network with its weights, in test mode, and the names of its classes, None where none are known."""
    import paddle

    with paddle.LazyGuard():  # without random values, which the weights would overwrite
        network = run.spec.build_network(run.config)
    match = load_into_network(network, weights)
    for line in match.lines():
        log.info(f"{weights.path}: {line}")
    own_names = run.described and run.described.class_names
    names, lines = choose_class_names(run.config.INFER.class_names, own_names, run.config.MODEL.num_classes)
    if names is None:
        names, line = find_released_names(
            run.name,
            weights,
            run.config.MODEL.num_classes,
            by_names_of_2019=match.released,
            weights_dir=options.run.weights_dir,
            load=load_class_names,
        )
        lines.append(line)
    for line in lines:
        log.info(line)
    return network, names


def write(
    folder: Path, run: Run, options: ExportOptions, network, weights: WeightFile, names: list[str] | None, device: str
) -> None:
    """Write everything into a folder that is there. Raises CheckpointError, PackageError and OSError."""
    from tools.export.program import write_program  # imports Paddle
    from tools.inference.deployed_network import PaddleRun
    from tools.inference.onnx_conversion import convert_program
    from tools.inference.onnx_engine import require_onnxruntime

    if options.onnx:
        require_onnxruntime("--onnx")
    inputs = run.spec.inputs(run.config, SECTION)
    try:
        write_program(run.spec, network, inputs, folder)
    except (RuntimeError, SystemError) as error:  # of Paddle 3.3.1, as of a disk that is full
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{options.folder} could not be written: {reason}") from None
    except CheckpointError as error:  # Paddle 3.3.1 says nothing where a disk is full
        raise CheckpointError(
            f"{options.folder} could not be written: what Paddle wrote is not whole, as on a full disk ({error})"
        ) from None
    if options.onnx:
        convert_program(folder / PROGRAM, folder / WEIGHTS, folder / ONNX, "--onnx")
    settings = plan(with_overrides(options.run, run.spec.program_overrides(run.config)), options).config
    files = describe_itself(settings, run.spec.schema, names)
    files[EXAMPLE] = (EXAMPLES / f"{run.spec.data}.py").read_bytes()
    for name, content in files.items():
        write_file(folder / name, content)
    card = describe_model(run.spec, run.config, run.name, names, inputs)
    card["outputs"] = describe_outputs(
        run.config.MODEL.num_classes, PaddleRun(DeployedModel(folder, card), device).output_names
    )
    card["source"] = describe_weights(weights, network)
    card["sha256"] = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    write_file(folder / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(errors="surrogateescape"))


def write_file(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def verify(folder: Path, run: Run, options: ExportOptions, network, device: str, dataset) -> None:
    """Compare what was written with the network, with a line on each program. Raises CheckpointError."""
    from tools.inference.deployed_network import load_deployed  # imports Paddle

    deployed = read_deployed(str(folder))
    engines = ["predictor", *["onnxruntime"] * options.onnx]
    programs = {
        engine: load_deployed(run.spec, run.config, deployed, device, EngineOptions(engine)) for engine in engines
    }
    if dataset is None:
        batches, what = make_batches(run.spec.inputs(run.config, SECTION)), "made inputs"
    else:
        batches, what = read_batches(run, dataset, device), f"views of the videos of {options.verify}"
    for engine, comparison in compare(network, programs, batches).items():
        name = ONNX if engine == "onnxruntime" else PROGRAM
        log.info(f"{name}: {comparison} ({comparison.num_inputs} {what})")
        refuse_other(comparison, name)


def refuse_other(comparison: Comparison, name: str) -> None:
    if not comparison.holds:
        raise CheckpointError(
            f"{name} does not answer as the network: {comparison}; at most {MOST_DIFFERENT:g} is allowed, so "
            "nothing was exported"
        )


def read_batches(run: Run, dataset, device: str) -> Iterator[tuple[np.ndarray, ...]]:
    """The inputs of the videos of a list. Raises DataError for a list without any that can be read."""
    section = run.config[SECTION]
    loader = EvaluationLoader(
        dataset, section.batch_size, num_workers=section.num_reader_threads, as_float=device == "cpu"
    )
    found = False
    for batch in loader.epoch():
        found = True
        yield batch.inputs
    if not found:
        raise DataError(f"{dataset.name}: no video of it could be read, so that nothing was compared")


if __name__ == "__main__":
    run_program(main, output_needed=False)
