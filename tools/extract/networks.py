"""How features are made, by the networks that make them."""

from pathlib import Path

from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import use_networks
from models.extractors import build_picture_network, build_sound_network
from tools.extract.options import ExtractOptions
from tools.inference.youtube8m import Published, open_published
from tools.runtime.device import start_paddle
from tools.weights.extractors import INCEPTION, find_extractor


def open_networks(options: ExtractOptions) -> tuple[Sight, Hearing, str]:
    """The senses of YouTube-8M's features, and a digest of their weights. Imports Paddle. Raises ZooError."""
    published = load_published(options)
    return *use_networks(published.look, published.listen, published.picture_pca, published.sound_pca), published.digest


def load_published(options: ExtractOptions) -> Published:
    """The networks and PCAs of YouTube-8M's features. Imports Paddle. Raises ZooError."""
    device = start_paddle(options.threads, options.use_gpu, gpu_wanted=True)
    return open_published(
        build_picture_network, build_sound_network, device, weights_dir=options.weights_dir, offline=options.offline
    )


def find_graph(options: ExtractOptions) -> Path:
    """The folder with what the archive of the picture network's graph holds. Raises ZooError."""
    return find_extractor(INCEPTION, weights_dir=options.weights_dir, offline=options.offline)
