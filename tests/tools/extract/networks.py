"""Networks that describe frames by the numbers drawn in them."""

from functools import partial

import numpy as np

from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import PACE, make_record
from tests.datareader.clips.videos import read_number
from tools.extract.kinds import Kind


class Networks:
    """Describes a frame by the number drawn in it. opened: how often; described: how many frames."""

    def __init__(self, digest="some weights"):
        self.digest, self.opened, self.described = digest, 0, 0

    def open(self, options):
        self.opened += 1
        sight = Sight(PACE, lambda frames: np.array([read_number(*frames)]), self.look, 3)
        return Kind(sight, self.hearing(), partial(make_record, silent=options.silent), self.digest)

    def look(self, batch):
        self.described += len(batch)
        return np.repeat(batch / 64 - 1, 1024, axis=1).astype(np.float32)

    @staticmethod
    def hearing():
        def hear(path):
            return np.full((2, 1), 0.5) if "talkie" in path else None

        return Hearing(hear, lambda batch: np.repeat(batch, 128, axis=1).astype(np.float32), 2)
