"""Measure the speed and memory of a model on this machine, on synthetic inputs.

python -m tools.benchmark --model-name AttentionCluster
python -m tools.benchmark --model-name TSN [--only-reading]

Speeds are medians. What is compared is timed in turn, so that the ratio holds whatever else the machine is doing. The
network of a model on features is compared with a plain formulation of the same network (tests/reference.py). For a
model on clips, reading is compared with the way of 2019 on one core (tests/reference_readers.py: decode every frame,
PIL, a growing float array), and inference with the network as it trains, with Paddle's settings as it ships and with
those of this project.

python -m tools.benchmark --model-name TSN --against torch,onnxruntime

measures CPU seconds of the network of any model beside the same one in PyTorch and ONNX Runtime, with the same weights
(tests/peers/), each in a process of its own on the same cores, in turn; and beside what its multiply-adds would take at
the speed of the fastest matrix product of NumPy and Paddle, the arithmetic floor.

python -m tools.benchmark --model-name TSN --scaling

measures seconds of the network with all threads and with one, in turn.

python -m tools.benchmark --model-name AttentionCluster --nproc 2

times training steps of so many processes on this machine, whose gradients travel during backward, as between machines,
and behind it, in turn. What that saves depends on the network: tools/speed.md says how to slow that of one machine.

python -m tools.benchmark --simulate-world 64

plans an epoch of YouTube-8M and Kinetics-400 for so many processes, on lists of their size without the data.

python -m tools.benchmark --extraction

measures features of videos as YouTube-8M has them, beside the same networks in PyTorch and ONNX Runtime where these are
installed.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import argparse
from dataclasses import dataclass

import models  # noqa: F401  (registers the specs)
from tools.benchmark.clips import measure_clips
from tools.benchmark.exchange import measure_exchange
from tools.benchmark.extraction import measure_extraction
from tools.benchmark.features import measure_features
from tools.benchmark.peers import Modes, measure_against
from tools.benchmark.scaling import measure_scaling
from tools.benchmark.simulation import NUM_CLIPS, NUM_RECORDS, NUM_SHARDS, simulate_world
from tools.benchmark.timing import show_figures
from tools.benchmark.workers import PEERS
from tools.config.flags import PROJECT, parse_text, parse_threads, whole_number
from tools.config.parser import Group, Parser, make_parser
from tools.distributed.launcher import launch, plan_processes
from tools.registry import MODELS
from tools.runtime.cpu import can_pin, has_amx, name_vectors, usable_cores
from tools.runtime.entry import run_program
from tools.runtime.environment import processor_name
from tools.runtime.log import start_log

BATCH_SIZES = {"features": 64, "clips": 4}  # by the kind of data


@dataclass(frozen=True)
class BenchmarkOptions:
    """model_name: as published, None for a simulation or extraction. simulate_world: processes, None for a model.

    config_path: None for the model's own. threads: None for all cores. nproc: None to measure no exchange of gradients.
    against: of PEERS, () for none. scaling: measure several threads against one. modes: of the networks of both.
    json_path: None to write no file.
    """

    model_name: str | None
    simulate_world: int | None
    extraction: bool
    config_path: str | None
    batch_size: int
    repeat: int
    threads: int | None
    only_reading: bool
    nproc: int | None
    against: tuple[str, ...]
    scaling: bool
    modes: Modes
    json_path: str | None


def parse_args() -> BenchmarkOptions:
    parser = make_parser(__doc__, prog="python -m tools.benchmark")
    add = parser.group(Group.MODEL).add_argument
    add("--model-name", type=parse_text, metavar="NAME", help=f"{', '.join(MODELS.names())}; case is ignored")
    add("--config", type=parse_text, metavar="FILE", help="default: the model's own in configs/")
    add_tasks(parser)
    parser.group(Group.DATA).add_argument(
        "--batch-size",
        type=whole_number(1),
        metavar="N",
        help=f"videos in a batch; default: {BATCH_SIZES['features']} for models on features and for each process of a "
        f"simulation, {BATCH_SIZES['clips']} for the training step of models on clips",
    )
    add = parser.group(Group.SPEED).add_argument
    add("--threads", type=parse_threads, metavar="N", help="CPU threads of the network; default: all available cores")
    add(
        "--conv-engine",
        choices=("paddle", "onednn"),
        default="paddle",
        help="what computes convolutions of training with --against or --scaling, as in train.py",
    )
    add("--amp", choices=("off", "bf16"), default="off", help="with --conv-engine onednn, as in train.py")
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="of inference with --against or --scaling, as in "
        "infer.py")  # fmt: skip
    parser.group(Group.OUTPUT).add_argument(
        "--json", type=parse_text, metavar="FILE", help="also write the figures here"
    )
    args = parser.parse_args()
    if [bool(args.model_name), bool(args.simulate_world), args.extraction].count(True) != 1:
        parser.error("give --model-name, --simulate-world or --extraction, one of them")
    name = MODELS.canonical_name(args.model_name) if args.model_name else None
    data = MODELS.get(name).data if name else "features"
    options = BenchmarkOptions(
        name, args.simulate_world, args.extraction, args.config, args.batch_size or BATCH_SIZES[data], args.repeat,
        args.threads, args.only_reading, args.nproc, args.against, args.scaling,
        Modes(args.conv_engine, args.amp, args.precision), args.json,
    )  # fmt: skip
    if refusal := describe_conflict(options, data):
        parser.error(refusal)
    return options


def add_tasks(parser: Parser) -> None:
    """What is measured."""
    add = parser.group(Group.TASK).add_argument
    add(
        "--simulate-world",
        type=whole_number(1),
        metavar="N",
        help="in place of a model: what N processes need to plan an epoch of data sets of full size",
    )
    add("--extraction", action="store_true", help="in place of a model: features of videos")
    add("--repeat", type=whole_number(1), default=5, metavar="N", help="timed runs of each, after one that is not")
    add("--only-reading", action="store_true", help="leave the network out; for models on clips")
    add("--nproc", type=whole_number(2), metavar="N", help="measure training of N processes, and nothing else")
    add(
        "--against",
        type=parse_peers,
        default=(),
        metavar="PEERS",
        help=f"measure the network beside that of other frameworks alone, as {','.join(PEERS)}; these are installed by "
        "requirements-benchmark.txt",
    )
    add("--scaling", action="store_true", help="measure the network alone, with all threads and with one")


def describe_conflict(options: BenchmarkOptions, data: str) -> str:
    """What is wrong with flags that do not go together, "" where all do. data: of the model."""
    name, is_network = options.model_name, bool(options.against or options.scaling)
    if options.only_reading and data != "clips":
        return f"--only-reading is for models on clips, not for {name or 'anything else'}"
    if options.against and (not name or options.only_reading):
        return "--against compares the network of a model; give --model-name, and not --only-reading"
    if options.scaling and (not name or options.only_reading or options.against):
        return "--scaling measures the network of a model; give --model-name, not --only-reading or --against"
    if options.modes != Modes() and not is_network:
        return "--conv-engine, --amp and --precision are of what --against or --scaling measures; give one of them"
    if options.modes.amp != "off" and (options.modes.conv_engine != "onednn" or not has_amx()):
        return f"--amp {options.modes.amp} needs --conv-engine onednn, and a processor with amx_bf16"
    if options.modes.conv_engine != "paddle" and data != "clips":
        return f"--conv-engine {options.modes.conv_engine} trains a ResNet, which {name} has not"
    if options.modes.precision != "fp32" and data != "clips":
        return f"--precision {options.modes.precision} is for models on clips, not for {name}"
    if options.nproc and (not name or options.only_reading or is_network):
        return "--nproc trains a model; give --model-name, not --only-reading, --against or --scaling"
    return ""


def parse_peers(text: str) -> tuple[str, ...]:
    """Names of PEERS between commas, each once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PEERS)}")
    return names


