"""Download released weights, and other published files that are not part of this project.

python -m tools.download list | all | NAME [--weights-dir DIR] [--offline]
python -m tools.download vocabulary [--weights-dir DIR] [--offline]
python -m tools.download yt8m-features [--weights-dir DIR] [--offline]
python -m tools.download eigenvals [--output FILE]

NAME: the released weights of a model, or ResNet50_pretrained; case is ignored. all: every one of them.
list: what there is, what is here, and where. They are kept in ~/.paddle/weights unless --weights-dir or
PADDLE_WEIGHTS_DIR names another folder; PADDLE_WEIGHTS_URL names a mirror to fetch them from.
vocabulary: the names of YouTube-8M's classes, vocabulary.csv, in the same folder.
yt8m-features: what makes YouTube-8M's features of videos: Inception v3, VGGish and their PCAs, about 400 MB, there too.
eigenvals: the eigenvalues of YouTube-8M's PCA, which NeXtVLAD whitens rgb features with.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from datareader.class_names import require_vocabulary
from tools.config.flags import add_cache_flags, parse_text
from tools.config.parser import Group, make_parser
from tools.errors import ConfigError, DataError, DownloadError, UnusableError
from tools.files.archives import extract
from tools.files.arrays import NoArrayError, load_npy
from tools.files.atomic import atomic_write, require_writable, temporary_folder
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy, fetch
from tools.files.sums import sums_beside, write_sums
from tools.runtime.entry import run_program
from tools.runtime.log import start_log
from tools.runtime.tables import format_columns
from tools.weights.extractors import CALLED, EIGENVALUES, EXTRACTORS, VISUAL_PCA, find_extractor
from tools.weights.extractors import VALUES as MEMBER
from tools.weights.published_files import Place
from tools.weights.released import RELEASED, YOUTUBE_8M, CacheEntry, cache_folder, find_released
from tools.weights.released_names import NUM_CLASSES
from tools.weights.vocabulary import VOCABULARY, find_vocabulary

PCA_URL, LARGEST = VISUAL_PCA.url, VISUAL_PCA.largest

OTHERS = ("vocabulary", CALLED, "eigenvals", "list")  # what is no set of released weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DownloadOptions:
    """what: as it was given, in lower case. names: of the released weights that it stands for."""

    what: str
    names: list[str]
    weights_dir: str | None
    offline: bool
    output: Path
    url: str | None


def list_released(weights_dir: str | None) -> str:
    """A line for each set of weights and each other published file: its name, whether and where it is, its address."""
    rows = []
    try:
        for item in RELEASED:
            entry = CacheEntry.of(item.name, weights_dir)
            found = entry.present()
            rows.append([item.name, describe_size(found), str(found or entry.folder), entry.url(item.archive)])
        for published in (VOCABULARY, *(item for item, _ in EXTRACTORS.values())):
            place = Place.of(published, weights_dir)
            found = place.present()
            members = [found / name for name in published.members] if found else []
            state = describe_size(found, members)
            rows.append([published.called, state, str(found or place.path), place.url])
    except OSError as error:
        raise DownloadError(f"{cache_folder(weights_dir)} cannot be read: {error}") from None
    return format_columns(rows)


def describe_size(found: Path | None, members: Sequence[Path] = ()) -> str:
    """members: of a folder, where they alone count."""
    size = sum(map(size_of, members or [found])) if found else 0
    return f"{f'present, {size / 1e6:.1f} MB' if found else 'not here':<18}"


def size_of(path: Path) -> int:
    """Bytes in a file, or in the files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def fetch_released(names: list[str], weights_dir: str | None, offline: bool, retry: RetryPolicy) -> None:
    """Fetch sets of weights; one that is not published any more does not keep the others back."""

    def find(name: str) -> Path:
        return find_released(name, weights_dir=weights_dir, offline=offline, retry=retry)

    find_each(names, find)


def fetch_extractors(weights_dir: str | None, offline: bool, retry: RetryPolicy) -> None:
    """Fetch what makes YouTube-8M's features; a file that is not published any more does not keep the others back."""

    def find(name: str) -> Path:
        return find_extractor(EXTRACTORS[name][0], weights_dir=weights_dir, offline=offline, retry=retry)

    find_each(list(EXTRACTORS), find)


def find_each(names: list[str], find: Callable[[str], Path]) -> None:
    """Find what has these names, and tell where each is. Raises DownloadError after the last if one cannot be had."""
    missing = []
    for name in names:
        try:
            path = find(name)
            log.info(f"{name}: {path}")
        except UnusableError as error:
            if len(names) == 1:
                raise
            log.info(f"{name}: {error}")
            missing.append(name)
    if missing:
        raise DownloadError(f"{len(missing)} of {len(names)} cannot be had, as said above: {', '.join(missing)}")


