"""Whether a program answers as the network that it was made of. Imports Paddle inside functions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from models.spec import LENGTHS, InputArray

MOST_DIFFERENT = 1e-4  # of probabilities
_MADE_LENGTHS = (300, 1, 37, 150)  # frames of made videos


@dataclass(frozen=True)
class Comparison:
    """Of so many inputs: the largest difference of a probability, and for how many another class is the best."""

    num_inputs: int
    largest: float
    changed: int

    @property
    def holds(self) -> bool:
        return self.largest <= MOST_DIFFERENT  # not so for NaN either

    def __str__(self) -> str:
        changed = f"another best class for {self.changed}" if self.changed else "no best class changed"
        return f"largest difference of a probability {self.largest:.1e}, {changed}"


def make_batches(inputs: tuple[InputArray, ...], seed: int = 0) -> Iterator[tuple[np.ndarray, ...]]:
    """Inputs of the usual range as the network takes them in training, of several sizes."""
    rng = np.random.default_rng(seed)
    for lengths in (_MADE_LENGTHS[:1], _MADE_LENGTHS[1:]):
        batch = []
        for part in inputs:
            if part.name == LENGTHS:
                batch.append(np.array(lengths, np.int64))
                continue
            shape = (sum(lengths), *part.shape[1:]) if inputs[0].name == LENGTHS else (len(lengths), *part.shape)
            batch.append(rng.uniform(part.low, part.high, shape).astype(np.float32))
        yield tuple(batch)


def compare(network, programs: dict[str, Callable], batches: Iterable[tuple[np.ndarray, ...]]) -> dict[str, Comparison]:
    """Each program's answers against the network's, in test mode.

    programs: name -> what takes a network's place, and gives logits. batches: inputs as the network takes them.
    """
    import paddle

    from tools.inference.predict import to_tensor

    found = {name: [] for name in programs}
    network.eval()
    with paddle.no_grad():
        for batch in batches:
            inputs = [to_tensor(part) for part in batch]
            wanted = network.probs(network(*inputs)).numpy()
            for name, program in programs.items():
                got = network.probs(program(*inputs)).numpy()
                differences = np.abs(got - wanted).max()
                found[name].append((len(got), differences, np.count_nonzero(got.argmax(1) != wanted.argmax(1))))
    return {
        name: Comparison(
            sum(row[0] for row in rows), float(np.max([row[1] for row in rows])), sum(row[2] for row in rows)
        )
        for name, rows in found.items()
    }
