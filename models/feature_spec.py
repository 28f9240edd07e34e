"""What the specs of the models on YouTube-8M features share: config keys and their checks. Without Paddle."""

from tools.config.load import Config, Key
from tools.errors import ConfigError


def youtube8m_sections(model: dict[str, Key], train: dict[str, Key]) -> dict[str, dict[str, Key]]:
    """Sections of a model on YouTube-8M features: its own keys and those all of them have."""
    data = {
        "batch_size": Key(int, minimum=1),
        "filelist": Key(str),
        "num_reader_threads": Key(int, default=2, minimum=0),
    }
    return {
        "MODEL": {
            **model,
            "num_classes": Key(int, minimum=1),
            "topk": Key(int, default=20, minimum=1),
        },
        "TRAIN": {
            "epoch": Key(int, minimum=1),
            "learning_rate": Key(float, minimum=0),
            **train,
            **data,
            "use_gpu": Key(bool, default=True),
            "seed": Key(int, default=0, minimum=0, below=2**63),
        },
        "VALID": data,
        "TEST": data,
        "INFER": {**data, "class_names": Key(str, default=None)},
    }


def check_streams(config: Config, keys: tuple[str, ...]) -> None:
    """Each of these keys of MODEL holds one value a stream, feature_num in all."""
    model = config.MODEL
    for key in keys:
        count = len(getattr(model, key))
        if count != model.feature_num:
            raise ConfigError(
                f"{config.where('MODEL')}: {key} has {count} entries, but feature_num = {model.feature_num}"
            )