def benchmark_clips(name: str, path: str, title: str, options: BenchmarkOptions) -> None:
    sizes = {"batch_size": options.batch_size, "repeat": options.repeat, "threads": options.threads}
    figures = measure_clips(name, path, **sizes, only_reading=options.only_reading)
    show_figures(f"{title}, median of {options.repeat}", figures, options.json_path, {"model": name})


def benchmark_features(name: str, path: str, title: str, options: BenchmarkOptions) -> None:
    size = options.batch_size
    figures = measure_features(name, path, batch_size=size, repeat=options.repeat, threads=options.threads)
    title = f"{title}, batches of {size}, median of {options.repeat}"
    show_figures(title, figures, options.json_path, {"model": name, "batch_size": size})


BENCHMARKS = {"clips": benchmark_clips, "features": benchmark_features}  # by the kind of data


def benchmark_model(options: BenchmarkOptions) -> None:
    name, spec = options.model_name, MODELS.get(options.model_name)
    path = options.config_path or str(PROJECT / spec.default_config)
    is_alone = options.against or options.scaling
    measure = benchmark_network if is_alone else BENCHMARKS[spec.data]
    measure(name, path, f"{name}, {options.config_path or spec.default_config}", options)


def benchmark_network(name: str, path: str, title: str, options: BenchmarkOptions) -> None:
    threads = options.threads or usable_cores()
    sizes = {"batch_size": options.batch_size, "repeat": options.repeat, "threads": threads}
    sizes |= {"modes": options.modes}
    if options.scaling:
        figures, time = measure_scaling(name, path, **sizes), "seconds"
    else:
        figures, time = measure_against(name, path, options.against, **sizes), "CPU time"
    if options.modes != Modes():
        title = f"{title}, {options.modes}"
    cores = f"{threads} core{'s' * (threads > 1)}" if can_pin() else f"threads: {threads}, not pinned to cores"
    machine = f"{processor_name()}, {name_vectors()}, {cores}"
    title = f"{title}, {time}, median of {options.repeat}; {machine}"
    show_figures(title, figures, options.json_path, {"model": name, "machine": machine})


