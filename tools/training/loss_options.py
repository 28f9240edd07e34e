"""What the loss of a training is beside logits and labels. Paddle is imported inside functions."""

import logging
from typing import Any

import numpy as np

from tools.config.load import Config
from tools.errors import DataError
from tools.training.options import TrainingOptions

log = logging.getLogger(__name__)


def build_loss_options(config: Config, options: TrainingOptions, dataset) -> dict[str, Any]:
    """What ``network.losses`` takes in training; nothing where neither weights nor smoothing are asked for."""
    found = {}
    if options.label_smoothing:
        found["label_smoothing"] = options.label_smoothing
    weights = config.TRAIN.class_weights
    if weights == "balanced":
        counts = dataset.class_counts()
        if not counts.any():
            raise DataError(f'{dataset.name}: no record has a class, by which class_weights = "balanced" could go')
        weights = balance(counts)
        log.info(describe(weights, counts))
    if weights is not None:
        import paddle

        found["class_weights"] = paddle.to_tensor(np.array(weights, np.float32))
    return found


def balance(counts: np.ndarray) -> np.ndarray:
    """Weights by which all classes count the same in a loss, and all labels together as much as without weights.

    counts: (num_classes,) how many records have each class. Returns (num_classes,) float64,
    ``labels / (classes that have any * count)``: King & Zeng, "Logistic Regression in Rare Events Data", Political
    Analysis 9 (2001), on weighting, in the form that scikit-learn calls "balanced". Where a record may have several
    classes, labels are counted and not records, or else the weights would be small. A class without records has
    weight 1, which changes nothing: no loss is multiplied by it.
    """
    present = counts > 0
    weights = np.ones(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def describe(weights: np.ndarray, counts: np.ndarray) -> str:
    """A line for the log on the smallest and the largest weight of the classes that have records."""
    present = np.flatnonzero(counts)
    ends = present[[np.argmin(weights[present]), np.argmax(weights[present])]]
    least, most = (f"{weights[i]:.3g} (class {i}, {counts[i]} records)" for i in ends)
    return f'class_weights = "balanced": {least} to {most}'
