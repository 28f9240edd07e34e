"""Train a model.

python train.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --save-dir=checkpoints
"""

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    from tools.runtime.beginning import begin_program

    begin_program()

import argparse
import logging
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.class_names import find_class_names
from datareader.loader import EvaluationLoader, TrainingLoader
from datareader.sharding import Shard, check_batch_size
from tools.config.flags import (
    RunOptions,
    add_override,
    add_run_flags,
    add_verbose_flag,
    parse_text,
    read_run_options,
    real_number,
    whole_number,
)
from tools.config.parser import Group, Parser, make_parser
from tools.errors import CheckpointError, ConfigError
from tools.files.atomic import atomic_write
from tools.run_setup import Run, launch_processes, plan_run
from tools.runtime.cpu import has_amx
from tools.runtime.entry import run_program
from tools.training.checkpoint import CheckpointStore
from tools.training.options import TrainingOptions
from tools.training.visualdl import require_visualdl, write_scalars
from tools.weights.files import recognise
from tools.weights.self_description import describe_itself

log = logging.getLogger(__name__)
_OF_FREEZE = {"unfreeze_at", "cache_views", "cache_size", "cache_dir"}  # fields that say how, and nothing without it


def parse_args() -> tuple[RunOptions, TrainingOptions, list[str]]:
    """The run, the training, and flags of 2019 that were given and have no effect."""
    parser = make_parser(__doc__)
    add_run_flags(parser, sections=("TRAIN", "VALID"))
    add_start_flags(parser)
    add_learning_flags(parser)
    add_freeze_flags(parser)
    add_saving_flags(parser)
    add_speed_flags(parser)
    add_verbose_flag(parser)
    add = parser.group(Group.OUTPUT).add_argument
    add("--log-interval", type=whole_number(), default=10, metavar="STEPS", help="steps between log lines; 0: none")
    add("--visualdl", type=parse_text, metavar="DIR", help="also write loss, rate and scores as scalars for VisualDL")
    parser.add_obsolete("--no-use-pyreader", "--no-memory-optimize")
    args = parser.parse_args()
    if args.pretrain and args.resume:
        parser.error("--pretrain begins a run and --resume continues one; give one of them")
    if args.resume_changed and not args.resume:
        parser.error("--resume-changed needs --resume, which names the checkpoint")
    if args.valid_first and not args.valid_interval:
        parser.error("--valid-first needs validation; --valid-interval 0 turns it off")
    if args.early_stop and not args.valid_interval:
        parser.error("--early-stop needs validation; --valid-interval 0 turns it off")
    said = {field.name: vars(args)[field.name] for field in fields(TrainingOptions) if field.name in vars(args)}
    behind = [f"--{name.replace('_', '-')}" for name in said if name in _OF_FREEZE]
    if behind and not args.freeze:
        parser.error(f"{', '.join(behind)}: only together with --freeze backbone")
    given = {"--no-use-pyreader": args.no_use_pyreader, "--no-memory-optimize": args.no_memory_optimize}
    return read_run_options(args), TrainingOptions(**said), [flag for flag, is_given in given.items() if is_given]


# Each flag below, as each of ``add_run_flags``, is a field of TrainingOptions where there is one of its name.


def add_start_flags(parser: Parser) -> None:
    add = parser.group(Group.START).add_argument
    add("--pretrain", type=parse_text, metavar="PATH", help="start from these weights, as --weights takes them, "
        "or from a ResNet of torchvision or timm; another number of classes skips the classifier")  # fmt: skip
    add("--resume", type=parse_text, metavar="PATH", help="resume from a checkpoint folder, of 2019 too, or auto: from "
        "the latest in --save-dir")  # fmt: skip
    add("--resume-changed", action="store_true", help="resume inside an epoch too where settings have changed")


