"""Files in a list of features that are something else: what they are, and what would work."""

import shlex

from tools.errors import DataError, DataIssue
from tools.files.recognise import (
    ARCHIVES,
    COMPRESSED,
    PICTURES,
    SOUNDS,
    VIDEOS,
    FileKind,
    recognise_file,
    recognise_packed,
)

_UNPACKED_BY = {
    FileKind.GZIP: "gzip",
    FileKind.BZIP2: "bzip2",
    FileKind.XZ: "xz",
    FileKind.ZSTD: "zstd",
    FileKind.LZ4: "lz4",
}
_WEIGHTS = {
    FileKind.FLUID,
    FileKind.PADDLE_PROGRAM,
    FileKind.TORCH,
    FileKind.TORCHSCRIPT,
    FileKind.SAFETENSORS,
    FileKind.KERAS,
    FileKind.ONNX,
    FileKind.CAFFE,
    FileKind.TF_CHECKPOINT,
    FileKind.TF_GRAPH,
}
_NOT_THE_FILE = {FileKind.ZEROS, FileKind.HTML, FileKind.XML, FileKind.LFS_POINTER, FileKind.ANNEX_POINTER}


def refuse_other_kind(path: str, *own: FileKind) -> None:
    """Raise DataError for a file that is known to be none of features. own: kinds of which the caller says more."""
    try:
        kind = recognise_file(path)
        if kind is None or kind in (FileKind.EMPTY, *own):
            return
        inner = recognise_packed(path) if kind in (FileKind.GZIP, FileKind.ZLIB) else None
    except OSError:
        return  # what reads it says so
    held = f" (in it: {inner})" if inner else ""
    raise DataError(f"{path} is {kind}{held}; {_advise(path, kind)}", DataIssue.FORMAT)


def _advise(path: str, kind: FileKind) -> str:
    expected = "expected features of videos, as a pickle of records or a TFRecord shard"
    if kind in COMPRESSED:
        program = _UNPACKED_BY.get(kind)
        how = f"{program} -dc {shlex.quote(path)} > NEW" if program else "zlib.decompress of Python"
        return f"unpack it ({how}) and list what comes out"
    if kind in ARCHIVES:
        return "unpack it and list the files in it"
    if kind is FileKind.PICKLE:
        return "a pickle of records needs no conversion: list it as it is"
    if kind in _NOT_THE_FILE:
        return f"{expected}; fetch or copy the file itself"
    if kind in VIDEOS | PICTURES:
        return f"{expected}; TSN and STNET are the models that read videos"
    if kind in SOUNDS:
        return f"{expected}, which hold sound as a row of 128 bytes a second"
    if kind in _WEIGHTS:
        return f"{expected}; weights go to --weights or --pretrain"
    return f"{expected}; dataset/README.md says what a record holds"
