"""How long a run will take from where it is, by what its parts have taken so far."""

from collections import Counter

from tqdm import tqdm


class TimeLeft:
    """An estimate of the seconds to a run's end: its steps, checkpoints and validations still to come, as on average.

    What has not been timed yet is left out, such as the validation in the first epoch. valid_interval: in epochs, 0
    for never.
    """

    def __init__(self, steps_per_epoch: int, epochs: int, valid_interval: int):
        self._steps_per_epoch, self._epochs, self._valid_interval = steps_per_epoch, epochs, valid_interval
        self._seconds, self._counts = Counter(), Counter()

    def add(self, part: str, sec: float) -> None:
        """One "step", "save" at the end of an epoch, or "validation" took so long."""
        self._seconds[part] += sec
        self._counts[part] += 1

    def estimate(self, epoch: int, step: int) -> float | None:
        """Seconds from before a step of an epoch to the end; None before any step was timed."""
        if not self._counts["step"]:
            return None
        epochs = max(self._epochs - epoch, 0)
        every = self._valid_interval
        validations = max(self._epochs // every - epoch // every, 0) if every else 0
        to_come = {"step": epochs * self._steps_per_epoch - step, "save": epochs, "validation": validations}
        return sum(count * self._seconds[part] / max(self._counts[part], 1) for part, count in to_come.items())


def describe_left(sec: float | None) -> list[str]:
    """What a bar says of it; nothing while it is not known."""
    return [] if sec is None else [f"{tqdm.format_interval(sec)} left"]
