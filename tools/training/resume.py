"""Where a training starts: from a checkpoint, its own or one of 2019, or from the beginning. Imports Paddle."""

import logging
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import paddle

from tools.distributed.group import ProcessGroup
from tools.errors import CheckpointError, ConfigError
from tools.runtime.log import record_event, restart_files
from tools.training.amp import MixedPrecision
from tools.training.changes import Changes
from tools.training.checkpoint import Checkpoint, CheckpointStore, Progress, load_checkpoint
from tools.training.ema import ExponentialMovingAverage
from tools.training.ending import describe_score
from tools.training.fluid_checkpoint import as_checkpoint
from tools.training.frozen import FrozenBackbone, names_of_backbone
from tools.training.optimizer_state import load_into_optimizer
from tools.training.options import TrainingOptions
from tools.weights.checkpoint_files import STATE, network_arrays
from tools.weights.files import FLUID_FILE, FLUID_FOLDER, load_weights, recognise
from tools.weights.fluid_names import published
from tools.weights.loading import load_into_network, own_file

log = logging.getLogger(__name__)

_SETTINGS = ("batch_size", "seed", "records", "data", "world")  # of Progress, which are those of the run and not saved


@dataclass
class TrainingState:
    """What changes while a run trains, and what a checkpoint keeps of it. ema: None without averaged weights."""

    network: paddle.nn.Layer
    optimizer: paddle.optimizer.Optimizer
    progress: Progress
    amp: MixedPrecision
    ema: ExponentialMovingAverage | None

    def checksum(self) -> int:
        """Of the weights."""
        checksum = 0
        for array in network_arrays(self.network).values():
            checksum = zlib.crc32(array.tobytes(), checksum)
        return checksum


def build_state(spec, config, options: TrainingOptions, dataset, world: int) -> TrainingState:
    """A training before its first step, with random weights."""
    train = config.TRAIN
    paddle.seed(train.seed)
    network = spec.build_network(config)
    if options.sync_bn:
        network = paddle.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    amp = options.amp
    if options.conv_engine == "onednn":
        train_by_onednn(network, amp)
        amp = "off"  # of all else, which is small, and gains nothing on a CPU
    return TrainingState(
        network,
        spec.build_optimizer(config, network),
        Progress(train.batch_size, train.seed, len(dataset), dataset.checksum(), world=world),
        MixedPrecision(amp),
        ExponentialMovingAverage(network, options.ema) if options.ema else None,
    )


def train_by_onednn(network, amp: str = "off") -> None:
    """Have oneDNN train the network's ResNet. Raises ConfigError where it has none, and without a oneDNN.

    amp: "bf16" for maps of bfloat16, "off" for float32.
    """
    part = published(network, "pretrained_part")
    if part is None:
        raise ConfigError(
            f"--conv-engine onednn trains a ResNet, and {type(network).__name__} has none; TSN and STNET have one"
        )
    getattr(network, part).train_by_onednn({"off": "float32", "bf16": "bfloat16"}[amp])


def find_checkpoint(
    resume: str, model_name: str, state: TrainingState, steps_per_epoch: int, group: ProcessGroup,
    store: CheckpointStore | None,
) -> Checkpoint | None:  # fmt: skip
    """What --resume names; with "auto" the latest that is whole, None where there is none.

    store: of the first process. Raises CheckpointError for one that cannot be used.
    """

    def load(path: Path) -> Checkpoint:
        if recognise(str(path), model_name) not in (FLUID_FOLDER, FLUID_FILE):
            return load_checkpoint(path, model_name)
        file = load_weights(str(path), model_name)
        return as_checkpoint(file, state.network, state.optimizer, state.progress, steps_per_epoch, model_name)

    if resume != "auto":
        return load(Path(resume))
    checkpoint = _find_latest(store, load) if group.is_first else None
    path = group.broadcast(lambda: checkpoint and checkpoint.path)
    return load(path) if path and not checkpoint else checkpoint


def _find_latest(store: CheckpointStore, load) -> Checkpoint | None:
    for path in store.found():
        try:
            return load(path)
        except CheckpointError as error:
            log.info(f"skipped: {error}")
    log.info(f"--resume auto: no whole checkpoint in {store.save_dir}, starting from the beginning")
    return None


def restore(
    state: TrainingState, checkpoint: Checkpoint, changes: Changes, metric, frozen: FrozenBackbone | None = None
) -> None:
    """Continue from a checkpoint, and log what is as it was and what is not. Raises CheckpointError.

    metric: of the validations; see ``metrics/metric.py``. frozen: the backbone that is trained later, or never.
    """
    saved, now = checkpoint.progress, state.progress
    load_into_network(state.network, own_file(str(checkpoint.path), checkpoint.weights))
    if checkpoint.optimizer is not None:
        was_frozen = checkpoint.flags is not None and checkpoint.flags.get("--freeze") is not None
        names = names_of_backbone(state.network) if frozen or was_frozen else set()
        of_frozen = {"frozen" if frozen and frozen.is_due(saved.epoch) else "new": names}
        load_into_optimizer(state.optimizer, state.network, checkpoint.optimizer, str(checkpoint.path), **of_frozen)
    if state.ema and checkpoint.averaged:
        state.ema.restore(checkpoint.averaged, str(checkpoint.path))
    state.amp.restore(saved.loss_scaling)
    state.progress = replace(saved, **{name: getattr(now, name) for name in _SETTINGS})
    has_best = saved.best_score is not None
    best = f", best {describe_score(metric, saved.best_score)} at epoch {saved.best_epoch}" if has_best else ""
    log.info(
        f"resumed {checkpoint.path}: weights{', optimizer' * (checkpoint.optimizer is not None)} "
        f"and {saved.steps_taken} steps of the schedule; "
        f"next is epoch {saved.epoch}, iter {saved.step}{best}"
    )
    for note in [*changes.lines(), *changes.notes, *_list_notes(state, checkpoint, changes)]:
        log.info(f"resumed {checkpoint.path}: {note}")


def _list_notes(state: TrainingState, checkpoint: Checkpoint, changes: Changes) -> list[str]:
    notes = [*checkpoint.notes]
    if changes.of_order and checkpoint.progress.step:
        notes.append("of this epoch's records some may come twice and others not at all")
    if state.ema and not checkpoint.averaged:
        notes.append("it holds no averaged weights: they begin with these")
    if checkpoint.averaged and not state.ema:
        notes.append("its averaged weights are not kept on without --ema")
    return notes


def set_later_aside(
    state: TrainingState, store: CheckpointStore, checkpoint: Checkpoint | None, here: bool
) -> Progress:
    """Move aside what an earlier run left in save_dir behind the place where this one begins.

    here: whether the checkpoint to resume lies in save_dir; if not, this is another run, with logs of its own. Returns
    the run's progress, without a best score where the best checkpoint is not here.
    """
    progress = state.progress
    if moved := store.set_aside((progress.epoch, progress.step) if here else None):
        restart_files()
        names = [path.name for path in moved.iterdir()]
        kinds = ["checkpoints"] * any((moved / name / STATE).exists() for name in names)
        kinds += ["logs"] * any(name.endswith(".log") for name in names)
        log.info(f"{' and '.join(kinds)} of an earlier run are now in {moved}")
    if here:
        store.drop_old()
    if not checkpoint:
        record_event("begin")
    elif progress.best_score is not None and not store.best_path.exists():
        log.info(f"there is no {store.best_path.name} here: the best is looked for anew")
        progress.best_score = progress.best_loss = progress.best_epoch = None
        progress.validations_since_best = 0
        progress.validated = False
    return progress
