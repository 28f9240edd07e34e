"""What is known of StNet beside its code; see ``models/card.py``."""

from models.card import AVX2, AVX512, RESNET, TWO_CORES, ModelCard, Paper, Scores, Speed

CARD = ModelCard(
    title="StNet",
    sentence="A ResNet works on a few neighbouring frames of each segment as on one image of many channels, blocks "
    "between its stages and an Xception block behind it mix the segments, and their maximum is classified.",
    papers=(
        Paper(
            ("He", "Zhou", "Gan", "Li", "Liu", "Li", "Wang", "Wen"),
            "StNet: Local and Global Spatial-Temporal Modeling for Action Recognition",
            "AAAI",
            2019,
            arxiv="1811.01549",
        ),
        RESNET,
    ),
    scores=(Scores({"top-1": "0.69"}, "Kinetics-400 validation", "25 segments, crop 256"),),
    speeds=(
        Speed("reading a 10 s mp4 of 340x256, GOP 250", 64, TWO_CORES),
        Speed("reading a 10 s mp4 of 340x256, GOP 12", 55, TWO_CORES),
        Speed("reading a 10 s JPEG pickle of 340x256", 32, TWO_CORES),
        Speed("inference, batches of 1", 436, AVX512),
        Speed("inference, batches of 8", 427, AVX512),
        Speed("inference, batches of 1, --precision bf16", 106, AVX512),
        Speed("inference, batches of 8, --precision bf16", 98.5, AVX512),
        Speed("training step, batches of 2", 2534, AVX512),
        Speed("training step, batches of 2, --conv-engine onednn", 2028, AVX512),
        Speed("training step, batches of 2, --conv-engine onednn --amp bf16", 1126, AVX512),
        Speed("inference, batches of 1", 1180, AVX2),
        Speed("inference, batches of 8", 1134, AVX2),
        Speed("training step, batches of 2, --conv-engine onednn", 3744, AVX2),
    ),
)