def add_learning_flags(parser: Parser) -> None:
    """What changes what is learnt."""
    count, learning = whole_number(), Group.LEARNING
    rates, epochs = ("--learning-rate", "--lr"), ("--epoch-num", "--epoch", "--epochs")
    add_override(parser, learning, rates, ("TRAIN",), "learning_rate", float, "learning rate at the start")
    add_override(parser, learning, epochs, ("TRAIN",), "epoch", count, "epochs, all told")
    add_override(parser, learning, "--seed", ("TRAIN",), "seed", count, "seed of weights, order, frames and dropout")
    add = parser.group(learning).add_argument
    add("--accumulate", type=whole_number(1), default=1, metavar="N", help="split each process's batch into N micro-"
        "batches; one update for all of them")  # fmt: skip
    add("--grad-clip", type=real_number(0, or_zero=True), default=0.0, metavar="NORM", help="largest norm of all "
        "gradients; 0: any")  # fmt: skip
    add("--ema", type=real_number(0, 1), metavar="DECAY", help="also keep, score and save averaged weights; 0.999 is "
        "usual")  # fmt: skip
    add("--label-smoothing", type=real_number(0, 1, or_zero=True), default=0.0, metavar="EPS", help="move labels by "
        "EPS towards no answer, in the training's loss; 0.1 is usual, 0: not at all")  # fmt: skip
    add("--sync-bn", action="store_true", help="batch normalisation over the videos of all processes (GPU)")


def add_freeze_flags(parser: Parser) -> None:
    """Those of a backbone that stays as it is."""
    add = parser.group(Group.FREEZING).add_argument
    add("--freeze", choices=("backbone",), help="train what lies behind the ResNet of TSN or STNET alone; what that "
        "makes of each clip is computed once")  # fmt: skip
    add = partial(add, default=argparse.SUPPRESS)  # so that it shows what was given
    add("--unfreeze-at", type=whole_number(1), metavar="EPOCH", help="with --freeze, train everything from this epoch "
        "on; the first is 0")  # fmt: skip
    add("--cache-views", type=whole_number(), metavar="N", help="with --freeze, N augmented views of each clip, which "
        "take turns; 0: that of a test; default: 0")  # fmt: skip
    size = real_number(0, or_zero=True)
    add("--cache-size", type=size, metavar="GB", help="with --freeze, the most that is kept of what frozen backbones "
        "have computed, of all runs; 0: nothing; default: 10")  # fmt: skip
    add("--cache-dir", type=parse_text, metavar="DIR", help="where that is kept; default: ~/.paddle/features")


