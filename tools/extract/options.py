"""What the flags of python -m tools.extract say."""

from dataclasses import dataclass
from pathlib import Path

from datareader.clips.seconds import Pace
from datareader.extraction.backbone import Store
from datareader.extraction.youtube8m import Silent
from dataset.parts import Part
from tools.config.flags import ConfigSource
from tools.extract.groups import Format, Group


@dataclass(frozen=True)
class BackboneOptions:
    """Features of a network's backbone. model_name: None if not said."""

    weights: str
    model_name: str | None
    config: ConfigSource
    pace: Pace
    store: Store

    def settings(self) -> dict:
        return {
            "--every": str(self.pace.every_sec),
            "--segments": self.pace.segments,
            "--store": self.store.value,
        }


@dataclass(frozen=True)
class ExtractOptions:
    """Either videos or list_path; neither of a self_test.

    backbone: None for YouTube-8M's features. silent: what becomes of videos without sound. threads, use_gpu: None if
    not said.
    """

    self_test: bool
    backbone: BackboneOptions | None
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
        own = self.backbone.settings() if self.backbone else {"--audio": self.silent.value}
        return {
            "program": "tools.extract",
            "--features": "backbone" if self.backbone else "youtube8m",
            "--format": self.form.name.lower(),
            **own,
            "--videos-per-file": self.videos_a_file,
        }

    def path_of(self, group: Group) -> Path:
        return group.path(self.output, self.form)
