"""Pictures as arrays, and a colour to look for in them."""

import numpy as np
from PIL import Image

RGB_BLUE = (0x00, 0x72, 0xB2)  # of the lines for rgb


def load_picture(file):
    """(H, W, 3) uint8 of a PNG."""
    with Image.open(file, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
