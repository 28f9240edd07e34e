"""Losses that several networks share."""

import paddle.nn.functional as F


def multilabel_losses(logits, labels):
    """Sigmoid cross entropy of each video, summed over classes.

    logits, labels: (N, num_classes) float32, labels 0 or 1. Returns (N,) float32.
    """
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(axis=1)
