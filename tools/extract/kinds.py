"""The kinds of features: what makes each, and what a record of each holds."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from datareader.clips.seconds import Pace
from datareader.clips.settings import build_clip_settings
from datareader.extraction import backbone, youtube8m
from datareader.extraction.extraction import Features, Hearing, Sight
from datareader.features.records import Expected
from tools.extract.networks import load_backbone, load_published
from tools.extract.options import BackboneOptions, ExtractOptions


class Kind(NamedTuple):
    """What makes features of one kind.

    make: the features and class ids of a video -> its record. Raises DataError. weights: a digest of those. device:
    which computes, "gpu" or "cpu".
    """

    sight: Sight
    hearing: Hearing | None
    make: Callable[[Features, tuple[int, ...] | None], youtube8m.Made]
    weights: str
    device: str


def open_kind(options: ExtractOptions) -> Kind:
    """Load the networks. Imports Paddle. Raises ZooError."""
    return _open_backbone(options.backbone, options) if options.backbone else _open_youtube8m(options)


def _open_youtube8m(options: ExtractOptions) -> Kind:
    published = load_published(options)
    sight, hearing = youtube8m.use_networks(
        published.look, published.listen, published.picture_pca, published.sound_pca
    )
    make = partial(youtube8m.make_record, silent=options.silent)
    return Kind(sight, hearing, make, published.digest, published.device)


def _open_backbone(chosen: BackboneOptions, options: ExtractOptions) -> Kind:
    loaded = load_backbone(chosen, options)
    settings = replace(build_clip_settings(loaded.config, "TEST"), num_clips=1, num_crops=1)
    sight = backbone.use_backbone(loaded.describe, settings, replace(chosen.pace, length=loaded.config.MODEL.seglen))
    return Kind(sight, None, partial(backbone.make_record, store=chosen.store), loaded.digest, loaded.device)


def pace_of(options: ExtractOptions) -> Pace:
    """As far as it is known before anything is loaded."""
    return options.backbone.pace if options.backbone else youtube8m.PACE


def expect_records(options: ExtractOptions, labelled: bool) -> Expected | None:
    """What the default configs say of records; None for those of a backbone, for which there is none."""
    if options.backbone:
        return None
    return Expected(("rgb", "audio"), (1024, 128), num_classes=3862, labels_needed=labelled)
