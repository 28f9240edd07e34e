"""How features are made, by the networks that make them."""

from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import use_networks
from models.extractors import build_picture_network, build_sound_network
from tools.extract.options import ExtractOptions
from tools.inference.youtube8m import open_published
from tools.runtime.device import start_paddle


def open_networks(options: ExtractOptions) -> tuple[Sight, Hearing, str]:
    """The senses of YouTube-8M's features, and a digest of their weights. Imports Paddle. Raises ZooError."""
    device = start_paddle(options.threads, options.use_gpu, gpu_wanted=True)
    published = open_published(
        build_picture_network, build_sound_network, device, weights_dir=options.weights_dir, offline=options.offline
    )
    return *use_networks(published.look, published.listen, published.picture_pca, published.sound_pca), published.digest
