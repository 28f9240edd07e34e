"""What is known of TSN beside its code; see ``models/card.py``."""

from models.card import AVX2, AVX512, RESNET, TWO_CORES, TWO_CORES_AVX2, ModelCard, Paper, Scores, Speed

CARD = ModelCard(
    title="TSN",
    sentence="A ResNet describes one frame from each of a few equal segments of a video, and the mean of the "
    "descriptions is classified.",
    papers=(
        Paper(
            ("Wang", "Xiong", "Wang", "Qiao", "Lin", "Tang", "Van Gool"),
            "Temporal Segment Networks: Towards Good Practices for Deep Action Recognition",
            "ECCV",
            2016,
            arxiv="1608.00859",
        ),
        RESNET,
    ),
    scores=(
        Scores({"top-1": "0.66"}, "Kinetics-400 validation", "3 segments"),
        Scores({"top-1": "0.67"}, "Kinetics-400 validation", "7 segments"),
    ),
    speeds=(
        Speed("inference, one video of 3 frames, 224 px", 165, TWO_CORES),
        Speed("reading a 10 s mp4 of 340x256, GOP 250", 39, TWO_CORES),
        Speed("reading a 10 s mp4 of 340x256, GOP 12", 15, TWO_CORES),
        Speed("reading a 10 s JPEG pickle of 340x256", 3.5, TWO_CORES_AVX2),
        Speed("inference, batches of 1", 149, AVX512),
        Speed("inference, batches of 8", 134, AVX512),
        Speed("inference, batches of 32", 127, AVX512),
        Speed("inference, batches of 1, --precision bf16", 35.8, AVX512),
        Speed("inference, batches of 8, --precision bf16", 27.3, AVX512),
        Speed("inference, batches of 32, --precision bf16", 30.2, AVX512),
        Speed("training step, batches of 4", 777, AVX512),
        Speed("training step, batches of 4, --conv-engine onednn", 542, AVX512),
        Speed("training step, batches of 4, --conv-engine onednn --amp bf16", 242, AVX512),
        Speed("inference, batches of 1", 361, AVX2),
        Speed("inference, batches of 8", 338, AVX2),
        Speed("inference, batches of 32", 350, AVX2),
        Speed("training step, batches of 4", 1323, AVX2),
        Speed("training step, batches of 4, --conv-engine onednn", 1240, AVX2),
    ),
)
