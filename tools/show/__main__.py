"""Show one clip or one record: what the file holds, and a picture of what the network would see.

python -m tools.show dataset/kinetics/demo/val/rising_00.mp4 --config configs/demo/tsn.txt
python -m tools.show dataset/youtube8m/demo/val00.pkl --config configs/demo/attention_cluster.txt --record 3

PATH is a video, a pickle or a folder of JPEG frames, or YouTube-8M features as a pickle or a TFRecord shard; its
content says which. Of a clip the picture is a contact sheet of the frames that the config's section chooses, scaled
and cropped by the reader itself; of features, a plot over time.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

from collections.abc import Callable
from dataclasses import dataclass

import models  # noqa: F401  (registers the specs)
from datareader.class_names import load_class_names
from tools.config.flags import (
    add_set_flag,
    parse_text,
    read_config,
    read_config_source,
    whole_number,
)
from tools.config.load import Config, read_model_name
from tools.config.parser import Group, make_parser
from tools.errors import ConfigError
from tools.registry import MODELS
from tools.runtime.entry import run_program
from tools.show.clips import show_clip
from tools.show.kinds import KINDS, recognise
from tools.show.options import ShowOptions
from tools.show.records import show_record


@dataclass(frozen=True)
class Kind:
    """How one kind of data is shown. model: whose settings hold where nothing is said. held: what such a file holds."""

    model: str
    held: str
    show: Callable


SHOWN = {
    "clips": Kind("TSN", "a clip", show_clip),
    "features": Kind("AttentionCluster", "YouTube-8M features", show_record),
}
SECTIONS = ("TRAIN", "VALID", "TEST", "INFER")


def parse_args() -> ShowOptions:
    parser = make_parser(__doc__, prog="python -m tools.show")
    parser.add_argument("path", type=parse_text, metavar="PATH", help=KINDS)
    add = parser.group(Group.MODEL).add_argument
    add("--model-name", type=parse_text, metavar="NAME", help=f"{', '.join(MODELS.names())}; default: what the config "
        "says, or TSN for clips and AttentionCluster for features")  # fmt: skip
    add("--config", type=parse_text, metavar="FILE", help="default: the model's own in configs/")
    data = parser.group(Group.DATA)
    add = data.add_argument
    add("--section", type=str.upper, choices=SECTIONS, default="TEST", help="whose settings hold; TRAIN shows a "
        "random view, as training does")  # fmt: skip
    add("--seed", type=whole_number(), metavar="N", help="draws the view of --section TRAIN; default: 0")
    which = data.add_mutually_exclusive_group()
    which.add_argument("--record", type=whole_number(), metavar="N", help="which record of a file of features, from 0")
    which.add_argument("--id", type=parse_text, metavar="VIDEO", help="the same, by the video's name")
    add = parser.group(Group.OUTPUT).add_argument
    add("--class-names", type=parse_text, metavar="FILE", help="names by class id; default: the config's")
    add("--output", type=parse_text, metavar="FILE.png", help="the picture; default: the file's name in this folder")
    add("--force", action="store_true", help="replace a picture that is there")
    add("--no-image", action="store_true", help="print the text alone")
    add_set_flag(parser, "TEST.num_crops=10")
    args = parser.parse_args()
    if args.seed is not None and args.section != "TRAIN":
        raise ConfigError("--seed draws a view as in training; add --section TRAIN")
    return ShowOptions(
        args.path,
        read_config_source(args),
        model_name=args.model_name,
        section=args.section,
        seed=args.seed or 0,
        record=args.record,
        video_id=args.id,
        class_names=args.class_names,
        output=args.output,
        force=args.force,
        image_wanted=not args.no_image,
    )


def main() -> None:
    options = parse_args()
    kind = recognise(options.path)
    name, config = load_settings(options, kind)
    SHOWN[kind].show(options, name, config, load_names(options, config))


def load_settings(options: ShowOptions, kind: str) -> tuple[str, Config]:
    """The model's name and its config. Raises ConfigError, also for a model that does not read such files."""
    named = options.model_name or (options.config.path and read_model_name(options.config.path))
    name = MODELS.canonical_name(named or SHOWN[kind].model)
    if MODELS.get(name).data != kind:
        takes = [other for other in MODELS.names() if MODELS.get(other).data == kind]
        raise ConfigError(f"{options.path} holds {SHOWN[kind].held}, which {name} does not read; {', '.join(takes)} do")
    return name, read_config(options.config, MODELS.get(name)(), name, ["MODEL", options.section])


def load_names(options: ShowOptions, config: Config) -> list[str] | None:
    """Class names by id, from --class-names or else the config; None where neither gives any."""
    path = options.class_names or ("INFER" in config and config.INFER.class_names)
    return load_class_names(path, config.MODEL.num_classes) if path else None


if __name__ == "__main__":
    run_program(main)
