"""What is known of a model beside its code: papers, published scores, measured speed. Without Paddle.

These facts stand in ``models/<model>/card.py`` and nowhere else; ``tests/models/test_card.py`` holds the pages that
repeat them, of the project and of the models, against them.
"""

from dataclasses import dataclass, field

TWO_CORES, TWO_CORES_AVX2 = "two cores of an AMD EPYC with AVX-512", "two cores of an AMD EPYC with AVX2 alone"
AVX512, AVX2 = "one core of an Intel Xeon with AVX-512 and AMX", "one core of an AMD EPYC with AVX2 alone"


@dataclass(frozen=True)
class Paper:
    """A publication. authors: family names as they are printed, in its order. arxiv: an id; doi: without address.

    what: what of the model it describes, where it is not all of it; "" for all.
    """

    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    arxiv: str | None = None
    doi: str | None = None
    what: str = ""

    @property
    def address(self) -> str | None:
        """Where it can be read; None where nothing is known."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None


@dataclass(frozen=True)
class Scores:
    """Scores that others reported. values: metric -> a fraction as it was printed. protocol: how clips were tested."""

    values: dict[str, str]
    data: str
    protocol: str = ""
    year: int = 2019
    measured_here: bool = False


@dataclass(frozen=True)
class Speed:
    """One measurement of tools/speed.md. what: as its tables call it. ms: milliseconds a video. processor: on which."""

    what: str
    ms: float
    processor: str


@dataclass(frozen=True)
class ModelCard:
    """title: as the paper spells the model's name. sentence: what the model does with a video, in one sentence."""

    title: str
    sentence: str
    papers: tuple[Paper, ...]
    scores: tuple[Scores, ...]
    speeds: tuple[Speed, ...] = field(default=())


RESNET = Paper(
    ("He", "Zhang", "Ren", "Sun"),
    "Deep Residual Learning for Image Recognition",
    "CVPR",
    2016,
    arxiv="1512.03385",
    what="the ResNet in it",
)