def add_saving_flags(parser: Parser) -> None:
    """When a run validates, ends and saves."""
    add, count = parser.group(Group.SAVING).add_argument, whole_number()
    add("--save-dir", type=parse_text, default="checkpoints", metavar="DIR", help="where checkpoints and logs go")
    add("--save-every", type=count, default=0, metavar="STEPS", help="save inside an epoch too; 0: on Ctrl-C only")
    add("--keep", type=count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add("--valid-interval", type=count, default=1, metavar="EPOCHS", help="epochs between validations; 0: none")
    add("--valid-first", action="store_true", help="validate before the first step too, for the score of chance")
    add("--early-stop", type=count, default=0, metavar="N", help="end after N validations without a better score; 0: "
        "never")  # fmt: skip


def add_speed_flags(parser: Parser) -> None:
    add = parser.group(Group.SPEED).add_argument
    add("--amp", choices=("off", "bf16", "fp16"), default="off", help="compute with 16-bit numbers where it does no "
        "harm (GPU; bf16 also with --conv-engine onednn on a CPU with amx_bf16)")  # fmt: skip
    add("--conv-engine", choices=("paddle", "onednn"), default="paddle", help="onednn: trains a ResNet faster (CPU)")


def main() -> int:
    options, training, obsolete = parse_args()
    needs = ["MODEL", "TRAIN"] + ["VALID"] * bool(training.valid_interval)
    run = plan_run(options, needs, gpu_wanted=lambda config: config.TRAIN.use_gpu)
    config, processes = run.config, run.processes
    check_batch_size(config.TRAIN.batch_size, processes.world, training.accumulate)
    if training.visualdl:
        require_visualdl(Path(training.visualdl))
    for path in (training.pretrain, training.resume):
        if path and path != "auto":
            recognise(path, run.name)  # what holds no weights is told before anything that takes long

    def open_inputs():
        return open_datasets(run, training)

    def check():
        CheckpointStore(training.save_dir, run.name).close()  # so is a folder in use
        open_inputs()

    code = launch_processes(run, check, training.save_dir)
    if code is not None:
        return code
    names, refused = find_class_names(config)
    companions = describe_itself(config, run.spec.schema, names)
    store = CheckpointStore(training.save_dir, run.name, training.keep, companions) if processes.rank == 0 else None
    run.start_log(training.save_dir, f"{run.name}_train")
    for line in [f"{flag} has no effect any more" for flag in obsolete]:
        log.info(line)
    if refused:
        log.info(f"checkpoints hold no class names: {refused}")
    datasets = open_inputs() if processes.world == 1 else None  # what is wrong does not wait for Paddle
    device = run.start_paddle(gpu_wanted=config.TRAIN.use_gpu)
    training = fit_to(device, training)
    from tools.distributed.group import connect  # these import Paddle
    from tools.training.report import RunReport
    from tools.training.trainer import Trainer

    scalars = Path(training.visualdl) if training.visualdl and store else None
    with write_scalars(scalars, run.name), connect(device) as group:
        datasets = datasets or open_inputs()  # of several processes all hear what is wrong with the files of one
        loaders = build_loaders(run, training, *datasets, as_float=device == "cpu")
        report = RunReport(store, run.spec, config, training, names, device)
        trainer = Trainer(run.name, run.spec, config, training, group, store, report, *loaders)
        trainer.begin()
        settings = Path(training.save_dir, f"{run.name}_config.txt")
        if store:
            write_settings(settings, config)
        code = trainer.run()
        if store and not code:
            for line in trainer.describe_end(settings):
                log.info(line)
        return code


def open_datasets(run: Run, training: TrainingOptions):
    """The data sets of training and of validation, None without the latter."""
    train_set = run.open_dataset("TRAIN", training=True)
    return train_set, run.open_dataset("VALID", training=False) if training.valid_interval else None


def fit_to(device: str, training: TrainingOptions) -> TrainingOptions:
    """What the device can do: --amp has no effect on most CPUs. Raises ConfigError for --sync-bn on any.

    And for --conv-engine onednn on a GPU.
    """
    if device == "gpu":
        if training.conv_engine == "onednn":
            raise ConfigError("--conv-engine onednn computes on the CPU; leave it out, or add --use-gpu false")
        return training
    if training.sync_bn:
        raise ConfigError("--sync-bn needs GPUs; without it each process normalises by the videos of its own")
    if training.amp == "bf16" and training.conv_engine == "onednn" and has_amx():
        return training
    if training.amp != "off":
        where = ", or --conv-engine onednn and a CPU with amx_bf16" if training.amp == "bf16" else ""
        log.info(f"--amp {training.amp} has no effect without a GPU{where}")
    return replace(training, amp="off")


def build_loaders(run: Run, training: TrainingOptions, train_set, valid_set, as_float: bool):
    """The loaders of training and of validation, None without the latter."""
    train, shard = run.config.TRAIN, Shard(run.processes.rank, run.processes.world)
    options = {"as_float": as_float, "shard": shard}
    train_loader = TrainingLoader(
        train_set,
        train.batch_size,
        accumulate=training.accumulate,
        seed=train.seed,
        num_workers=train.num_reader_threads,
        **options,
    )
    if not valid_set:
        return train_loader, None
    valid = run.config.VALID
    size = -(-valid.batch_size // (shard.world * training.accumulate))  # so that it fits where training does
    return train_loader, EvaluationLoader(valid_set, size, num_workers=valid.num_reader_threads, **options)


def write_settings(path: Path, config) -> None:
    try:
        with atomic_write(path) as file:
            file.write(config.text().encode())
    except OSError as error:
        raise CheckpointError(f"{path} could not be written: {error}") from None


if __name__ == "__main__":
    run_program(main, output_needed=False)
