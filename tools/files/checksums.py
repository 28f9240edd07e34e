"""The checksum of TFRecord files: https://www.tensorflow.org/tutorials/load_data/tfrecord."""

import google_crc32c


def masked_crc32c(data: bytes) -> int:
    """A CRC-32C, rotated and shifted so that it may itself be part of checked data."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
