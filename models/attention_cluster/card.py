"""What is known of AttentionCluster beside its code; see ``models/card.py``."""

from models.card import AVX2, AVX512, TWO_CORES, ModelCard, Paper, Scores, Speed

CARD = ModelCard(
    title="AttentionCluster",
    sentence="Many attention units a stream each average the frame features of a video with weights of their own, and "
    "two layers classify all of the averages.",
    papers=(
        Paper(
            ("Long", "Gan", "de Melo", "Wu", "Liu", "Wen"),
            "Attention Clusters: Purely Attention Based Local Feature Integration for Video Classification",
            "CVPR",
            2018,
            arxiv="1711.09550",
        ),
    ),
    scores=(Scores({"Hit@1": "0.87", "PERR": "0.78", "GAP": "0.84"}, "YouTube-8M validation"),),
    speeds=(
        Speed("inference, batches of 64", 1.3, TWO_CORES),
        Speed("training step, batches of 64", 5.7, TWO_CORES),
        Speed("inference, batches of 64", 1.27, AVX512),
        Speed("training step, batches of 64", 7.12, AVX512),
        Speed("inference, batches of 64", 2.36, AVX2),
        Speed("training step, batches of 64", 13.5, AVX2),
    ),
)
