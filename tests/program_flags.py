"""Prints what programs say of themselves, as JSON, in place of running them: ``tests/program_flags.py PROGRAM ...``.

One object a program: of its parser, and of those that its commands choose, description, --help, --version and flags;
and which modules --help and --version have imported that the program has not.
"""

import argparse
import contextlib
import io
import json
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PARSE = argparse.ArgumentParser.parse_args


class Parsed(BaseException):
    """What a program has come to when it would read its flags."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def stop(parser: argparse.ArgumentParser, *_) -> None:
    raise Parsed(parser)


def describe_flag(action: argparse.Action, group: str, shown: str) -> dict:
    """What calls it, and what comes of it. default: as text, without what is only of this machine. shown: its help."""
    default = str(action.default).replace(str(Path.cwd()), ".")
    return {
        "names": action.option_strings,
        "dest": action.dest,
        "default": "cores" if action.dest in ("workers", "decode_processes") else default,
        "choices": action.choices and [str(choice) for choice in action.choices],
        "nargs": action.nargs,
        "required": action.required,
        "group": group,
        "help": shown,
    }


def printed(act: Callable[[], None]) -> str:
    """What argparse prints before it ends the program."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        act()
    return output.getvalue()


def describe_parser(parser: argparse.ArgumentParser) -> dict:
    before = {*sys.modules}
    shown = {flag: printed(lambda flag=flag: PARSE(parser, [flag])) for flag in ("--help", "--version")}
    groups = {id(action): group.title for group in parser._action_groups for action in group._group_actions}
    expand = parser._get_formatter()._expand_help
    actions = [action for action in parser._actions if action.nargs != argparse.PARSER]
    flags = [describe_flag(action, groups[id(action)], expand(action)) for action in actions]
    shown |= {"description": parser.description, "imported": sorted({*sys.modules} - before)}
    return shown | {"flags": flags}


def describe_program(path: str) -> dict[str, dict]:
    """By command, "" without one."""
    file = Path(path) / "__main__.py" if Path(path).is_dir() else Path(path)
    sys.argv = [str(file)]
    try:
        runpy.run_path(str(file), run_name="__main__")
    except Parsed as parsed:
        parser = parsed.parser
    commands = [action.choices for action in parser._actions if action.nargs == argparse.PARSER]
    parsers = {"": parser} | {name: below for choices in commands for name, below in choices.items()}
    return {name: describe_parser(one) for name, one in parsers.items()}


if __name__ == "__main__":
    programs, output = sys.argv[1:], sys.stdout
    sys.path.insert(0, str(Path.cwd()))
    argparse.ArgumentParser.parse_args = stop
    described = {path: describe_program(path) for path in programs}
    heavy = sorted({name.partition(".")[0] for name in sys.modules} & {"paddle", "torch", "onnxruntime"})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    json.dump({"programs": described, "heavy": heavy}, output)
