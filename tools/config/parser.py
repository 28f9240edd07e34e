"""The parsers of all programs: flags in groups, defaults in words, --version. Imports nothing that is slow."""

import argparse
import platform
from difflib import get_close_matches
from enum import Enum
from typing import NoReturn

from tools.runtime.packages import NAME, VERSION, find_installed
from tools.runtime.tables import Table
from tools.runtime.text import escape_controls


class Group(str, Enum):
    """Titles of the groups of flags, in the order in which --help shows them."""

    TASK = "what to do"
    MODEL = "model and weights"
    DATA = "data"
    START = "start and resume"
    LEARNING = "learning"
    FREEZING = "frozen backbone"
    SAVING = "validate, stop and save"
    SPEED = "device and speed"
    SERVER = "server and its limits"
    MACHINES = "several machines"
    OUTPUT = "output"


class Parser(argparse.ArgumentParser):
    """A parser that shows its description as it is written, and the defaults of flags.

    It tells of a wrong flag in one line, with the flag that was probably meant.
    """

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)
        self.add_argument("--version", action=_Version, help="show the version of this project, Python and Paddle")
        self._groups = {group: self.add_argument_group(group.value) for group in Group}
        self._obsolete = []

    def group(self, group: Group):
        """Where the flags of a group are added; one without flags is not shown."""
        return self._groups[group]

    def add_obsolete(self, *flags: str) -> None:
        """Flags of 2019 that are accepted without effect, True where they are given; --help has one line for all."""
        for flag in flags:
            self.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
        self._obsolete += flags
        self.epilog = f"accepted without effect, as in 2019: {', '.join(self._obsolete)}"

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


def make_parser(description: str, prog: str | None = None) -> Parser:
    """A parser without flags of its own but --help and --version.

    prog: what users type, for a program that is a package (Python before 3.14 shows __main__.py).
    """
    return Parser(prog=prog, description=description)


def describe_version() -> str:
    """This project's version, and those of Python and Paddle, which is not imported for it."""
    paddle = find_installed("paddlepaddle")
    return f"{NAME} {VERSION} (Python {platform.python_version()}, {' '.join(paddle) if paddle else 'no Paddle'})"


class _Help(Table):
    """Text for people who ask for it; Python from 3.14 on colours it."""

    __slots__ = ()
    kept = "\n\x1b"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Ends the help of a flag with its default, unless that is nothing or the help says it in words of its own."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help, action.default
        is_value = isinstance(default, str | int | float) and not isinstance(default, bool)
        if not is_value or default == argparse.SUPPRESS or "default" in text:
            return text
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        return f"{text}; default: {shown.replace('%', '%%')}"


class _Version(argparse.Action):
    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        print(describe_version())
        parser.exit()
