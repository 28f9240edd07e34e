"""Archives of variables, made in memory."""

import io
import tarfile

from tests.conftest import PROJECT

SAMPLE = (PROJECT / "tests/golden/fluid_samples/persistables_dir.tar.gz").read_bytes()


def content_of(archive):
    """File name without its folder -> bytes."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {item.name.split("/")[-1]: tar.extractfile(item).read() for item in tar if item.isfile()}


def archive_of(*members):
    """A .tar.gz of (name, content) pairs and TarInfo headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                item = tarfile.TarInfo(member[0])
                item.size = len(member[1])
                tar.addfile(item, io.BytesIO(member[1]))
    return out.getvalue()


def header(name, kind=tarfile.REGTYPE, size=0, target=""):
    item = tarfile.TarInfo(name)
    item.type, item.size, item.linkname = kind, size, target
    return item


def assert_complete(path, archive=SAMPLE):
    assert {file.name: file.read_bytes() for file in path.iterdir()} == content_of(archive)
