"""Merge several models' predictions of the same videos: the weighted mean of their probabilities.

python -m tools.ensemble first.npz second.npz [more.npz] [--weights 0.6 0.4] [--save-dir DIR]
python -m tools.ensemble first.npz second.npz --search [LIST]

The files are those of --save-probs of test.py and infer.py, or the pickles that infer.py leaves. Videos are found by
their ids. DIR gets ensemble_infer_result with .json and .csv, as infer.py writes them. --search looks for weights on
videos with labels: on all, or on those that LIST names, a line each; then all others are scored too.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import contextlib
import logging
from collections.abc import Iterator

import numpy as np

import metrics  # noqa: F401  (registers them)
from datareader.class_names import load_class_names
from tools.config.flags import parse_text, real_number, whole_number
from tools.config.parser import Group, Parser, make_parser
from tools.ensemble.inputs import Input, open_input
from tools.ensemble.merging import Merged, choose_listed, describe_other_paths, merge_inputs, normalise
from tools.ensemble.mixing import ScoredVideos, format_scores, format_weight, mix, score_groups
from tools.ensemble.options import EnsembleOptions
from tools.ensemble.scoring import labelled_videos, metric_builder
from tools.ensemble.search import Evaluator, choose_videos, search_weights
from tools.errors import ConfigError, DataError
from tools.inference.outputs import add_output_flags, read_output_options
from tools.inference.predictions import count_videos, lock_results, require_results, result_paths, write_predictions
from tools.inference.probs_file import RunFacts
from tools.runtime.entry import run_program
from tools.runtime.log import start_log
from tools.runtime.text import count_of

log = logging.getLogger(__name__)

FITTED, OTHERS = "videos of --search", "all others"
ALL = "videos"


def build_parser() -> Parser:
    parser = make_parser(__doc__, prog="python -m tools.ensemble")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="predictions of the same videos")
    add = parser.group(Group.TASK).add_argument
    add("--weights", nargs="+", type=real_number(0, or_zero=True), metavar="W", help="one of each file; default: equal")
    add(
        "--search",
        nargs="?",
        type=parse_text,
        default=False,
        const=True,
        metavar="LIST",
        help="look for the weights that score best on videos with labels: on those that LIST names, or on all",
    )
    add("--skip-missing", action="store_true", help="merge the videos that all files have, and leave out the others")
    add = parser.group(Group.OUTPUT).add_argument
    add(
        "--class-names",
        type=parse_text,
        metavar="FILE",
        help="names by class id; default: those in the files",
    )
    add(
        "--infer-topk",
        type=whole_number(),
        default=20,
        metavar="K",
        help="classes to keep of each video; 0: all",
    )
    add(
        "--save-dir",
        type=parse_text,
        default="./",
        metavar="DIR",
        help="where the results go; default: the working directory",
    )
    add("--csv-safe", action="store_true", help="quote texts in .csv, as infer.py does")
    add_output_flags(parser, submission=True)
    return parser


def parse_args() -> EnsembleOptions:
    parser = build_parser()
    args = parser.parse_args()
    if args.weights and args.search:
        parser.error("--weights says what --search would look for; give one of them")
    return EnsembleOptions(
        paths=tuple(args.inputs),
        weights=tuple(args.weights) if args.weights else None,
        search=bool(args.search),
        search_list=args.search if isinstance(args.search, str) else None,
        skip_missing=args.skip_missing,
        class_names=args.class_names,
        top_k=args.infer_topk,
        save_dir=Path(args.save_dir),
        csv_safe=args.csv_safe,
        outputs=read_output_options(args),
    )


def require_places(options: EnsembleOptions) -> None:
    """Refuse what could not be written, and what would be written over an input. Raises ConfigError, DataError."""
    own = {path.resolve(): path for path in reversed(options.paths)}
    if len(own) < len(options.paths):
        twice = next(path for path in options.paths if own[path.resolve()] is not path)
        raise ConfigError(f"{twice} is given twice; --weights can count one file more than another")
    if path := own.get(options.base.resolve()):
        raise ConfigError(f"{path} is where the results go; give another --save-dir")
    others = {str(path): path for path in options.paths}
    others |= {f"the result {path}": path for path in result_paths(options.base)}
    others |= {"--class-names": options.class_names, "the list of --search": options.search_list}
    options.outputs.check("features", others)
    try:
        require_results(options.base)
    except OSError as error:
        raise DataError(f"--save-dir {options.save_dir} cannot be written: {error}") from None


@contextlib.contextmanager
def open_inputs(options: EnsembleOptions) -> Iterator[list[Input]]:
    """The predictions in all files, with lines on what they hold. Raises DataError."""
    with contextlib.ExitStack() as stack:
        inputs = []
        for path in options.paths:
            inputs.append(open_input(path))
            stack.callback(inputs[-1].probs.close)
            describe_input(inputs[-1])
        yield inputs


def describe_input(one: Input) -> None:
    labels = ", with labels" if any(labels is not None for labels in one.labels) else ""
    log.info(f"{one.path}: {count_of(len(one), 'video')}{f' by {one.model}' if one.model else ''}{labels}")
    if one.entries:
        log.info(f"{one.path}: holds the best classes of each video, up to {one.entries}; all others count as 0")


def choose_groups(options: EnsembleOptions, merged: Merged) -> tuple[Merged, dict[str, np.ndarray]]:
    """What is merged, with the labels of a list, and the numbers of the videos that are scored together.

    The first of them are those that weights are fitted to. Raises DataError where --search has none.
    """
    if options.search_list is None:
        groups = {FITTED if options.search else ALL: labelled_videos(merged)}
    else:
        merged, listed, line = choose_listed(merged, options.search_list)
        log.info(line)
        labelled = labelled_videos(merged)
        groups = {FITTED: np.intersect1d(labelled, listed), OTHERS: np.setdiff1d(labelled, listed)}
    if options.search and not len(groups[FITTED]):
        raise DataError("--search: no video has a known class; test.py --save-probs keeps labels, or LIST gives them")
    return merged, groups


def find_weights(options: EnsembleOptions, merged: Merged, groups: dict[str, np.ndarray]) -> list[float]:
    """What --weights says, or --search finds, with a line on it."""
    if not options.search:
        return normalise(options.weights, merged.inputs)
    numbers = choose_videos(groups[FITTED])
    evaluate = Evaluator(merged, numbers, metric_builder(merged))
    weights, _ = search_weights(evaluate, len(merged.inputs))
    sample = f", {len(numbers):,} of them at even distances" if len(numbers) < len(groups[FITTED]) else ""
    log.info(
        f"--weights {' '.join(map(format_weight, weights))} score best on {count_of(len(groups[FITTED]), 'video')}"
        f"{sample}; they are fitted to these, and may do less well on others"
    )
    return list(weights)


def log_scores(merged: Merged, weights: list[float], groups: dict[str, ScoredVideos]) -> None:
    if not groups:
        log.info("no labels are known, so that nothing is scored")
    for name, group in groups.items():
        of_all = "" if len(group.numbers) == len(merged) else f" of {len(merged):,}"
        log.info(f"scores of {len(group.numbers):,}{of_all} {name}:")
        log.info(format_scores([str(one.path) for one in merged.inputs], weights, group))


def main() -> None:
    options = parse_args()
    start_log()
    require_places(options)
    normalise(options.weights, options.paths)
    with open_inputs(options) as inputs:
        merge(options, merge_inputs(inputs, skip_missing=options.skip_missing))


def merge(options: EnsembleOptions, merged: Merged) -> None:
    """Find the weights, score, and write all files. Raises ZooError."""
    if notice := describe_other_paths(merged):
        log.info(notice)
    options.outputs.check("clips" if merged.metrics == "kinetics" else "features")
    names = merged.class_names
    if options.class_names:
        names = load_class_names(options.class_names, merged.num_classes)
    merged, groups = choose_groups(options, merged)
    weights = find_weights(options, merged, groups)
    outputs = options.outputs.open()
    scored = score_groups(groups, metric_builder(merged), len(merged.inputs)) if any(map(len, groups.values())) else {}
    results = mix(merged, weights, scored, options.top_k, outputs)
    log_scores(merged, weights, scored)
    with lock_results(options.base):
        paths = write_predictions(options.base, results, names, csv_safe=options.csv_safe)
    facts = RunFacts("ensemble", merged.metrics, merged.multilabel, merged.num_classes, merged.topk, "", names)
    outputs.write(facts)
    log.info(f"{count_of(count_videos(results), 'video')}; results in {', '.join(map(str, paths))}")


if __name__ == "__main__":
    run_program(main)
