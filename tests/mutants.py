"""Damaged copies of a file's content, the same for the same seed: one bit, one byte, a cut, a piece doubled or lost."""

import random
from collections.abc import Callable, Iterator

from tools.errors import ZooError


def refusal_of(function: Callable, *arguments) -> str | None:
    """The one line of the error for users that a call ends with; None where it ends well. Other errors go on."""
    try:
        function(*arguments)
    except ZooError as error:
        text = str(error)
    else:
        return None
    assert text
    assert "\n" not in text
    return text


def mutants(content: bytes, number: int, seed: int) -> Iterator[bytes]:
    """So many contents that are not this one. Half of them differ in a single bit."""
    rng = random.Random(seed)
    kinds = [_flip_bit, _flip_bit, _flip_bit, _set_byte, _cut, _repeat, _lose]
    for _ in range(number):
        found = content
        while found == content:
            found = rng.choice(kinds)(content, rng)
        yield found


def _flip_bit(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _set_byte(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.choice([b"0", b"9", b" ", b'"', b"e", rng.randbytes(1)]) + content[at + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(content)), rng.randrange(1, 17)
    return content[:at] + content[at : at + size] + content[at:]


def _lose(content: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(content)), rng.randrange(1, 17)
    return content[:at] + content[at + size :]
