"""Extract features of your own videos, for the models on features.

python -m tools.extract --features youtube8m --video clip.mp4 [folder/ 'more*.mkv'] --output features
python -m tools.extract --features youtube8m --filelist my_videos.list --output features [--format tfrecord]
python -m tools.extract ... --part 3/8, once for each part on as many machines, and then ... --merge

python -m tools.extract --weights checkpoints/TSN_best --video folder/ --output features [--every 1]
python -m tools.extract --self-test

A line of the list is a path, and behind it class ids where there are any, as "clip.mp4 3;17". The output folder gets
files of records, features.list with their names, and its index. A run that was stopped goes on where it was.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import logging
from fractions import Fraction

from datareader.clips.seconds import Pace
from datareader.extraction.backbone import Store
from datareader.extraction.youtube8m import Silent
from dataset.parts import add_part_flags, check_part_flags
from tools.config.flags import (
    ConfigSource,
    add_cache_flags,
    add_device_flags,
    add_set_flag,
    add_video_flag,
    parse_text,
    read_config_source,
    real_number,
    whole_number,
)
from tools.config.parser import Group, Parser, make_parser
from tools.errors import ConfigError
from tools.extract.groups import VIDEOS_A_FILE, Format, plan_groups
from tools.extract.inputs import Video, find_videos, load_videos
from tools.extract.networks import find_graph, load_published
from tools.extract.options import BackboneOptions, ExtractOptions
from tools.extract.run import extract_groups, merge
from tools.extract.self_test import check_published
from tools.runtime.entry import run_program
from tools.runtime.log import start_log
from tools.runtime.tables import format_columns

log = logging.getLogger(__name__)


LEAST_SEC = 0.01  # from one row to the next; no camera of one's own shows more of them
FORMS = {"pickle": Format.PICKLE, "tfrecord": Format.TFRECORD}


def add_weights(parser: Parser) -> None:
    """What says how a backbone makes features."""
    add = parser.group(Group.MODEL).add_argument
    add("--weights", type=parse_text, metavar="PATH", help="weights of TSN, STNET or their ResNet, or "
        "ResNet50_pretrained: take its 2048 pooled values")  # fmt: skip
    add("--model-name", type=parse_text, metavar="NAME", help="TSN or STNET; default: what the checkpoint says")
    add("--config", type=parse_text, metavar="FILE", help="default: what the checkpoint says, or the model's own")
    add_set_flag(parser, "MODEL.num_layers=101")
    add = parser.group(Group.TASK).add_argument
    add("--every", type=real_number(0), metavar="SEC", help=f"seconds from one row to the next, {LEAST_SEC} or more; "
        "default: 1")  # fmt: skip
    add("--segments", type=whole_number(1, 10_000), metavar="N", help="N rows a video, of equal parts, in their place")
    stores = [store.value for store in Store]
    add("--store", choices=stores, help=f"uint8: bytes of the range that a video has; default: {stores[0]}")


def build_parser() -> Parser:
    parser = make_parser(__doc__, prog="python -m tools.extract")
    add = parser.group(Group.TASK).add_argument
    add(
        "--features",
        choices=("youtube8m", "backbone"),
        help="those that YouTube-8M has, or those of --weights",
    )
    add_weights(parser)
    add(
        "--self-test",
        action="store_true",
        help="compare what the published files here give with the values that were published with them",
    )
    add_source_flags(parser)
    add_part_flags(parser)
    add_device_flags(parser)
    parser.group(Group.SPEED).add_argument("--num-workers", type=whole_number(), default=2, metavar="N",
        help="threads that read videos ahead")  # fmt: skip
    add_cache_flags(parser, "published")
    add = parser.group(Group.OUTPUT).add_argument
    add("--output", type=parse_text, metavar="FOLDER", help="where the records go; made if needed")
    add("--format", choices=FORMS, default="pickle", help="pickle, or shards as YouTube-8M publishes")
    add(
        "--audio",
        choices=[silent.value for silent in Silent],
        help="of a video without sound: zero bytes, as YouTube-8M's first program wrote; mean, bytes that stand for 0; "
        "skip: no record; default: zero",
    )
    add(
        "--videos-per-file",
        type=whole_number(1, 10_000),
        default=VIDEOS_A_FILE,
        metavar="N",
        help="videos in a file of records; a stopped run does again what is not a whole file",
    )
    return parser


def add_source_flags(parser: Parser) -> None:
    """Which videos are described."""
    add_video_flag(parser)
    add = parser.group(Group.DATA).add_argument
    add("--filelist", type=parse_text, metavar="LIST", help="a list of videos, a path and its class ids a line")
    add("--skip-broken", type=whole_number(), default=0, metavar="N", help="leave out up to N broken videos")


def parse_args() -> ExtractOptions:
    parser = build_parser()
    args = parser.parse_args()
    if not args.self_test and not ((args.features or args.weights) and args.output):
        parser.error("give --features youtube8m or --weights, and --output; or --self-test")
    if args.weights and args.features == "youtube8m":
        parser.error("--weights makes features of a backbone, not of YouTube-8M's kind; leave out one of the two")
    if args.features == "backbone" and not args.weights:
        parser.error("--features backbone needs --weights")
    if args.weights and args.format == "tfrecord":
        parser.error("--format tfrecord holds YouTube-8M's features alone; leave it out with --weights")
    if args.weights:
        refuse_flags(parser, {"--audio": args.audio}, "features of a backbone, which --weights names, hear nothing")
    else:
        of_backbones = {
            "--model-name": args.model_name, "--config": args.config, "--set": args.set, "--every": args.every,
            "--segments": args.segments, "--store": args.store,
        }  # fmt: skip
        refuse_flags(parser, of_backbones, "it is of features of a backbone, which --weights names")
    if args.every and args.every < LEAST_SEC:
        parser.error(f"--every {args.every:g}: {LEAST_SEC} s is the least from one row to the next")
    if args.every and args.segments:
        parser.error("give --every or --segments, one of them")
    if args.self_test:
        of_videos = {
            "--weights": args.weights, "--video": args.video, "--filelist": args.filelist, "--output": args.output,
        }  # fmt: skip
        refuse_flags(parser, of_videos, "--self-test looks at the published files alone")
    elif bool(args.video) == bool(args.filelist):
        parser.error("give --video or --filelist, one of them")
    check_part_flags(parser, args.part, args.merge)
    return ExtractOptions(
        self_test=args.self_test,
        backbone=choose_backbone(
            args.weights, args.model_name, read_config_source(args), args.every, args.segments, args.store
        ),
        videos=tuple(args.video),
        list_path=args.filelist,
        output=Path(args.output or ""),
        form=FORMS[args.format],
        silent=Silent(args.audio or Silent.ZERO),
        videos_a_file=args.videos_per_file,
        skip_broken=args.skip_broken,
        part=args.part,
        merge=args.merge,
        num_workers=args.num_workers,
        threads=args.threads,
        use_gpu=args.use_gpu,
        weights_dir=args.weights_dir,
        offline=args.offline,
    )


def refuse_flags(parser: Parser, flags: dict[str, object], why: str) -> None:
    """End the program where one of these, which would have no effect, was given."""
    if flag := next((flag for flag, value in flags.items() if value), None):
        parser.error(f"{flag} has no effect here: {why}; leave it out")


def choose_backbone(
    weights: str | None,
    name: str | None,
    config: ConfigSource,
    every: float | None,
    segments: int | None,
    store: str | None,
) -> BackboneOptions | None:
    if weights is None:
        return None
    pace = Pace(Fraction(str(every or 1)), segments=segments)
    return BackboneOptions(weights, name, config, pace, Store(store or Store.FLOAT16))


def choose_videos(options: ExtractOptions) -> list[Video]:
    """The videos that --video names, each once, or those of the lines of a list."""
    if options.list_path:
        return load_videos(options.list_path)
    videos, notices = find_videos(options.videos)
    for notice in notices:
        log.info(notice)
    return videos


def main() -> int | None:
    options = parse_args()
    start_log()
    if options.self_test:
        return test_published(options)
    groups = plan_groups(choose_videos(options), options.videos_a_file)
    if options.part.count > len(groups):
        raise ConfigError(
            f"--part {options.part}: the videos make {len(groups)} files of up to {options.videos_a_file}, too few for "
            "so many parts; give a smaller --videos-per-file, to all parts"
        )
    if options.merge:
        merge(groups, options)
    else:
        extract_groups(groups, options)
    return None


def test_published(options: ExtractOptions) -> int:
    """Print each published value beside what is found here; 1 where one differs."""
    checks = check_published(load_published(options), find_graph(options))
    print(format_columns([["value", "published", "here", ""], *(check.row() for check in checks)]))
    return int(not all(check.holds for check in checks))


if __name__ == "__main__":
    run_program(main)
