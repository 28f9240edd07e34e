"""The networks that describe frames and sound, of the arrays that were published with them."""

from collections.abc import Mapping

import numpy as np


def build_picture_network(constants: Mapping[str, np.ndarray]):
    """Inception of December 2015; see ``models/inception2015``. Imports Paddle. Raises CheckpointError."""
    from models.inception2015.inception2015 import Inception2015, load_constants

    network = Inception2015()
    load_constants(network, constants)
    return network


def build_sound_network(variables: Mapping[str, np.ndarray]):
    """VGGish; see ``models/vggish``. Imports Paddle. Raises CheckpointError."""
    from models.vggish.vggish import VGGish, load_variables

    network = VGGish()
    load_variables(network, variables)
    return network
