"""What the flags of python -m tools.extract say."""

from dataclasses import dataclass
from pathlib import Path

from datareader.extraction.youtube8m import Silent
from dataset.parts import Part
from tools.extract.groups import Format, Group


@dataclass(frozen=True)
class ExtractOptions:
    """Either videos or list_path; neither of a self_test.

    silent: what becomes of videos without sound. threads, use_gpu: None if not said.
    """

    self_test: bool
    videos: tuple[str, ...]
    list_path: str | None
    output: Path
    form: Format
    silent: Silent
    videos_a_file: int
    skip_broken: int
    part: Part
    merge: bool
    num_workers: int
    threads: int | None
    use_gpu: bool | None
    weights_dir: str | None
    offline: bool

    def settings(self) -> dict:
        """What the bytes of the files depend on, apart from videos and weights, for the output folder."""
        return {
            "program": "tools.extract",
            "--features": "youtube8m",
            "--format": self.form.name.lower(),
            "--audio": self.silent.value,
            "--videos-per-file": self.videos_a_file,
        }

    def path_of(self, group: Group) -> Path:
        return group.path(self.output, self.form)
