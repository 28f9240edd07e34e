"""NeXtVLAD from a config: keys, whitening, network, optimizer. Needs Paddle only once it builds something."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.feature_spec import FeatureModelSection, FeatureSpec, FeatureTrainSection, feature_schema
from models.nextvlad.card import CARD
from models.spec import Choice
from tools.config.load import Config, Override
from tools.config.schema import key
from tools.errors import ConfigError, ConfigFileError
from tools.files.arrays import NoArrayError, load_npy
from tools.files.sums import SumError, accept_or_renew, check_sums, sums_beside
from tools.registry import MODELS


def load_whitening(path: str, feature_size: int, where: str) -> np.ndarray:
    """What the rgb features are multiplied by: sqrt(eigenvalue) + 1e-4, (feature_size,) float32.

    path: eigenvalues of YouTube-8M's published PCA, an .npy of at least feature_size numbers.
    Raises ConfigFileError, beginning with ``where``, for a file that is missing, holds something else or is not what
    the sums say that tools.download leaves beside it.
    """
    where = f"{where}: eigen_file {path}"
    if not Path(path).is_file():
        raise ConfigFileError(
            f"{where} does not exist; it is the eigenvals.npy of YouTube-8M's published PCA (yt8m_pca.tgz at "
            f'data.yt8m.org): put it there, or let "python -m tools.download eigenvals --output {path}" fetch it',
            missing=path,
        )
    try:
        with contextlib.suppress(FileNotFoundError):
            check_sums(sums_beside(Path(path)), Path(path).parent)
        values = load_npy(Path(path))
    except SumError as error:
        raise ConfigFileError(f"{where}: {error}; {accept_or_renew(Path(path))}") from None
    except (OSError, NoArrayError) as error:
        raise ConfigFileError(f"{where} is not a NumPy array ({error})") from None
    if values.size < feature_size or values.size != max(values.shape, default=0) or values.dtype.kind != "f":
        raise ConfigFileError(
            f"{where} is a {values.shape} {values.dtype} array; expected (2048, 1) float32, of which the first "
            f"{feature_size} (video_feature_size) are used"
        )
    values = values.reshape(-1)[:feature_size].astype(np.float32)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ConfigFileError(f"{where} holds values that are negative or not finite; eigenvalues are neither")
    return np.sqrt(values) + np.float32(1e-4)


def check_sizes(config: Config) -> None:
    """Groups divide the expanded features, the gate divides the hidden layer, and the eigenvalues are there."""
    model, where = config.MODEL, config.where("MODEL")
    sizes = {"video_feature_size": model.video_feature_size, "audio_feature_size": model.audio_feature_size}
    for name, size in sizes.items():
        width = model.expansion * (size or 0)
        if width % model.groups:
            raise ConfigError(
                f"{where}: groups = {model.groups} does not divide expansion * {name} = {width}; "
                f"a divisor of {width} works, such as {max(g for g in range(1, model.groups) if width % g == 0)}"
            )
    if model.hidden_size % model.gating_reduction:
        raise ConfigError(
            f"{where}: gating_reduction = {model.gating_reduction} does not divide hidden_size = {model.hidden_size}"
        )
    choose_whitening(model, where)


def choose_whitening(model, where: str) -> np.ndarray:
    """What the rgb features are multiplied by, (video_feature_size,) float32: 1 where MODEL.eigen_file is None."""
    if model.eigen_file is None:
        return np.ones(model.video_feature_size, np.float32)
    return load_whitening(model.eigen_file, model.video_feature_size, where)


@dataclass(frozen=True, kw_only=True)
class ModelSection(FeatureModelSection):
    """MODEL of NeXtVLAD, which calls the widths of its two streams by names of their own."""

    video_feature_size: int = key(minimum=1, meaning="width of the rgb features")
    audio_feature_size: int | None = key(None, minimum=1, meaning="width of the audio features; None for rgb alone")
    cluster_size: int = key(minimum=1, meaning="clusters")
    hidden_size: int = key(minimum=1, meaning="width of the hidden layer")
    groups: int = key(minimum=1, meaning="groups that the expanded features are split into")
    expansion: int = key(minimum=1, meaning="times that the width of the features is expanded")
    drop_rate: float = key(minimum=0, below=1, meaning="dropout; evaluation multiplies by 1 - drop_rate")
    gating_reduction: int = key(minimum=1, meaning="the gate works on this part of the hidden layer")
    eigen_file: str | None = key(
        meaning="eigenvalues that whiten rgb; None for features that are not those of YouTube-8M's PCA"
    )

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ("rgb",) if self.audio_feature_size is None else ("rgb", "audio")

    @property
    def feature_dims(self) -> tuple[int, ...]:
        return tuple(filter(None, (self.video_feature_size, self.audio_feature_size)))


@dataclass(frozen=True, kw_only=True)
class TrainSection(FeatureTrainSection):
    """TRAIN of NeXtVLAD."""

    lr_boundary_examples: int = key(minimum=1, meaning="videos after which the learning rate falls, again and again")
    max_iter: int = key(minimum=1, meaning="steps after which it falls no more")
    learning_rate_decay: float = key(minimum=0, meaning="the factor by which it falls")
    l2_penalty: float = key(minimum=0, meaning="L2 decay of the classifier, and of nothing else")
    gradient_clip_norm: float = key(
        minimum=0, meaning="the largest norm of all gradients together, where apply_gradient_clip is True"
    )
    apply_gradient_clip: bool = key(False, meaning="whether gradient_clip_norm holds; in 2019 it did not")
    sort_by_length: bool = key(False, meaning="training batches hold videos of similar length")


@MODELS.register("NEXTVLAD")
class NeXtVLADSpec(FeatureSpec):
    """Adam; the rate falls by a factor every so many examples; L2 decay on the classifier alone."""

    reader = "feature_frames_unbiased_rgb"  # the network whitens its rgb itself
    card = CARD
    default_config = "configs/nextvlad.txt"
    optimizer_states = 2
    bytes_per_value = 70
    schema = feature_schema(ModelSection, TrainSection, check=check_sizes)

    def build_network(self, config):
        from models.nextvlad.nextvlad import NeXtVLAD

        model = config.MODEL
        return NeXtVLAD(
            video_feature_size=model.video_feature_size,
            audio_feature_size=model.audio_feature_size,
            cluster_size=model.cluster_size,
            hidden_size=model.hidden_size,
            groups=model.groups,
            expansion=model.expansion,
            gating_reduction=model.gating_reduction,
            num_classes=model.num_classes,
            drop_rate=model.drop_rate,
            whitening=choose_whitening(model, config.where("MODEL")),
        )

    def graph(self, network):
        from models.nextvlad.nextvlad import PaddedNeXtVLAD

        return PaddedNeXtVLAD(network)

    def program_overrides(self, config):
        return [Override("MODEL", "eigen_file", None, "the exported program")]

    def build_optimizer(self, config, network):
        from models.optimizers import FluidAdam, split_parameters

        train = config.TRAIN
        classifier, others = split_parameters(network, lambda name: name.startswith(network.classifier))
        groups = [{"params": classifier, "weight_decay": train.l2_penalty}, {"params": others}]
        return FluidAdam(train.learning_rate, groups)

    def gradient_clip(self, config):
        """2019: gradient_clip_norm was read and never applied; the paper's authors clip at 1.0."""
        return config.TRAIN.gradient_clip_norm if config.TRAIN.apply_gradient_clip else 0.0

    def build_schedule(self, config, steps_per_epoch):
        train = config.TRAIN
        boundary = max(1, train.lr_boundary_examples // train.batch_size)  # 2019: looped for ever when it was 0
        return lambda step: (
            train.learning_rate * train.learning_rate_decay ** (min(step, train.max_iter - 1) // boundary)
        )

    def fit_schedule(self, num_videos, epochs):
        """Published are 2,000,000 examples, of which 6 epochs of YouTube-8M's 3.9 million training videos hold 12."""
        reason = "a twelfth of what the epochs hold, so that the rate falls about as often as published"
        return {"lr_boundary_examples": Choice(max(epochs * num_videos // 12, 1), reason)}

    def notices(self, config, num_videos):
        train = config.TRAIN
        if train.epoch * num_videos > train.lr_boundary_examples:
            return []
        return [
            f"{config.where('TRAIN')}: lr_boundary_examples = {train.lr_boundary_examples}, but {train.epoch} epochs "
            f"of the list's {num_videos} videos are no more; the learning rate never falls"
        ]

    def make_placeholders(self, folder):
        path = folder / "eigenvals.npy"
        np.save(path, np.ones((1 << 14, 1), np.float32))
        return [Override("MODEL", "eigen_file", str(path), "eigen_file")]
