"""What a config says of clips."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipSettings:
    """What of a clip the network sees; the names are those of the config.

    num_clips, num_crops: views of a video in a test, whose probabilities are averaged.
    labels_needed: False when inferring.
    """

    num_classes: int
    seg_num: int
    seglen: int
    short_size: int
    target_size: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    keep_aspect: bool = False
    fast_decode: bool = False
    num_clips: int = 1
    num_crops: int = 1
    labels_needed: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one view: (S, 3 * L, H, W)."""
        return self.seg_num, 3 * self.seglen, self.target_size, self.target_size

    def describe(self) -> str:
        """The testing protocol, for the result table."""
        clips = f"{self.num_clips} clip{'s' * (self.num_clips > 1)}"
        crops = f"{self.num_crops} crops" if self.num_crops > 1 else "the centre crop"
        return f"{clips} x {crops}, {self.describe_view()}"

    def describe_view(self) -> str:
        """What one view of a clip is, in training too."""
        frames = f"{self.seg_num} segments of {self.seglen} frame{'s' * (self.seglen > 1)}"
        scale = f"{self.target_size} px of a short side of {self.short_size} px"
        switches = [name for name in ("keep_aspect", "fast_decode") if getattr(self, name)]
        return ", ".join([frames, scale, *switches])


def build_clip_settings(config, section: str) -> ClipSettings:
    """What a config's section says of its clips. Only INFER needs no labels."""
    model, part = config.MODEL, config[section]
    return ClipSettings(
        num_classes=model.num_classes,
        seg_num=part.seg_num or model.seg_num,
        seglen=model.seglen,
        short_size=part.short_size,
        target_size=part.target_size,
        image_mean=tuple(model.image_mean),
        image_std=tuple(model.image_std),
        keep_aspect=part.keep_aspect,
        fast_decode=part.fast_decode,
        num_clips=part.num_clips,
        num_crops=part.num_crops,
        labels_needed=section != "INFER",
    )
