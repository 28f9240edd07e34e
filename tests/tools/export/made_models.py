"""Made weights of all five models, at small and at published sizes, and videos for them."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from tests.conftest import PROJECT, clean_env, make_record, run_script
from tests.datareader.clips.videos import Clip, make_clip
from tests.models.clip_networks import settle
from tools.config.flags import ConfigSource, read_config
from tools.config.load import Override
from tools.registry import MODELS

MODEL_NAMES = ("AttentionCluster", "AttentionLSTM", "NEXTVLAD", "STNET", "TSN")
STEMS = {name: Path(MODELS.get(name).default_config).name for name in MODEL_NAMES}
SMALL = {
    "AttentionCluster": {"cluster_nums": [3, 2], "seg_num": 7},
    "AttentionLSTM": {"embedding_size": 6, "lstm_size": 5},
    "NEXTVLAD": {"cluster_size": 4, "hidden_size": 16},
}
FILMS = [
    Clip("film.mp4", "libx264", num_frames=40, size=(160, 96)),
    Clip("turned left.mp4", "libx264", num_frames=9, size=(160, 96), rotation=90),
    Clip("turned right.mov", "libx264", size=(80, 48), rotation=-90),
]


def set_flags(settings: dict[str, object]) -> list[str]:
    return [f"--set={name}={value!r}" for name, value in settings.items()]


class MadeModel:
    """A folder with weights, a list of a few videos, and the flags that name them. is_small: or of published size."""

    def __init__(self, name: str, folder: Path, *, is_small: bool, **of_infer):
        self.name, self.folder = name, folder
        config = f"configs/demo/{STEMS[name]}" if is_small else f"configs/{STEMS[name]}"
        settings = {f"MODEL.{key}": value for key, value in SMALL.get(name, {}).items() if is_small}
        settings |= {f"INFER.{key}": value for key, value in of_infer.items()}
        settings["INFER.class_names"] = None
        if name == "NEXTVLAD":
            settings["MODEL.eigen_file"] = str(folder / "eigenvals.npy")
            np.save(folder / "eigenvals.npy", np.linspace(3, 0.01, 1024).astype(np.float32)[:, None])
        self.model_flags = [f"--model-name={name}", f"--config={PROJECT / config}", *set_flags(settings)]
        self.files = self._make_videos()
        (folder / "videos.list").write_text("".join(f"{path.name}\n" for path in self.files))
        self.flags = ["--filelist=videos.list", "--weights=made.pdparams", *self.model_flags]
        overrides = tuple(Override(*key.split("."), value, "--set") for key, value in settings.items())
        spec = MODELS.get(name)()
        self.config = read_config(ConfigSource(str(PROJECT / config), overrides), spec, name, ["MODEL", "INFER"])
        paddle.seed(0)
        network = spec.build_network(self.config)
        settle(network)
        state = {key: value.numpy() for key, value in network.state_dict().items()}
        (folder / "made.pdparams").write_bytes(pickle.dumps(state, protocol=4))

    def _make_videos(self) -> list[Path]:
        if self.name in ("TSN", "STNET"):
            for film in FILMS:
                make_clip(self.folder, film)
            return [self.folder / film.name for film in FILMS]
        rng = np.random.default_rng(1)
        records = [make_record(rng, f"video{i}", frames=frames) for i, frames in enumerate((4, 30, 17, 9))]
        (self.folder / "records.pkl").write_bytes(pickle.dumps(records, protocol=4))
        return [self.folder / "records.pkl"]

    def export(self, target: str, *flags: str, check: bool = True) -> subprocess.CompletedProcess:
        flags = ["--weights=made.pdparams", *self.model_flags, *flags]
        return run_script("tools/export/__main__", target, *flags, cwd=self.folder, as_given=True, check=check)

    def infer(self, *flags: str) -> dict[str, dict[int, float]]:
        """Id -> class -> probability, of every class."""
        more = ["--infer-topk=0", "--log-interval=0", "--save-dir=results"]
        run_script("infer", *flags, *more, cwd=self.folder, as_given=True)
        results = pickle.loads((self.folder / "results" / f"{self.name}_infer_result").read_bytes())
        return {name: dict(zip(class_ids, probs, strict=True)) for name, probs, class_ids in results}

    def run_example(self, target: str, path: Path) -> list[str]:
        """What example.py prints."""
        command = [sys.executable, str(self.folder / target / "example.py"), str(path)]
        done = subprocess.run(
            command, cwd="/", env=clean_env(), capture_output=True, text=True, check=False, timeout=300
        )
        assert not done.returncode, done.stderr
        return done.stdout.splitlines()
