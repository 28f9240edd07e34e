"""The checksum of TensorFlow's files: https://www.tensorflow.org/tutorials/load_data/tfrecord."""

import google_crc32c

_PIECE = 1 << 20  # bytes


def masked_crc32c(data: bytes | memoryview) -> int:
    """A CRC-32C, rotated and shifted so that it may itself be part of checked data. data: as bytes, if it is a view."""
    crc = google_crc32c.value(data) if isinstance(data, bytes) else _crc32c_of_view(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c_of_view(data: memoryview) -> int:
    """The library takes bytes alone, so pieces of a view are copied, and never all of it at once."""
    crc = 0
    for at in range(0, len(data), _PIECE):
        crc = google_crc32c.extend(crc, bytes(data[at : at + _PIECE]))
    return crc
