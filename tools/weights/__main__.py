"""Look into files of weights, and convert them between the forms of 2019 and of today.

python -m tools.weights show PATH [--model-name NAME] [--config FILE]
python -m tools.weights convert IN OUT --model-name NAME [--config FILE] --to fluid|paddle

PATH: whatever --weights or --pretrain takes. IN: whatever --weights takes. fluid: OUT is a folder with one file per
variable, in the names and layouts of 2019. paddle: OUT is a .pdparams with the names of today. Values keep every bit,
but for half and double precision of PyTorch and safetensors, which show gives as float32. The names in a single Fluid
file come from the network, so show needs --model-name for them; sizes come from the config, by default the published
one.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import os
import pickle
from dataclasses import dataclass

import numpy as np

import models  # noqa: F401  (registers the specs)
from tools.config.flags import ConfigSource, parse_text
from tools.config.parser import Group, make_parser
from tools.errors import CheckpointError
from tools.files.atomic import atomic_write, require_writable
from tools.registry import MODELS
from tools.runtime.cpu import load_paddle, tune_cpu
from tools.runtime.entry import run_program
from tools.runtime.tables import format_columns, join_lines
from tools.weights.files import FLUID_FILE, WeightFile, load_weights
from tools.weights.fluid_files import DTYPES, write_folder
from tools.weights.fluid_names import buffers_of, name_arrays, variables_of
from tools.weights.loading import own_arrays
from tools.weights.networks import build_network
from tools.weights.state_names import split_state


@dataclass(frozen=True)
class WeightsOptions:
    """command: "show" or "convert". model_name: as published. out, to: of convert."""

    command: str
    path: str
    model_name: str | None
    config: ConfigSource
    out: str = ""
    to: str = ""


def parse_args() -> WeightsOptions:
    parser = make_parser(__doc__, prog="python -m tools.weights")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="list every array: name, shape, type")
    show.add_argument("path", type=parse_text, metavar="PATH", help="what --weights or --pretrain takes")
    show.set_defaults(out="", to="")
    convert = commands.add_parser("convert", help="write weights in another form")
    convert.add_argument("path", type=parse_text, metavar="IN", help="what --weights takes")
    convert.add_argument("out", type=parse_text, metavar="OUT", help="a folder (fluid) or a .pdparams file (paddle)")
    add = convert.group(Group.OUTPUT).add_argument
    add("--to", required=True, choices=("fluid", "paddle"), help="the form of 2019, or of today")
    for command in (show, convert):
        add = command.group(Group.MODEL).add_argument
        add(
            "--model-name",
            type=parse_text,
            required=command is convert,
            metavar="NAME",
            help=f"{', '.join(MODELS.names())}; case is ignored",
        )
        add("--config", type=parse_text, metavar="FILE", help="sizes; default: the published config")
    args = parser.parse_args()
    name = MODELS.canonical_name(args.model_name) if args.model_name else None
    return WeightsOptions(args.command, args.path, name, ConfigSource(args.config), args.out, args.to)


def main() -> None:
    options = parse_args()
    if options.model_name:
        tune_cpu()
        load_paddle()
    show(options) if options.command == "show" else convert(options)


def show(options: WeightsOptions) -> None:
    name, file = options.model_name, load_weights(options.path, options.model_name)
    arrays = file.arrays
    if name and file.kind == FLUID_FILE:
        arrays, _ = name_arrays(file, build_network(name, options.config))
    print(f"{options.path}: {file.kind}")
    print(describe(arrays))
    for note in file.notes:
        print(note)
    if file.ignored:
        print(f"not variables: {', '.join(file.ignored)}")
    if not name and file.kind == FLUID_FILE:
        print("it does not say its names, only their order; --model-name shows them")


def describe(arrays: dict[str, np.ndarray]) -> str:
    """A line an array and one of totals."""
    rows = [(name, f"{value.dtype.name:<8} {list(value.shape)}") for name, value in arrays.items()]
    values, size = sum(value.size for value in arrays.values()), sum(value.nbytes for value in arrays.values())
    of_optimizer = sum(split_state(name) is not None for name in arrays)
    total = (
        f"{len(arrays)} arrays{f', {of_optimizer} of them of an optimizer' * bool(of_optimizer)}; "
        f"{values} values, {size / 1e6:.1f} MB"
    )
    return join_lines([*[format_columns(rows)] * bool(rows), total])


def convert(options: WeightsOptions) -> None:
    out = Path(options.out)
    if os.path.lexists(out):
        raise CheckpointError(f"{out} exists and is left as it is; name another OUT, or remove it")
    try:
        require_writable(out)
    except OSError as error:
        raise CheckpointError(f"{out} cannot be written: {error}") from None
    file = load_weights(options.path, options.model_name)
    arrays, lines = converted(file, build_network(options.model_name, options.config), options.to)
    try:
        write_folder(out, arrays) if options.to == "fluid" else write_pickle(out, arrays)
    except OSError as error:
        raise CheckpointError(f"{out} could not be written: {error}") from None
    for line in lines:
        print(line)
    print(f"wrote {out}: {len(arrays)} arrays, {sum(value.nbytes for value in arrays.values()) / 1e6:.1f} MB")


def converted(file: WeightFile, network, to: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a file in the form ``to``, and lines on how they fit. Raises CheckpointError."""
    own, match = own_arrays(network, file)
    released = to == "fluid"
    variables = variables_of(network, released) | buffers_of(network, released)
    arrays = {variables[name].name: variables[name].layout.to_released(value) for name, value in own.items()}
    for name, value in arrays.items():
        if value.dtype.newbyteorder("<") not in map(np.dtype, DTYPES.values()):
            raise CheckpointError(f"{file.path}: {name} is {value.dtype}, which has no place in weights")
    return arrays, match.lines()


def write_pickle(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A pickled dict, which ``paddle.load`` reads. Raises OSError."""
    with atomic_write(path) as file:
        pickle.dump({name: np.ascontiguousarray(value) for name, value in arrays.items()}, file, protocol=4)


if __name__ == "__main__":
    run_program(main)
