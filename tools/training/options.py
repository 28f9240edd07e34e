"""What the flags of train.py say of a training; its config says the rest."""

from dataclasses import dataclass, fields

# Of places, of the machine, and of where weights come from: the processes of a run may have their own.
_OWN = {"save_dir", "keep", "pretrain", "resume", "visualdl", "weights_dir", "offline", "cache_size", "cache_dir"}
# Nothing that is learnt goes by those or these, but what is saved, scored and told, and what is let pass.
_WITHOUT_EFFECT = _OWN | {
    "save_every",
    "valid_interval",
    "valid_first",
    "log_interval",
    "early_stop",
    "skip_broken",
    "resume_changed",
}


@dataclass(frozen=True)
class TrainingOptions:
    """One training.

    resume: a checkpoint, or "auto" for the latest in save_dir. resume_changed: also inside an epoch with settings that
    are not the checkpoint's. save_every, log_interval: in steps, 0 for never.
    keep: finished epochs to keep besides the best, 0 for all. valid_interval: in epochs, 0 for never.
    accumulate: micro-batches that each process's batch is split into. conv_engine: "onednn" where that computes the
    ResNet of TSN or STNET. grad_clip: the largest norm of all
    gradients together, 0 for what the config says. ema: decay of the averaged weights. label_smoothing: of the
    training's loss, 0 for none. early_stop: after so many validations without a better score, 0 for never.
    visualdl: a folder for scalars, None for none. weights_dir, offline: as ``find_released`` takes them.
    freeze: "backbone" for what stays as it is, up to epoch unfreeze_at, or to the end where that is None.
    cache_views: so many augmented views of a clip then, 0 for the one of a test. cache_size: gigabytes for what it
    makes of clips, 0 for none; cache_dir: their folder, None for one of the user's.
    """

    save_dir: str = "checkpoints"
    pretrain: str | None = None
    resume: str | None = None
    resume_changed: bool = False
    save_every: int = 0
    keep: int = 0
    valid_interval: int = 1
    valid_first: bool = False
    log_interval: int = 10
    skip_broken: int = 0
    accumulate: int = 1
    amp: str = "off"
    sync_bn: bool = False
    conv_engine: str = "paddle"
    grad_clip: float = 0.0
    ema: float | None = None
    label_smoothing: float = 0.0
    early_stop: int = 0
    visualdl: str | None = None
    freeze: str | None = None
    unfreeze_at: int | None = None
    cache_views: int = 0
    cache_size: float = 10.0
    cache_dir: str | None = None
    weights_dir: str | None = None
    offline: bool = False

    def changed(self) -> dict[str, str]:
        """Flag -> value of those that are not as by default, but for where things lie and what is kept of them."""
        of_places = _OWN - {"pretrain"}
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self) if one.name not in of_places}
        return {_flag(name): str(value) for name, (value, default) in values.items() if value != default}

    def learning(self) -> dict[str, object]:
        """Flag -> value, of those that change what is learnt."""
        names = (field.name for field in fields(self) if field.name not in _WITHOUT_EFFECT)
        return {_flag(name): getattr(self, name) for name in names}

    def shared(self) -> dict[str, object]:
        """Flag -> value, of those that all processes of a run must have the same."""
        names = (field.name for field in fields(self) if field.name not in _OWN)
        flags = {_flag(name): getattr(self, name) for name in names}
        return {**flags, "--resume auto": self.resume == "auto"}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
