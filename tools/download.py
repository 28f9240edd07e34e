"""Fetch published files that are not this project's to ship.

python -m tools.download eigenvals [--output FILE]

eigenvals: the eigenvalues of YouTube-8M's PCA, which NeXtVLAD whitens rgb features with.
"""

import argparse
import io
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.errors import DataError
from tools.safe_files import replacing, require_place

PCA_URL = "http://data.yt8m.org/yt8m_pca.tgz"
MEMBER = "eigenvals.npy"
LARGEST = 200_000_000  # bytes; the archive has about 20 MB
TIMEOUT_SEC = 30


def fetch(url: str) -> bytes:
    """The content of an address, with a bar. Raises DataError naming it."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SEC) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            content = bytearray()
            with tqdm(total=total or None, unit="B", unit_scale=True, desc=url, disable=None) as bar:
                while chunk := answer.read(1 << 16):
                    content += chunk
                    bar.update(len(chunk))
                    if len(content) > LARGEST:
                        raise DataError(f"{url} sends more than {LARGEST} bytes, which the archive has not")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DataError(f"{url} cannot be fetched: {error}") from None
    if total and len(content) != total:
        raise DataError(f"{url} ended after {len(content)} of {total} bytes; try again")
    return bytes(content)


def read_eigenvalues(archive: bytes, url: str) -> np.ndarray:
    """The eigenvalues in YouTube-8M's PCA archive, (2048, 1) float32. Nothing is extracted to disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            members = [item for item in tar if item.isfile() and Path(item.name).name == MEMBER]
            if not members:
                raise DataError(f"{url} holds no {MEMBER}")
            values = np.load(io.BytesIO(tar.extractfile(members[0]).read()), allow_pickle=False)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(f"{url} is not the archive that was expected: {error}") from None
    if values.size < 1024 or values.dtype.kind != "f" or not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(f"{MEMBER} of {url} is a {values.shape} {values.dtype} array, expected (2048, 1) float32")
    return values.astype(np.float32).reshape(-1, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["eigenvals"])
    default = "dataset/youtube8m/yt8m_pca/eigenvals.npy"
    parser.add_argument("--output", type=Path, default=Path(default), metavar="FILE", help=f"default: {default}")
    parser.add_argument("--url", default=PCA_URL, help=f"default: {PCA_URL}")
    args = parser.parse_args()
    try:
        try:
            require_place(args.output)
            values = read_eigenvalues(fetch(args.url), args.url)
            with replacing(args.output) as file:
                np.save(file, values)
        except OSError as error:
            raise DataError(f"--output {args.output} cannot be written: {error}") from None
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.output}: {len(values)} eigenvalues")
    return 0


if __name__ == "__main__":
    sys.exit(main())
