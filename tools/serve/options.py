"""What the flags of python -m tools.serve say."""

from dataclasses import dataclass

from tools.config.flags import EngineOptions, RunOptions

IN_ANSWERS = 20  # classes of a video where ?topk= does not say, as infer.py keeps
MOST_PARTS = 2_000  # windows or videos in an answer
MOST_ROWS = 100_000  # classes of all of them together


@dataclass(frozen=True)
class Limits:
    """What a stranger may use up.

    queue: requests that wait, from their first byte on, beside those that are decoded. upload_bytes: of a file.
    slow_sec: how far an upload may fall behind the least rate. decode_bytes: of memory beyond what the process has at
    its start.
    """

    queue: int
    upload_bytes: int
    slow_sec: float
    decode_processes: int
    decode_bytes: int
    decode_sec: float

    @property
    def most_requests(self) -> int:
        """That are under way, so many uploads are on the disk at most."""
        return self.queue + self.decode_processes


@dataclass(frozen=True)
class ServeOptions:
    """batch_size: None for the config's. allowed_hosts: names besides the usual ones of this machine."""

    run: RunOptions
    engine: EngineOptions
    weights: str | None
    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    batch_size: int | None
    batch_wait_sec: float
    grace_sec: float
    limits: Limits
