"""Released weights of TSN, looked for in a cache that is a folder of the test."""

import pytest

from tools.errors import DownloadError
from tools.files.fetch import RetryPolicy
from tools.weights.released import CacheEntry, find_released

ARCHIVE, SINGLE = "/tsn_kinetics.tar.gz", "/TSN.pdparams"
PICKLE = b"\x80\x02}q\x00."
UNPACKED = ["tsn_kinetics", "tsn_kinetics.sums.json", "tsn_kinetics.tar.gz.sha256"]
FETCHED = ["TSN.pdparams", "TSN.pdparams.sha256", "TSN.pdparams.sums.json"]
QUICK = RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01))


def find(root, name="TSN", retry=QUICK, **options):
    return find_released(
        name,
        weights_dir=str(root / "cache"),
        retry=retry,
        **options,
    )


def failure(root, kind=DownloadError, **options):
    """The text of the error, after which nothing counts as complete."""
    with pytest.raises(kind) as error:
        find(root, **options)
    assert CacheEntry.of("TSN", str(root / "cache")).present() is None
    assert "\n" not in str(error.value)
    return str(error.value)


def names_in(root):
    return sorted(path.name for path in (root / "cache").iterdir())
