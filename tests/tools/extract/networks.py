"""Networks that describe frames by the numbers drawn in them."""

from functools import partial

import numpy as np

from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import PACE, make_record
from tests.datareader.clips.videos import read_number
from tools.extract.kinds import Kind


class Networks:
    """Describes a frame by the number drawn in it. opened: how often; described: how many frames.

    fails_at: the number of a frame of which no numbers come out. make: what makes records, None for YouTube-8M's.
    """

    def __init__(self, digest="some weights"):
        self.digest, self.opened, self.described, self.fails_at, self.make = digest, 0, 0, None, None

    def open(self, options):
        self.opened += 1
        sight = Sight(PACE, lambda frames: np.array([read_number(*frames)]), self.look, 3)
        make = self.make or partial(make_record, silent=options.silent)
        return Kind(sight, self.hearing(), make, self.digest, "cpu")

    def look(self, batch):
        self.described += len(batch)
        described = np.repeat(batch / 64 - 1, 1024, axis=1).astype(np.float32)
        described[batch[:, 0] == self.fails_at] = np.nan
        return described

    @staticmethod
    def hearing():
        def hear(path):
            return np.full((2, 1), 0.5) if "talkie" in path else None

        return Hearing(hear, lambda batch: np.repeat(batch, 128, axis=1).astype(np.float32), 2)
