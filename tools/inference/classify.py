"""From batches to the best classes of each video."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tools.inference.predictions import VideoClasses, locate, name_class, rank_classes
from tools.runtime.log import progress_bar

log = logging.getLogger(__name__)


def classify(
    network,
    loader,
    top_k: int,
    names: list[str] | None,
    *,
    log_interval: int,
    shown: bool,
    keep: Callable[[Any], None] = lambda prediction: None,
) -> list[VideoClasses]:
    """The best top_k classes of each video, or of each span of it, in the order of the loader's batches; 0 means all.

    A video in spans counts once its last span has come. log_interval: batches between log lines, 0 for none. shown:
    whether there is a bar. keep: is given each ``Prediction``, with the probabilities of all classes.
    """
    from tools.inference.predict import predict  # imports Paddle

    results, under_way = [], []
    with progress_bar(max(len(loader), 1), 0, "inferring", loader.unit, shown=shown) as bar:
        for number, prediction in enumerate(predict(network, loader.epoch())):
            keep(prediction)
            batch = prediction.batch
            under_way = [*([] if batch.begins else under_way), *rank_batch(batch, prediction.probs, top_k)]
            if log_interval and number % log_interval == 0:
                last = under_way[-1]
                best = name_class(names, last.class_ids[0])
                # Beside a bar too: these are answers, not how far the work is.
                log.info(f"[INFER] iter {number:<4}, {last.name}: {best} {last.probs[0]:.4f}")
            if batch.ends:
                results += under_way
                under_way = []
            done = 1 if batch.spans is None else len(batch)
            bar.total = max(len(loader), bar.n + done)  # how many windows there are is known once videos are opened
            bar.update(done)
    return results


def rank_batch(batch, probs, top_k: int) -> list[VideoClasses]:
    """The best top_k classes of each record of a batch, 0 for all. probs: (N, num_classes)."""
    ranked = []
    for i in range(len(batch)):
        values, class_ids = rank_classes(probs[i], top_k)
        ranked.append(replace(locate(batch, i), probs=values, class_ids=class_ids))
    return ranked
