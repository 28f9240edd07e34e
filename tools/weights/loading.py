"""Weights into networks: what fits, what does not, and what fine-tuning may ignore, initialise or make.

A network says which layer is its ``classifier``. ``PublishedNetwork`` (models/spec.py) says what one has that can start
from weights of its backbone alone.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tools.errors import CheckpointError
from tools.runtime.text import some_of
from tools.weights.files import CHECKPOINT, WeightFile
from tools.weights.fluid_names import Variable, buffers_of, name_arrays, published, variables_of
from tools.weights.origins import describe_origin
from tools.weights.state_names import split_state
from tools.weights.torch_names import bring_over


@dataclass
class Match:
    """How weights fit a network, by the names in their file.

    ignored_state: an optimizer's variables that were ignored, as a sentence, or nothing. changes: what else was
    ignored, newly initialised or made, a sentence each. initialised: what is newly initialised, by its own names.
    released: whether the names in the file are those of 2019.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # in the network only
    unexpected: list[str] = field(default_factory=list)  # in the weights only
    mismatched: list[str] = field(default_factory=list)  # "name [weights' shape] for [network's shape]"
    ignored_state: str = ""
    changes: list[str] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)
    released: bool = False

    @property
    def notes(self) -> list[str]:
        """Both, in this order."""
        return [*[self.ignored_state] * bool(self.ignored_state), *self.changes]

    def __str__(self) -> str:
        return self.describe()

    def describe(self, most: int | None = None) -> str:
        """The counts, with the names of what does not fit, of each kind at most so many."""
        parts = [f"{len(self.matched)} matched"]
        for kind in ("missing", "unexpected", "mismatched"):
            names = getattr(self, kind)
            parts.append(f"{len(names)} {kind}" + (f" ({some_of(names, most or len(names))})" if names else ""))
        return ", ".join(parts)

    def lines(self) -> list[str]:
        """The report: the counts, with every name that does not fit, then the notes."""
        return [str(self), *self.notes]


def load_into_network(network, file: WeightFile, *, fine_tune: bool = False) -> Match:
    """Copy weights into a network and report how they fit.

    fine_tune: skip a classifier for another number of classes; where the network has a pretrained part,
    take weights that hold only that and make its first convolution fit; ignore what else they hold.
    Raises CheckpointError, naming everything that does not fit, unless all else does. The network is
    changed only if all is well.
    """
    fit = _Fit(network, bring_over(file, network, fine_tune=fine_tune))
    if fine_tune:
        fit.relax()
    fit.require(may_ignore=fine_tune)
    if fine_tune:
        fit.ignore_unexpected()
    tensors = network.state_dict()
    values = {own: _plain(value) for own, value in fit.values.items()}  # of a safetensors file read here
    for own, value in values.items():
        tensors[own].set_value(value)
    fit.load_buffers(fine_tune)
    return fit.report()


def own_arrays(network, file: WeightFile) -> tuple[dict[str, np.ndarray], Match]:
    """All weights of a file by the network's own names and in its layouts, as they are, bit for bit.

    Includes buffers that the file holds. Raises CheckpointError as ``load_into_network`` does.
    """
    fit = _Fit(network, bring_over(file, network, fine_tune=False))
    fit.require(may_ignore=False)
    return fit.values | fit.buffers, fit.report()