def fetch_vocabulary(options: DownloadOptions, retry: RetryPolicy) -> None:
    def check(path: str, called: str) -> None:
        require_vocabulary(path, NUM_CLASSES[YOUTUBE_8M], called)

    path = find_vocabulary(
        check,
        weights_dir=options.weights_dir,
        offline=options.offline,
        url=options.url,
        retry=retry,
    )
    log.info(f"vocabulary: {path}")


def fetch_eigenvalues(url: str, output: Path, retry: RetryPolicy) -> None:
    try:
        require_writable(output)
        beside = next(parent for parent in output.absolute().parents if parent.exists())
        with temporary_folder(beside / output.name) as folder:
            archive = folder / "yt8m_pca.tgz"
            try:
                fetch(url, archive, retry=retry, largest=LARGEST)
            except DownloadError as error:
                raise DownloadError(
                    f"{error}; or fetch it by another way and put the {MEMBER} that it holds at {output}"
                ) from None
            values = read_eigenvalues(archive, url)
        with atomic_write(output) as file:
            np.save(file, values)
        write_sums(sums_beside(output), output.parent, [output.name])
    except OSError as error:
        raise DataError(f"--output {output} cannot be written: {error}") from None
    log.info(f"{output}: {len(values)} eigenvalues")


def read_eigenvalues(archive: Path, url: str) -> np.ndarray:
    """The eigenvalues in YouTube-8M's PCA archive, (2048, 1) float32. It is unpacked beside itself.

    All of it is, so that the checksum at its end is compared: it comes over plain HTTP. url: what errors call it.
    """
    unpacked = archive.with_name("unpacked")
    try:
        extract(archive, unpacked, "it", largest=LARGEST)
        members = sorted(unpacked.rglob(MEMBER))
        if not members:
            raise DataError(f"{url} holds no {MEMBER}")
        values = load_npy(members[0])
    except UnusableError as error:
        raise DataError(f"{url} is not the archive that was expected: {error}") from None
    except NoArrayError as error:
        raise DataError(f"{url} is not the archive that was expected: its {MEMBER} is no array ({error})") from None
    if values.size < 1024 or values.dtype.kind != "f" or not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(f"{MEMBER} of {url} is a {values.shape} {values.dtype} array, expected (2048, 1) float32")
    return values.astype(np.float32).reshape(-1, 1)


def parse_args() -> DownloadOptions:
    parser = make_parser(__doc__, prog="python -m tools.download")
    names = [item.name for item in RELEASED]
    parser.add_argument("what", type=parse_text, metavar="NAME", help=", ".join([*OTHERS, "all", *names]))
    add_cache_flags(parser, "released")
    add = parser.group(Group.OUTPUT).add_argument
    add("--output", type=Path, metavar="FILE", help=f"where eigenvals go; default: {EIGENVALUES}")
    add = parser.group(Group.MODEL).add_argument
    add("--url", help=f"where vocabulary or eigenvals come from; default: {VOCABULARY.url} or {PCA_URL}")
    args = parser.parse_args()
    what = args.what.lower()
    if what == "eigenvals" and (args.weights_dir or args.offline):
        parser.error("--weights-dir and --offline are for released weights, not for eigenvals")
    if what != "eigenvals" and args.output:
        parser.error("--output is for eigenvals alone")
    if what not in ("eigenvals", "vocabulary") and args.url:
        parser.error("--url is for vocabulary and eigenvals, not for released weights")
    chosen = [item.name for item in RELEASED if what in ("all", item.name.lower())]
    if not (chosen or what in OTHERS):
        raise ConfigError(f"nothing is named {args.what!r}; known: {', '.join([*OTHERS, 'all', *names])}")
    return DownloadOptions(what, chosen, args.weights_dir, args.offline, args.output or EIGENVALUES, args.url)


def main(retry: RetryPolicy = DEFAULT_RETRY) -> None:
    options = parse_args()
    start_log()
    if options.names:
        fetch_released(options.names, options.weights_dir, options.offline, retry)
    elif options.what == "list":
        print(list_released(options.weights_dir))
    elif options.what == CALLED:
        fetch_extractors(options.weights_dir, options.offline, retry)
    elif options.what == "vocabulary":
        fetch_vocabulary(options, retry)
    else:
        fetch_eigenvalues(options.url or PCA_URL, options.output, retry)


if __name__ == "__main__":
    run_program(main)
