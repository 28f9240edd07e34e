"""Flags of the scripts, and what they say as plain values. Imports nothing that is slow: ``--help`` has to be quick."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from tools.config.load import Config, Override, load_config, parse_set
from tools.errors import ConfigError
from tools.registry import MODELS
from tools.runtime.tables import Table
from tools.runtime.text import escape_controls

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


class _Help(Table):
    """Text for people who ask for it; Python from 3.14 on colours it."""

    __slots__ = ()
    kept = "\n\x1b"


class _Parser(argparse.ArgumentParser):
    """Tells of a wrong flag in one line, with the flag that was probably meant."""

    def error(self, message: str) -> NoReturn:
        hint = ""
        if message.startswith("unrecognized arguments"):
            known = [flag for action in self._actions for flag in action.option_strings]
            given = (word.partition("=")[0] for word in message.split() if word.startswith("-"))
            near = [match for flag in given for match in get_close_matches(flag.replace("_", "-"), known, n=1)]
            hint = f"; did you mean {', '.join(near)}? --help shows all flags" if near else "; --help shows all flags"
        self.exit(2, f"{self.prog}: error: {escape_controls(message)}{hint}\n")

    def _print_message(self, message: str, file=None) -> None:
        super()._print_message(_Help(message), file)


def make_parser(description: str, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser that shows its description as it is written.

    prog: what users type, for a program that is a package (Python before 3.14 shows __main__.py).
    """
    return _Parser(
        prog=prog, description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def make_run_parser(description: str, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser that shows the defaults of flags."""
    return _Parser(
        prog=prog, description=description, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def add_run_flags(parser: argparse.ArgumentParser, sections: tuple[str, ...]) -> None:
    """The flags that the scripts share. sections: of the config, where --batch-size and --num-workers go."""
    add = parser.add_argument
    add(
        "--model-name",
        type=parse_text,
        metavar="NAME",
        help=f"{', '.join(MODELS.names())}; case is ignored; default: what the config or the checkpoint says",
    )
    add(
        "--config",
        type=parse_text,
        metavar="FILE",
        help="config, .txt (INI) or .yaml; default: the model's in configs/",
    )
    add_override(parser, "--batch-size", sections, "batch_size", whole_number(), "videos in a batch")
    add("--use-gpu", type=parse_switch, metavar="BOOL", help="true/false; default: a GPU if there is one")
    add_override(
        parser, "--num-workers", sections, "num_reader_threads", whole_number(), "threads that read ahead, 0 for none"
    )
    add("--threads", type=parse_threads, metavar="N", help="CPU threads for computing; default: all available cores")
    add(
        "--nproc",
        type=parse_threads,
        metavar="N",
        help="processes on this machine that share the work; default: one for each visible GPU, or else one",
    )
    add(
        "--skip-broken",
        type=whole_number(),
        default=0,
        metavar="N",
        help="skip up to N broken records and list them",
    )
    add("--weights-dir", type=parse_text, metavar="DIR", help="where released weights are kept; ~/.paddle/weights")
    add("--offline", action="store_true", help="do not fetch released weights: use those that are there")
    parser.set_defaults(verbose=False)
    add_set_flag(parser, "TRAIN.seed=1")


def add_set_flag(parser: argparse.ArgumentParser, example: str) -> None:
    parser.set_defaults(overrides={})  # what the flags of add_override say
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help=f"any key of the config, as often as needed: --set {example}",
    )


def add_verbose_flag(parser: argparse.ArgumentParser) -> None:
    """For programs that log."""
    parser.add_argument(
        "--verbose", action="store_true", help="show on the terminal too what otherwise is in log files only"
    )


def add_video_flag(parser: argparse.ArgumentParser) -> None:
    """--video, as ``datareader.named_clips`` finds what it names."""
    parser.add_argument(
        "--video",
        action="extend",
        nargs="+",
        type=parse_text,
        default=[],
        metavar="PATH",
        help="videos, folders of videos, and quoted patterns such as 'clips/*.mkv', in place of a list",
    )


def add_weights_flag(parser: argparse.ArgumentParser) -> None:
    """What test.py and infer.py run; ``tools.weights.resolve`` goes by it."""
    parser.add_argument(
        "--weights",
        type=parse_text,
        metavar="PATH",
        help="a checkpoint folder, a folder or file of 2019, or a .pdparams file; default: the released weights",
    )


def add_report_flag(parser: argparse.ArgumentParser, usual: str) -> None:
    """--report: False without it, True where FILE is left out. usual: where the page goes then."""
    parser.add_argument(
        "--report",
        nargs="?",
        type=parse_text,
        default=False,
        const=True,
        metavar="FILE",
        help=f"also write a page to look at, FILE.html; without FILE: {usual}",
    )


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """How test.py and infer.py compute; ``tools.inference.load`` goes by it."""
    parser.add_argument(
        "--engine",
        choices=("auto", "dygraph", "predictor", "onnxruntime"),
        default="auto",
        help="what runs the network: Paddle's inference engine on an exported program (predictor), ONNX Runtime on a "
        "converted one, or the network as in training (dygraph); auto: the first where a model can be exported, no GPU "
        "is used, and there are so many videos that it pays, else the last",
    )
    parser.add_argument(
        "--export",
        type=parse_text,
        metavar="FOLDER",
        help="run the exported model that python -m tools.export has written, in place of --weights",
    )
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: faster with the predictor, changes answers"
    )


def add_override(parser, flag, sections: tuple[str, ...], key: str, type_: Callable, text: str) -> None:
    """A flag that stands for a config key, in one section or several; without it the config's value holds."""
    keys = " and ".join(f"{section}.{key}" for section in sections)
    flags = [flag] if isinstance(flag, str) else flag

    class Keep(argparse.Action):
        def __call__(self, parser, namespace, value, option_string=None):
            chosen = {(section, key): Override(section, key, value, flag=option_string) for section in sections}
            namespace.overrides = namespace.overrides | chosen

    parser.add_argument(
        *flags,
        action=Keep,
        type=type_,
        dest=key,
        default=argparse.SUPPRESS,
        metavar=key.upper(),
        help=f"{text} ({keys})",
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
