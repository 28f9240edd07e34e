"""What the flags say."""

from dataclasses import dataclass

import numpy as np

from tools.config.flags import ConfigSource


@dataclass(frozen=True)
class ShowOptions:
    """One file to show, by whose settings, and where the picture goes.

    model_name, class_names: None for what the config says. section: of the config. seed: draws the view of TRAIN.
    record, video_id: which record of a file of features, by its place or its name; both None for the first.
    output: the picture, None for a name of ours in this folder. force: it may replace a file.
    """

    path: str
    config: ConfigSource
    model_name: str | None = None
    section: str = "TEST"
    seed: int = 0
    record: int | None = None
    video_id: str | None = None
    class_names: str | None = None
    output: str | None = None
    force: bool = False
    image_wanted: bool = True

    def build_generator(self, number: int) -> np.random.Generator | None:
        """What draws a training view as epoch 0 would, were ``number`` the record's place in the list; else None."""
        return np.random.default_rng([self.seed, 0, number]) if self.section == "TRAIN" else None
