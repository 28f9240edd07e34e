"""Flags of the scripts, and what they say as plain values. Imports nothing that is slow: ``--help`` has to be quick."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.config.load import Config, Override, load_config, parse_set
from tools.config.parser import Group, Parser
from tools.errors import ConfigError
from tools.registry import MODELS

PROJECT = Path(__file__).resolve().parents[2]
_MOST_DIGITS = 20
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


# Values


def parse_switch(text: str) -> bool:
    """true/false/1/0/yes/no in any case. 2019: every text but the empty one meant true."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of true, false, 1, 0, yes, no") from None


def parse_text(text: str) -> str:
    """Anything but nothing, which is what an unset shell variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def whole_number(least: int = 0, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers, ``least`` or more, and up to ``most`` where that is given."""
    wanted = f"whole number of {least} or more" if most is None else f"whole number from {least} to {most}"

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a {wanted}")
        if len(text) >= _MOST_DIGITS:
            raise argparse.ArgumentTypeError(
                f"{text[:40]} is too large; a {wanted} has fewer than {_MOST_DIGITS} digits"
            )
        number = int(text)
        if not least <= number <= (number if most is None else most):
            raise argparse.ArgumentTypeError(f"{text} is not a {wanted}")
        return number

    return parse


def real_number(above: float, below: float = math.inf, *, or_zero: bool = False) -> Callable[[str], float]:
    """A parser of finite numbers between two bounds, which they may not reach. or_zero: 0 is allowed too."""
    wanted = f"number above {above:g}" + ("" if math.isinf(below) else f" and below {below:g}") + ", or 0" * or_zero

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (above < number < below or (or_zero and number == 0)):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a {wanted}")
        return number

    return parse


parse_threads = whole_number(1, 1024)


# Flags that several programs have


@dataclass(frozen=True)
class ConfigSource:
    """Where a config comes from, and the command line's changes to it in the order in which they hold.

    path: None for the model's own.
    """

    path: str | None
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True)
class RunOptions:
    """What the flags say that ``add_run_flags`` adds.

    use_gpu, threads, nproc, weights_dir: None where it was not said.
    """

    model_name: str | None
    config: ConfigSource
    use_gpu: bool | None = None
    threads: int | None = None
    nproc: int | None = None
    skip_broken: int = 0
    weights_dir: str | None = None
    offline: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class EngineOptions:
    """What the flags say that ``add_engine_flags`` adds."""

    engine: str = "auto"
    precision: str = "fp32"
    export: str | None = None  # the folder of an exported model, in place of weights

    def describe(self) -> list[tuple[str, str]]:
        engine = "predictor" if self.export and self.engine == "auto" else self.engine
        return [("engine", engine), ("precision", self.precision)]


def add_run_flags(parser: Parser, sections: tuple[str, ...]) -> None:
    """The flags that the scripts share. sections: of the config, where --batch-size and --num-workers go."""
    model, data = parser.group(Group.MODEL).add_argument, parser.group(Group.DATA).add_argument
    speed = parser.group(Group.SPEED).add_argument
    model(
        "--model-name",
        type=parse_text,
        metavar="NAME",
        help=f"{', '.join(MODELS.names())}; case is ignored; default: what the config or the checkpoint says",
    )
    model(
        "--config",
        type=parse_text,
        metavar="FILE",
        help="config, .txt (INI) or .yaml; default: the model's in configs/, or the settings of the checkpoint",
    )
    add_set_flag(parser, "TRAIN.seed=1")
    add_cache_flags(parser, "released")
    batch = ("--batch-size", sections, "batch_size", whole_number(), "videos in a batch")
    add_override(parser, Group.DATA, *batch)
    data(
        "--skip-broken",
        type=whole_number(),
        default=0,
        metavar="N",
        help="skip up to N broken records and list them",
    )
    add_device_flags(parser)
    speed(
        "--nproc",
        type=parse_threads,
        metavar="N",
        help="processes on this machine that share the work; default: one for each visible GPU, or else one",
    )
    workers = ("--num-workers", sections, "num_reader_threads", whole_number(), "threads that read ahead, 0 for none")
    add_override(parser, Group.SPEED, *workers)
    parser.set_defaults(verbose=False)


def add_cache_flags(parser: Parser, kind: str) -> None:
    """Where weights are kept that are fetched. kind: what they are called, such as "released"."""
    add = parser.group(Group.MODEL).add_argument
    add(
        "--weights-dir",
        type=parse_text,
        metavar="DIR",
        help=f"where {kind} weights are kept; default: $PADDLE_WEIGHTS_DIR, or ~/.paddle/weights",
    )
    add("--offline", action="store_true", help=f"do not fetch {kind} weights: use those that are there")


