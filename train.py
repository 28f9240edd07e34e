"""Train a model.

python train.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --save-dir=checkpoints
"""

from collections.abc import Callable
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import EvaluationLoader, TrainingLoader
from datareader.sharding import Shard
from tools.config.flags import (
    add_override,
    build_parser,
    parse_count,
    parse_decay,
    parse_norm,
    parse_positive,
    parse_text,
    read_config,
    run,
)
from tools.distributed.launcher import Processes, follow_launcher, launch, plan_processes
from tools.errors import CheckpointError, ConfigError
from tools.files.atomic import atomic_write
from tools.registry import MODELS
from tools.run_setup import check_batch_size, open_dataset, start_paddle
from tools.runtime.log import RunLog, log_folder
from tools.training.checkpoint import CheckpointStore


def parse_args():
    parser = build_parser(__doc__, sections=("TRAIN", "VALID"))
    add = parser.add_argument
    add_override(parser, "--learning-rate", ("TRAIN",), "learning_rate", float, "learning rate at the start")
    add_override(parser, ("--epoch-num", "--epoch"), ("TRAIN",), "epoch", parse_count, "epochs, all told")
    add_override(parser, "--seed", ("TRAIN",), "seed", parse_count, "seed of weights, order, frames and dropout")
    add(
        "--pretrain",
        type=parse_text,
        metavar="PATH",
        help="start from these weights, as --weights takes them; another number of classes skips the classifier",
    )
    add(
        "--resume",
        type=parse_text,
        metavar="PATH",
        help="resume from a checkpoint folder, of 2019 too, or auto: from the latest in --save-dir",
    )
    add("--save-dir", type=parse_text, default="checkpoints", metavar="DIR", help="where checkpoints and logs go")
    add(
        "--save-every", type=parse_count, default=0, metavar="STEPS", help="save inside an epoch too; 0: on Ctrl-C only"
    )
    add("--keep", type=parse_count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add("--valid-interval", type=parse_count, default=1, metavar="EPOCHS", help="epochs between validations; 0: none")
    add("--valid-first", action="store_true", help="validate before the first step too, for the score of chance")
    add("--log-interval", type=parse_count, default=10, metavar="STEPS", help="steps between log lines; 0: none")
    add(
        "--accumulate",
        type=parse_positive,
        default=1,
        metavar="N",
        help="parts a process computes its shard of a batch in",
    )
    add(
        "--amp",
        choices=("off", "bf16", "fp16"),
        default="off",
        help="compute with 16-bit numbers where it does no harm (GPU)",
    )
    add("--sync-bn", action="store_true", help="batch normalisation over the videos of all processes (GPU)")
    add("--grad-clip", type=parse_norm, default=0.0, metavar="NORM", help="largest norm of all gradients; default: any")
    add("--ema", type=parse_decay, metavar="DECAY", help="also keep, score and save averaged weights; 0.999 is usual")
    add("--no-use-pyreader", action="store_true", help="of 2019: accepted, no effect")
    add("--no-memory-optimize", action="store_true", help="of 2019: accepted, no effect")
    args = parser.parse_args()
    if args.pretrain and args.resume:
        parser.error("--pretrain begins a run and --resume continues one; give one of them")
    if args.valid_first and not args.valid_interval:
        parser.error("--valid-first needs validation; --valid-interval 0 turns it off")
    return args


def main() -> int:
    args = parse_args()
    name = MODELS.canonical_name(args.model_name)
    needs = ["MODEL", "TRAIN"] + ["VALID"] * bool(args.valid_interval)
    spec = MODELS.get(name)()
    config = read_config(args, spec, name, needs)
    processes = plan_processes(args.nproc, config.TRAIN.use_gpu if args.use_gpu is None else args.use_gpu)
    check_batch_size(config.TRAIN.batch_size, processes.world, args.accumulate)
    if processes.to_start:
        open_datasets(args, config, name, log=lambda text: None)  # so that what is wrong is told once
        return launch(processes, log_folder(args.save_dir))
    follow_launcher()
    store = CheckpointStore(args.save_dir, name, args.keep) if processes.rank == 0 else None
    log = RunLog(args.save_dir, f"{name}_train", rank=processes.rank if processes.world > 1 else None)
    for notice in config.notices:
        log.line(notice)
    for flag in ("no_use_pyreader", "no_memory_optimize"):
        if getattr(args, flag):
            log.line(f"--{flag.replace('_', '-')} has no effect any more")

    def look():
        return open_datasets(args, config, name, log.line)

    datasets = look() if processes.world == 1 else None  # what is wrong does not wait for Paddle
    device = start_paddle(args.threads, args.use_gpu, config.TRAIN.use_gpu, log.line, processes.on_this_machine)
    fit_flags_to(device, args, log)
    from tools.distributed.group import connect  # these import Paddle
    from tools.training.trainer import Training

    with connect(device, log.line) as group:
        datasets = datasets or look()  # of several processes all hear what is wrong with the files of one
        loaders = build_loaders(args, config, *datasets, processes, as_float=device == "cpu")
        training = Training(args, config, spec, log, store, group, *loaders)
        training.begin()
        if store:
            write_settings(store.save_dir / f"{name}_config.txt", config)
        return training.run()


def open_datasets(args, config, name: str, log: Callable[[str], None]):
    options = {"skip_broken": args.skip_broken, "log": log}
    train_set = open_dataset(name, config, "TRAIN", training=True, **options)
    valid_set = open_dataset(name, config, "VALID", training=False, **options) if args.valid_interval else None
    return train_set, valid_set


def fit_flags_to(device: str, args, log: RunLog) -> None:
    """What only a GPU can do: --amp has no effect without one. Raises ConfigError for --sync-bn."""
    if device == "gpu":
        return
    if args.amp != "off":
        log.line(f"--amp {args.amp} has no effect without a GPU")
        args.amp = "off"
    if args.sync_bn:
        raise ConfigError("--sync-bn needs GPUs; without it each process normalises by the videos of its own")


def build_loaders(args, config, train_set, valid_set, processes: Processes, as_float: bool):
    train, shard = config.TRAIN, Shard(processes.rank, processes.world)
    options = {"as_float": as_float, "shard": shard}
    train_loader = TrainingLoader(
        train_set,
        train.batch_size,
        accumulate=args.accumulate,
        seed=train.seed,
        num_workers=train.num_reader_threads,
        **options,
    )
    if not valid_set:
        return train_loader, None
    valid = config.VALID
    size = -(-valid.batch_size // (shard.world * args.accumulate))  # so that it fits where training does
    return train_loader, EvaluationLoader(valid_set, size, num_workers=valid.num_reader_threads, **options)


def write_settings(path: Path, config) -> None:
    try:
        with atomic_write(path) as file:
            file.write(config.text().encode())
    except OSError as error:
        raise CheckpointError(f"{path} could not be written: {error}") from None


if __name__ == "__main__":
    run(main)
