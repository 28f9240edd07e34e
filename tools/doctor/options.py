"""What the doctor's flags say."""

from dataclasses import dataclass

from tools.config.flags import RunOptions


@dataclass(frozen=True)
class DoctorOptions:
    """run: the flags that the scripts share. The others are called as their flags.

    sections: those that are named, each once; none for all there are. json: a file, or "-" for standard output.
    """

    run: RunOptions
    sections: tuple[str, ...] = ()
    deep: bool = False
    json: str | None = None
    write_clean_list: str | None = None
    weights: str | None = None
    pretrain: str | None = None
    save_dir: str = "checkpoints"
    accumulate: int = 1
    keep: int = 0
    valid_interval: int = 1

    @property
    def counted(self) -> tuple[str, ...]:
        """The sections that decide the exit code: those that are named, or else those that training reads."""
        return self.sections or ("TRAIN", *["VALID"] * bool(self.valid_interval))

    @property
    def is_training(self) -> bool:
        """Whether it is training that would start or fail."""
        return "TRAIN" in self.counted