def benchmark_exchange(options: BenchmarkOptions) -> int:
    """Gives the exit code: here the processes are started and watched, and each of them comes here again."""
    name, size, count = options.model_name, options.batch_size, options.nproc
    processes = plan_processes(count, use_gpu=False)
    if processes.to_start:
        return launch(processes, None)
    config = options.config_path or MODELS.get(name).default_config
    path = options.config_path or str(PROJECT / config)
    threads = options.threads or max(1, usable_cores() // count)
    figures = measure_exchange(name, path, batch_size=size, repeat=options.repeat, threads=threads)
    if processes.rank == 0:
        title = f"{name}, {config}, {count} processes with batches of {size} each, median of {options.repeat}"
        show_figures(title, figures, options.json_path, {"model": name, "batch_size": size, "processes": count})
    return 0


def benchmark_world(options: BenchmarkOptions) -> None:
    world, size = options.simulate_world, options.batch_size
    figures = simulate_world(world, size)
    sizes = f"{NUM_RECORDS:,} records in {NUM_SHARDS:,} files, {NUM_CLIPS:,} clips"
    title = f"{sizes}; {world} processes with batches of {size} each"
    show_figures(title, figures, options.json_path, {"world": world})


def benchmark_extraction(options: BenchmarkOptions) -> None:
    threads = options.threads or usable_cores()
    figures, missing = measure_extraction(options.repeat, threads)
    title = f"features as YouTube-8M has them, median of {options.repeat}"
    show_figures(title, figures, options.json_path, {"threads": threads})
    for line in missing:
        print(line)


def main() -> int:
    options = parse_args()
    start_log()
    if options.nproc:
        return benchmark_exchange(options)
    if options.simulate_world:
        benchmark_world(options)
    elif options.extraction:
        benchmark_extraction(options)
    else:
        benchmark_model(options)
    return 0


if __name__ == "__main__":
    run_program(main)