class _Fit:
    """A file's arrays beside a network's, by the network's own names.

    values, buffers: what fits, in the network's layouts. missing, mismatched: own names of what does not.
    """

    def __init__(self, network, file: WeightFile):
        self.network, self.file = network, file
        arrays, self.released = name_arrays(file, network)
        self.arrays = dict(arrays)
        self.wanted = variables_of(network, self.released)
        self.optimizer = [name for name in arrays if split_state(name)] if self.released else []
        self.values, self.missing, self.mismatched, self.changes = {}, [], [], [*file.notes]
        self.initialised = []
        for own, variable in self.wanted.items():
            if variable.name not in arrays:
                self.missing.append(own)
            elif self._same_shape(variable):
                self.values[own] = variable.layout.to_own(arrays[variable.name])
            else:
                self.mismatched.append(own)
        buffers = buffers_of(network, self.released)
        self.buffers = {
            own: arrays[variable.name]
            for own, variable in buffers.items()
            if variable.name in arrays and self._same_shape(variable)
        }
        known = {variable.name for variable in self.wanted.values()} | set(self.optimizer)
        known |= {buffers[own].name for own in self.buffers}
        self.unexpected = [name for name in arrays if name not in known]
        self.ignored_state = ""
        if self.optimizer:
            kinds = _kinds(self.optimizer)
            self.ignored_state = f"ignored: {len(self.optimizer)} variables of an optimizer ({kinds})"
        if file.ignored:
            self.changes.append(f"ignored, not variables: {', '.join(file.ignored)}")
        self.at_first = self.report()

    def relax(self) -> None:
        """Let fine-tuning go ahead without what it can do without; say so for each."""
        network = self.network
        part = published(network, "pretrained_part")
        if part:
            self._inflate(network.first_convolution)
        lacking = set(self.missing + self.mismatched)
        classifier = [own for own in self.wanted if own.startswith(f"{network.classifier}.")]
        new_classifier = bool(lacking.intersection(classifier))
        if new_classifier:
            self._reinitialise(classifier, "classifier")
        if part:
            blocks = [own for own in self.wanted if not own.startswith((f"{part}.", f"{network.classifier}."))]
            if blocks and lacking.issuperset(blocks):
                self._reinitialise(blocks, "not in a bare backbone")
            if new_classifier and self.released:
                # 2019: only what is trained was loaded to begin with.
                self.changes.append("running means and variances are loaded too, which 2019 initialised anew")

    def ignore_unexpected(self) -> None:
        if self.unexpected:
            self.changes.append(f"ignored, not in this network: {', '.join(self.unexpected)}")
            self.unexpected = []

    def require(self, may_ignore: bool) -> None:
        """Raise CheckpointError unless all fits. may_ignore: what is in the weights only."""
        source, match = self.file.path, self.report()
        for own, value in self.values.items():
            if value.dtype.kind != "f":
                raise CheckpointError(f"{source}: {self.wanted[own].name} holds {value.dtype}, expected float32")
        if self.values and not (match.missing or match.mismatched or (match.unexpected and not may_ignore)):
            return
        origin = describe_origin(self.arrays, self.network, source)
        came = match if self.values else self.at_first  # which nothing is left of
        text = f"{source} does not fit this network" if came.matched else f"{source}: no weight fits this network"
        text += f": {came.describe(most=None if self.values and not origin else 8)}"
        notes = [origin] if origin else match.notes if self.values else []
        raise CheckpointError("; ".join([text, *notes]))

    def report(self) -> Match:
        return Match(
            [self.wanted[own].name for own in self.values],
            [self._missing(self.wanted[own].name) for own in self.missing],
            self.unexpected,
            [self._shapes(own) for own in self.mismatched],
            self.ignored_state,
            self.changes,
            self.initialised,
            self.released,
        )

    def load_buffers(self, fine_tune: bool) -> None:
        """Take the buffers that came with weights to be used as they are; in training the config's stay."""
        buffers = dict(self.network.named_buffers())
        for own, value in self.buffers.items():
            name, before = buffers_of(self.network, self.released)[own].name, buffers[own].numpy()
            gap = float(np.abs(before - value).max() / max(np.abs(value).max(), 1e-30))
            agrees = "as in the config" if gap < 1e-5 else f"up to {gap:.2g} of the largest away from the config's"
            if fine_tune:
                self.changes.append(f"{name} ignored in favour of the config's {own}: {agrees}")
            else:
                buffers[own].set_value(_plain(value))
                self.changes.append(f"{name} taken as {own}: {agrees}")

    def _inflate(self, own: str) -> None:
        """A convolution over one image made into one over several stacked: the mean over colours, shared out."""
        value, shape = self.arrays.get(self.wanted[own].name), self.wanted[own].shape
        if own not in self.mismatched or value.ndim != 4 or value.shape[1] != 3 or value.dtype.kind != "f":
            return
        images = shape[1] // 3
        if [value.shape[0], 3 * images, *value.shape[2:]] != shape:
            return
        self.mismatched.remove(own)
        self.values[own] = np.repeat(np.asarray(value).mean(axis=1, keepdims=True) / images, 3 * images, axis=1)
        self.changes.append(
            f"made: {self.wanted[own].name} {list(value.shape)} for {shape}, "
            f"the mean over colours / {images}, {3 * images} times"
        )

    def _reinitialise(self, names: list[str], why: str) -> None:
        texts = []
        for own in names:
            texts.append(self._shapes(own) if own in self.mismatched else self.wanted[own].name)
            self.values.pop(own, None)
        self.missing = [own for own in self.missing if own not in names]
        self.mismatched = [own for own in self.mismatched if own not in names]
        self.initialised += names
        self.changes.append(f"newly initialised, {why}: {', '.join(texts)}")

    def _same_shape(self, variable: Variable) -> bool:
        return list(self.arrays[variable.name].shape) == variable.shape

    def _shapes(self, own: str) -> str:
        variable = self.wanted[own]
        return f"{variable.name} {list(self.arrays[variable.name].shape)} for {variable.shape}"

    def _missing(self, name: str) -> str:
        return f"{name}: the file is there, but does not begin as a variable" if name in self.file.ignored else name


def own_file(path: str, arrays: dict[str, np.ndarray]) -> WeightFile:
    """Weights by a network's own names, which need no reading."""
    return WeightFile(path, CHECKPOINT, arrays)


def _plain(value: np.ndarray) -> np.ndarray:
    """Float32 in one aligned piece; what lies in a file seldom is."""
    return np.require(value, np.float32, ["C", "A", "W"])


def _kinds(names: list[str]) -> str:
    kinds = Counter(split_state(name)[1] for name in names)
    return ", ".join(kind if count == 1 else f"{kind} {count}" for kind, count in kinds.items())