def add_device_flags(parser: Parser) -> None:
    add = parser.group(Group.SPEED).add_argument
    add("--use-gpu", type=parse_switch, metavar="BOOL", help="true/false; default: a GPU if there is one")
    add("--threads", type=parse_threads, metavar="N", help="CPU threads for computing; default: all available cores")


def add_set_flag(parser: Parser, example: str) -> None:
    parser.set_defaults(overrides={})  # what the flags of add_override say
    parser.group(Group.MODEL).add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help=f"any key of the config, as often as needed: --set {example}",
    )


def add_verbose_flag(parser: Parser) -> None:
    """For programs that log."""
    parser.group(Group.OUTPUT).add_argument(
        "--verbose", action="store_true", help="show on the terminal too what otherwise is in log files only"
    )


def add_video_flag(parser: Parser) -> None:
    """--video, as ``datareader.named_clips`` finds what it names."""
    parser.group(Group.DATA).add_argument(
        "--video",
        action="extend",
        nargs="+",
        type=parse_text,
        default=[],
        metavar="PATH",
        help="videos, folders of videos, and quoted patterns such as 'clips/*.mkv', in place of a list",
    )


def add_weights_flag(parser: Parser) -> None:
    """What test.py and infer.py run; ``tools.weights.resolve`` goes by it."""
    parser.group(Group.MODEL).add_argument(
        "--weights",
        type=parse_text,
        metavar="PATH",
        help="a checkpoint folder, a folder or file of 2019, or a .pdparams file; default: the released weights",
    )


def add_report_flag(parser: Parser, usual: str) -> None:
    """--report: False without it, True where FILE is left out. usual: where the page goes then."""
    parser.group(Group.OUTPUT).add_argument(
        "--report",
        nargs="?",
        type=parse_text,
        default=False,
        const=True,
        metavar="FILE",
        help=f"also write a page to look at, FILE.html; without FILE: {usual}",
    )


def add_engine_flags(parser: Parser) -> None:
    """How test.py and infer.py compute; ``tools.inference.load`` goes by it."""
    add = parser.group(Group.SPEED).add_argument
    add(
        "--engine",
        choices=("auto", "onednn", "predictor", "onnxruntime", "dygraph"),
        default="auto",
        help="what runs the network: the library oneDNN its ResNet (onednn), Paddle's inference engine an exported "
        "program (predictor), ONNX Runtime a converted one, or the network as in training (dygraph); auto: the first "
        "where a model has a ResNet and no GPU is used, else the last",
    )
    add(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16: faster on processors with bf16, changes answers",
    )
    parser.group(Group.MODEL).add_argument(
        "--export",
        type=parse_text,
        metavar="FOLDER",
        help="run the exported model that python -m tools.export has written, in place of --weights",
    )


def add_override(parser: Parser, group: Group, flag, sections: tuple[str, ...], key: str, type_, text: str) -> None:
    """A flag that stands for a config key, in one section or several; without it the config's value holds."""
    keys = " and ".join(f"{section}.{key}" for section in sections)
    flags = [flag] if isinstance(flag, str) else flag

    class Keep(argparse.Action):
        def __call__(self, parser, namespace, value, option_string=None):
            chosen = {(section, key): Override(section, key, value, flag=option_string) for section in sections}
            namespace.overrides = namespace.overrides | chosen

    parser.group(group).add_argument(
        *flags,
        action=Keep,
        type=type_,
        dest=key,
        default=argparse.SUPPRESS,
        metavar=key.upper(),
        help=f"{text}; default: {keys} of the config",
    )


# What they say


def read_config_source(args: argparse.Namespace) -> ConfigSource:
    """What --config, the flags of ``add_override`` and --set say. Raises ConfigError for a --set of another form."""
    return ConfigSource(args.config, (*args.overrides.values(), *map(parse_set, args.set)))


def read_run_options(args: argparse.Namespace) -> RunOptions:
    return RunOptions(
        args.model_name,
        read_config_source(args),
        use_gpu=args.use_gpu,
        threads=args.threads,
        nproc=args.nproc,
        skip_broken=args.skip_broken,
        weights_dir=args.weights_dir,
        offline=args.offline,
        verbose=args.verbose,
    )


def read_engine_options(args: argparse.Namespace) -> EngineOptions:
    """Raises ConfigError for an exported model beside weights."""
    if args.export is not None and args.weights is not None:
        raise ConfigError("--export holds its weights; give --export or --weights, one of them")
    return EngineOptions(args.engine, args.precision, args.export)


def read_config(source: ConfigSource, spec, model_name: str, needs: list[str], *, check: bool = True) -> Config:
    """The config, by default the model's own, with the command line's changes. needs, check: as in ``load_config``."""
    path = source.path or spec.default_config
    if not source.path and not Path(path).exists():
        path = str(PROJECT / path)
    return load_config(path, spec.schema, needs, model_name, source.overrides, check=check)
