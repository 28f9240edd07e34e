"""What is known of AttentionLSTM beside its code; see ``models/card.py``."""

from models.card import AVX2, AVX512, TWO_CORES, ModelCard, Paper, Scores, Speed

CARD = ModelCard(
    title="AttentionLSTM",
    sentence="LSTMs with peepholes read the frame features of each stream forward and backward, attention over the "
    "frames sums up what they say, and two layers classify it.",
    papers=(
        Paper(
            ("Gers", "Schraudolph", "Schmidhuber"),
            "Learning Precise Timing with LSTM Recurrent Networks",
            "JMLR",
            2002,
            what="the LSTM with peepholes",
        ),
        Paper(
            ("Zhou", "Shi", "Tian", "Qi", "Li", "Hao", "Xu"),
            "Attention-Based Bidirectional Long Short-Term Memory Networks for Relation Classification",
            "ACL",
            2016,
            doi="10.18653/v1/P16-2034",
            what="the attention over its outputs",
        ),
    ),
    scores=(Scores({"Hit@1": "0.8885", "PERR": "0.8012", "GAP": "0.8594"}, "YouTube-8M validation"),),
    speeds=(
        Speed("inference, batches of 16", 140, TWO_CORES),
        Speed("training step, batches of 16", 480, TWO_CORES),
        Speed("inference, batches of 64", 94.5, AVX512),
        Speed("inference, batches of 16", 144, AVX512),
        Speed("training step, batches of 16", 395, AVX512),
        Speed("inference, batches of 16", 274, AVX2),
        Speed("training step, batches of 16", 820, AVX2),
    ),
)
