"""What is known of NeXtVLAD beside its code; see ``models/card.py``."""

from models.card import AVX2, AVX512, TWO_CORES, ModelCard, Paper, Scores, Speed

CARD = ModelCard(
    title="NeXtVLAD",
    sentence="Frame features are expanded and split into groups, whose distances to learnt cluster centres are summed "
    "over the video, and a gated layer classifies the sums.",
    papers=(
        Paper(
            ("Lin", "Xiao", "Fan"),
            "NeXtVLAD: An Efficient Neural Network to Aggregate Frame-level Features for Large-scale Video "
            "Classification",
            "ECCV workshops",
            2018,
            arxiv="1811.05014",
        ),
    ),
    scores=(Scores({"Hit@1": "0.8960", "PERR": "0.8132", "GAP": "0.8709"}, "YouTube-8M validation"),),
    speeds=(
        Speed("inference, batches of 64", 31, TWO_CORES),
        Speed("training step, batches of 64", 64, TWO_CORES),
        Speed("inference, batches of 64", 15.7, AVX512),
        Speed("training step, batches of 64", 42.3, AVX512),
        Speed("inference, batches of 64", 30.6, AVX2),
        Speed("training step, batches of 64", 80.8, AVX2),
    ),
)
