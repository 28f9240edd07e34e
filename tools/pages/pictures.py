"""Pictures as addresses that hold their bytes, so that a page needs no other file."""

import base64
import io

import numpy as np
from PIL import Image

LONGEST_PX, MOST_BYTES = 200, 12_000  # of a picture on a page
_QUALITIES = (75, 55, 35)


def encode_picture(pixels: np.ndarray, longest_px: int = LONGEST_PX, most_bytes: int = MOST_BYTES) -> str:
    """A picture, made small, as a data: address of a JPEG with at most so many bytes. pixels: (H, W, 3) uint8 RGB."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    while True:
        image.thumbnail((longest_px, longest_px))
        for quality in _QUALITIES:
            memory = io.BytesIO()
            image.save(memory, "JPEG", quality=quality, optimize=True)
            if memory.tell() <= most_bytes:
                return f"data:image/jpeg;base64,{base64.b64encode(memory.getvalue()).decode()}"
        longest_px = longest_px * 3 // 4  # of noise even bad pictures are large
