"""Losses that several networks share, and what becomes of several views of one video."""

import math

import paddle
import paddle.nn.functional as F


def multilabel_losses(logits, labels, class_weights=None, label_smoothing: float = 0.0):
    """Sigmoid cross entropy of each video, summed over classes.

    logits, labels: (N, num_classes) float32, labels 0 or 1. Returns (N,) float32.
    class_weights: (num_classes,) float32; the term of each class that a video has is multiplied by its weight, and
    those of the classes that it has not stay as they are.
    label_smoothing: how far labels move towards 1/2, where the sigmoid says nothing: y becomes
    ``(1 - label_smoothing) * y + label_smoothing / 2``.
    """
    targets = labels * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else labels
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if class_weights is not None:
        losses = losses * (1 + (class_weights - 1) * labels)
    return losses.sum(axis=1)


def class_losses(logits, labels, class_weights=None, label_smoothing: float = 0.0):
    """Softmax cross entropy of each video; 0 where the label is -1.

    logits: (N, num_classes) float32. labels: (N,) int64. Returns (N,) float32.
    class_weights: (num_classes,) float32; the loss of a video is multiplied by the weight of its class.
    label_smoothing: the share of each label that is spread over all classes; Szegedy et al., "Rethinking the Inception
    Architecture", CVPR 2016 (arXiv:1512.00567), section 7.

    2019: a video with label -1 has no loss but counts among the N that a batch's mean divides by.
    """
    losses = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
    if label_smoothing:
        of_all_classes = (logits.logsumexp(axis=1) - logits.mean(axis=1)) * (labels != -1).astype(logits.dtype)
        losses = (1 - label_smoothing) * losses + label_smoothing * of_all_classes
    if class_weights is not None:
        losses = losses * paddle.gather(class_weights, labels.clip(min=0))
    return losses


def average_views(logits, views: int):
    """Scores of videos that were seen several times: the log of their mean probabilities.

    logits: (N * views, num_classes) float32, the views of a video one after another. Returns
    (N, num_classes) float32, of which the softmax is the mean of the views' softmax.
    """
    views_of_videos = F.log_softmax(logits, axis=-1).reshape([-1, views, logits.shape[1]])
    return views_of_videos.logsumexp(axis=1) - math.log(views)
