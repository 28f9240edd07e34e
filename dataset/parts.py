"""One of several runs that share the work for one folder, as on several machines."""

import argparse
import re
from dataclasses import dataclass

from tools.config.parser import Group, Parser


@dataclass(frozen=True)
class Part:
    """The items whose places leave ``number - 1`` when divided by ``count``; by default all."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        return self.count == 1

    @property
    def suffix(self) -> str:
        """What the names of files end in that each part has for itself."""
        return "" if self.is_whole else f"-{self.number}-of-{self.count}"

    def holds(self, place: int) -> bool:
        return place % self.count == self.number - 1


WHOLE = Part()


def parse_part(text: str) -> Part:
    """I/N."""
    match = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", text)
    part = Part(int(match[1]), int(match[2])) if match else None
    if part is None or not 1 <= part.number <= part.count:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a part such as 3/8, the third of eight")
    return part


def add_part_flags(parser: Parser) -> None:
    """--part and --merge."""
    add = parser.group(Group.MACHINES).add_argument
    add("--part", type=parse_part, default=WHOLE, metavar="I/N", help="do only part I of N, as one of N machines")
    add("--merge", action="store_true", help="put together what all parts have done")


def check_part_flags(parser: Parser, part: Part, merge: bool) -> None:
    """End the program where both are given."""
    if merge and not part.is_whole:
        parser.error("--merge is for all parts together, once they are done; leave out --part")


def describe_end(part: Part) -> str:
    return f"part {part} is done; once all are, the same command with --merge in place of --part"
