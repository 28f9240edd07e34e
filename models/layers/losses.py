"""Losses that several networks share, and what becomes of several views of one video."""

import math

import paddle.nn.functional as F


def multilabel_losses(logits, labels):
    """Sigmoid cross entropy of each video, summed over classes.

    logits, labels: (N, num_classes) float32, labels 0 or 1. Returns (N,) float32.
    """
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(axis=1)


def class_losses(logits, labels):
    """Softmax cross entropy of each video; 0 where the label is -1.

    logits: (N, num_classes) float32. labels: (N,) int64. Returns (N,) float32.

    2019: a video with label -1 has no loss but counts among the N that a batch's mean divides by.
    """
    return F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")


def average_views(logits, views: int):
    """Scores of videos that were seen several times: the log of their mean probabilities.

    logits: (N * views, num_classes) float32, the views of a video one after another. Returns
    (N, num_classes) float32, of which the softmax is the mean of the views' softmax.
    """
    views_of_videos = F.log_softmax(logits, axis=-1).reshape([-1, views, logits.shape[1]])
    return views_of_videos.logsumexp(axis=1) - math.log(views)
