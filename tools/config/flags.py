"""Flags of the three scripts, and how they end. Imports nothing that is slow: ``--help`` has to be quick."""

import argparse
import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tools.config.load import Config, Override, load_config, parse_set
from tools.errors import ZooError
from tools.registry import MODELS

PROJECT = Path(__file__).resolve().parents[2]
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse_switch(text: str) -> bool:
    """true/false/1/0/yes/no in any case. 2019: every text but the empty one meant true."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of true, false, 1, 0, yes, no") from None


def parse_count(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number of 0 or more")
    return int(text)


def parse_text(text: str) -> str:
    """Anything but nothing, which is what an unset shell variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def parse_threads(text: str) -> int:
    """A number of threads, 1 to 1024."""
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1024")
    return int(text)


def parse_positive(text: str) -> int:
    """A whole number, 1 or more."""
    if not parse_count(text):
        raise argparse.ArgumentTypeError("0 is not a whole number of 1 or more")
    return int(text)


def parse_norm(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0")
    return value


def parse_decay(text: str) -> float:
    """A number between 0 and 1, such as 0.999."""
    value = parse_norm(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not below 1; 0.999 is usual")
    return value


def build_parser(description: str, sections: tuple[str, ...], name_needed: bool = True) -> argparse.ArgumentParser:
    """The flags that the scripts share.

    sections: of the config, where --batch-size and --num-workers go. name_needed: whether --model-name has to be
    given.
    """
    parser = argparse.ArgumentParser(
        description=description, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add(
        "--model-name",
        required=name_needed,
        type=parse_text,
        metavar="NAME",
        help=f"{', '.join(MODELS.names())}; case is ignored",
    )
    add(
        "--config",
        type=parse_text,
        metavar="FILE",
        help="config, .txt (INI) or .yaml; default: the model's in configs/",
    )
    add_override(parser, "--batch-size", sections, "batch_size", parse_count, "videos in a batch")
    add("--use-gpu", type=parse_switch, metavar="BOOL", help="true/false; default: a GPU if there is one")
    add_override(
        parser, "--num-workers", sections, "num_reader_threads", parse_count, "threads that read ahead, 0 for none"
    )
    add("--threads", type=parse_threads, metavar="N", help="CPU threads for computing; default: all available cores")
    add(
        "--nproc",
        type=parse_threads,
        metavar="N",
        help="processes on this machine that share the work; default: one for each visible GPU, or else one",
    )
    add("--skip-broken", type=parse_count, default=0, metavar="N", help="skip up to N broken records and list them")
    add("--weights-dir", type=parse_text, metavar="DIR", help="where released weights are kept; ~/.paddle/weights")
    add("--offline", action="store_true", help="do not fetch released weights: use those that are there")
    add(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="any key of the config, as often as needed: --set TRAIN.seed=1",
    )
    return parser


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """How test.py and infer.py compute; ``tools.run_setup.load_network`` goes by it."""
    parser.add_argument(
        "--engine",
        choices=("auto", "dygraph", "predictor"),
        default="auto",
        help="what runs the network: Paddle's inference engine on an exported program (predictor), or the network as "
        "in training (dygraph); auto: the former where a model can be exported and no GPU is used",
    )
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: faster with the predictor, changes answers"
    )


def add_override(parser, flag, sections: tuple[str, ...], key: str, type_: Callable, text: str) -> None:
    """A flag that stands for a config key, in one section or several; the config holds when it is left out."""
    keys = " and ".join(f"{section}.{key}" for section in sections)
    flags = [flag] if isinstance(flag, str) else flag

    class Keep(argparse.Action):
        def __call__(self, parser, namespace, value, option_string=None):
            chosen = {**(getattr(namespace, "overrides", None) or {})}
            chosen.update({(section, key): Override(section, key, value, flag=option_string) for section in sections})
            namespace.overrides = chosen

    parser.add_argument(
        *flags,
        action=Keep,
        type=type_,
        dest=key,
        default=argparse.SUPPRESS,
        metavar=key.upper(),
        help=f"{text} ({keys})",
    )


def read_config(args: argparse.Namespace, spec, model_name: str, needs: list[str]) -> Config:
    """The config, by default the model's own, with the command line's changes: first the named flags, then --set."""
    named = list((getattr(args, "overrides", None) or {}).values())
    path = args.config or spec.default_config
    if not args.config and not Path(path).exists():
        path = str(PROJECT / path)
    return load_config(path, spec.schema, needs, model_name, [*named, *map(parse_set, args.set)])


def run(main: Callable[[], int | None]) -> None:
    """Run a script: a ZooError becomes one line and its exit code, Ctrl-C exit code 130."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # a video's name may not fit the terminal's encoding
    try:
        code = main() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output has gone, as in "| head"
        code = 128 + signal.SIGPIPE
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # its reader has gone
                stream.flush()
    if code:
        os._exit(code)  # reading threads may still be at work, and there is nothing left to save
