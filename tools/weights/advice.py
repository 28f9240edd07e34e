"""What to say of a file that holds no weights: what it is, and what would work in its place."""

from pathlib import Path

from tools.errors import CheckpointError
from tools.files.recognise import ARCHIVES, COMPRESSED, FileKind, recognise_file, recognise_packed

WEIGHTS = "model.pdparams"  # of a checkpoint folder
TAKEN = "weights are a checkpoint folder, a .pdparams file, or variables of 2019 in a folder or in a single file"
OF_PYTORCH = "--pretrain of TSN and STNET takes a ResNet that torch.save wrote as a state_dict(), or a .safetensors"
K = FileKind
_FETCH_AGAIN = frozenset({K.EMPTY, K.ZEROS, K.HTML, K.XML})
_OTHER_FRAMEWORKS = frozenset(
    {K.NPY, K.NPZ, K.MATLAB, K.HDF5, K.KERAS, K.ONNX, K.CAFFE, K.TF_CHECKPOINT,
     K.TF_GRAPH}
)  # fmt: skip
_MOST_KINDS = 8  # files of a folder that are looked into


def refuse(place: Path, kind: FileKind | None) -> CheckpointError:
    """The error for a file that is no weights. kind: as ``recognise_file`` says; None for one that it does not know."""
    if kind is None and is_tensorflow_shard(place):
        kind = FileKind.TF_CHECKPOINT
    with open(place, "rb") as file:
        head = file.read(16)
    what = f"{kind}" if kind else "a file"
    what += f" that begins {head!r}" if kind in (None, FileKind.TEXT) else ""
    inner = recognise_packed(place) if kind in (FileKind.GZIP, FileKind.ZLIB) else None
    what += f", in it {inner}" if inner else ""
    return CheckpointError(f"{place} is no file of weights, but {what}; {near(place) or _advise(kind)}")


def _advise(kind: FileKind | None) -> str:
    if kind in ARCHIVES:
        return "unpack it and give the folder in it"
    if kind in COMPRESSED:
        return "unpack it and give the file in it"
    if kind in _FETCH_AGAIN:
        return "fetch it again"
    if kind is FileKind.LFS_POINTER:
        return "git lfs pull fetches the file itself"
    if kind is FileKind.ANNEX_POINTER:
        return "git annex get fetches the file itself"
    if kind is FileKind.TORCHSCRIPT:
        return f"torch.save of its state_dict() writes the weights alone; {OF_PYTORCH}"
    if kind is FileKind.PADDLE_PROGRAM:
        return "give the weights that it was exported from"
    if kind in _OTHER_FRAMEWORKS:
        return f"{TAKEN}; a dict of NumPy arrays by this model's names, written by paddle.save, is a .pdparams"
    return TAKEN


def near(place: Path) -> str:
    """The weights that lie beside a file, as what to give instead; "" where there are none."""
    if place.name != WEIGHTS and (place.parent / WEIGHTS).is_file():
        return f"give the checkpoint folder {place.parent}"
    weights = place.with_suffix(".pdparams")
    return f"give {weights}" if weights != place and weights.is_file() else ""


def is_exported(place: Path) -> bool:
    """Whether a file of variables belongs to a program of Paddle 2 or 3, by its name or the program beside it.

    Its bytes are those of a single file of 2019, but in the order of other names, which would fill a network wrongly.
    """
    programs = (place.with_suffix(suffix) for suffix in (".pdmodel", ".json"))
    return place.suffix == ".pdiparams" or any(
        path.is_file() and recognise_file(path) is FileKind.PADDLE_PROGRAM for path in programs
    )


def refuse_exported(place: Path) -> CheckpointError:
    return CheckpointError(
        f"{place} is the weights of an exported program of Paddle's inference engine, without their names; "
        f"{near(place) or _advise_exported(place.parent)}"
    )


def _advise_exported(folder: Path) -> str:
    advice = _advise(FileKind.PADDLE_PROGRAM)
    if not (folder / "model.json").is_file():
        return advice
    return f"{advice}, which model.json beside it names; test.py, infer.py and tools.serve take --export={folder}"


def is_tensorflow_shard(place: Path) -> bool:
    """Whether a file is the values of a TensorFlow checkpoint, which have no mark; the index beside it has."""
    stem, dash, _ = place.name.rpartition(".data-")
    index = place.with_name(f"{stem}.index")
    return bool(dash) and index.is_file() and recognise_file(index) is FileKind.TF_CHECKPOINT


def refuse_missing(place: Path, model_name: str | None) -> CheckpointError:
    """The error for a path that is not there. What begins with its name is named, as for ``TSN`` or ``model.ckpt``."""
    try:
        names = sorted(path.name for path in place.parent.iterdir() if path.name.startswith(f"{place.name}."))
    except OSError:
        names = []
    if f"{place.name}.pdparams" in names:
        return CheckpointError(f"{place} does not exist; give {place}.pdparams")
    if names and place.name:
        there = ", ".join(name_kind(place.with_name(name)) for name in names[:_MOST_KINDS])
        return CheckpointError(f"{place} does not exist, but {there}; {TAKEN}")
    return CheckpointError(f"{place} does not exist; give a checkpoint folder such as {model_name or 'TSN'}_epoch0")


def describe_contents(path: Path) -> str:
    """What a folder holds, as the end of a message; weights in it are named as what to give instead."""
    if not path.is_dir():
        return near(path) or "it is no checkpoint folder, which --resume takes; --pretrain begins with weights alone"
    names = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    if inner := [name for name in names if (path / name / WEIGHTS).is_file()]:
        return f"name one of the checkpoints in it: {', '.join(inner)}"
    if inner := [name for name in names if name.endswith(".pdparams")]:
        return f"name the weights in it: {', '.join(inner)}"
    if inner := [name for name in names[:_MOST_KINDS] if _recognise(path / name) in (K.TORCH, K.SAFETENSORS)]:
        return f"name the weights in it: {', '.join(inner)} ({OF_PYTORCH})"
    return f"it holds {', '.join(name_kind(path / name) for name in names[:_MOST_KINDS]) or 'nothing'}"


def name_kind(path: Path) -> str:
    """A file's name, with its kind where that says more."""
    kind = _recognise(path)
    kind = FileKind.TF_CHECKPOINT if kind is None and is_tensorflow_shard(path) else kind
    return path.name if kind in (None, FileKind.TEXT) else f"{path.name} ({kind})"


def _recognise(path: Path) -> FileKind | None:
    """The kind of a file; None for none, and for what cannot be read."""
    try:
        return recognise_file(path) if path.is_file() else None
    except OSError:
        return None
