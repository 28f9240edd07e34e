"""What the flags of python -m tools.ensemble say."""

from dataclasses import dataclass
from pathlib import Path

from tools.inference.outputs import OutputOptions


@dataclass(frozen=True)
class EnsembleOptions:
    """weights: None if not said. search: whether weights are looked for, search_list: on which videos, None for all."""

    paths: tuple[Path, ...]
    weights: tuple[float, ...] | None
    search: bool
    search_list: str | None
    skip_missing: bool
    class_names: str | None
    top_k: int
    save_dir: Path
    csv_safe: bool
    outputs: OutputOptions

    @property
    def base(self) -> Path:
        """Where the results go, as those of infer.py do."""
        return self.save_dir / "ensemble_infer_result"
