"""Files that Fluid wrote, whole and damaged."""

import random

from tests.golden_inputs import GOLDEN

SAMPLES = GOLDEN / "fluid_samples"
FOLDER = SAMPLES / "persistables_dir"


def copy_folder(tmp_path, *names):
    """Some of Fluid's files in a folder that a test may change."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    return folder


def mutate(good: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, put in or taken out, mostly near the beginning."""
    content = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(min(len(content), chance.choice([30, len(content)])) or 1)
        match chance.randrange(5):
            case 0 | 1:
                content[place : place + 1] = bytes([chance.randrange(256)])
            case 2:
                content[place:place] = chance.randbytes(chance.randint(1, 9))
            case 3:
                del content[place : place + chance.randint(1, 9)]
            case 4:
                content = content[: chance.choice([place, len(content)])]
    return bytes(content)
