"""Name the classes of videos.

python infer.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH --filelist=LIST
python infer.py --model-name=TSN --config=configs/tsn.txt --weights=PATH --video clip.mp4 [folder/ 'more*.mkv']
"""

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    from tools.runtime.beginning import begin_program

    begin_program()

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.class_names import choose_class_names, load_class_names
from datareader.clips.decoding import opencv_decodes, read_facts
from datareader.clips.marks import is_copy
from datareader.clips.timeline import Windows
from datareader.clips.window_loader import WindowLoader, refuse_untimed
from datareader.extraction.dataset import DescribedVideos, describe_videos
from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import use_networks
from datareader.lists import ListEntry
from datareader.loader import EvaluationLoader
from datareader.named_clips import NamedClips, find_clips
from datareader.sharding import Shard
from models.extractors import build_picture_network, build_sound_network
from tools.config.flags import (
    EngineOptions,
    RunOptions,
    add_engine_flags,
    add_override,
    add_report_flag,
    add_run_flags,
    add_verbose_flag,
    add_video_flag,
    add_weights_flag,
    parse_text,
    read_engine_options,
    read_run_options,
    real_number,
    whole_number,
)
from tools.config.load import Override
from tools.config.parser import Group, make_parser
from tools.distributed.skipped import gather_broken, require_records
from tools.drawing.video_captions import Captions
from tools.errors import ConfigError, ConfigFileError, DataError, PackageError
from tools.inference.answers import describe_answers
from tools.inference.classify import classify
from tools.inference.outputs import OutputOptions, Outputs, add_output_flags, files_of, read_output_options
from tools.inference.predictions import (
    VideoClasses,
    count_videos,
    describe_repeated,
    lock_results,
    require_results,
    write_predictions,
)
from tools.inference.probs_file import facts_of
from tools.inference.video_copies import VideoCopy, draw_answers, plan_copies, require_folder, save_copies
from tools.registry import METRICS, READERS
from tools.run_setup import Evaluation, Run, launch_processes, open_evaluation, plan_run
from tools.runtime.cpu import usable_cores
from tools.runtime.device import choose_device
from tools.runtime.entry import run_program
from tools.runtime.log import progress_bar, terminal_columns
from tools.runtime.text import count_of
from tools.weights.extractors import EIGENVALUES, find_eigenvalues
from tools.weights.released_names import find_released_names

log = logging.getLogger(__name__)


IN_FILES, IN_TABLE = 20, 5  # classes of a video, where --infer-topk does not say
LEAST_SEC = 0.001  # as results tell times
INSTALL_PYAV = "python -m pip install av"
NO_COPY = "only videos have copies, not pickles or folders of frames"


@dataclass(frozen=True)
class InferOptions:
    """top_k, log_interval: None where it was not said. videos: in place of a list. windows: None for whole videos."""

    run: RunOptions
    engine: EngineOptions
    weights: str | None
    top_k: int | None
    log_interval: int | None
    save_dir: str
    csv_safe: bool
    save_video: str | None
    report: str | bool
    videos: tuple[str, ...]
    windows: Windows | None
    outputs: OutputOptions


def parse_args() -> InferOptions:
    parser = make_parser(__doc__)
    add_run_flags(parser, sections=("INFER",))
    add_weights_flag(parser)
    add_verbose_flag(parser)
    add_override(parser, Group.DATA, "--filelist", ("INFER",), "filelist", parse_text, "list of the files to look at")
    names = ("--class-names", ("INFER",), "class_names", parse_text, "names by class id, .txt or .csv")
    add_override(parser, Group.OUTPUT, *names)
    add_video_flag(parser)
    add = parser.group(Group.DATA).add_argument
    add("--window-sec", type=real_number(0), metavar="SEC", help="the classes of windows of so many seconds of videos")
    add("--stride-sec", type=real_number(0), metavar="SEC", help="from one window to the next; default: --window-sec")
    add = parser.group(Group.OUTPUT).add_argument
    add("--infer-topk", type=whole_number(), metavar="K", help="classes to keep of each video, 0 for all; default: "
        f"{IN_FILES}, and {IN_TABLE} in the table of --video")  # fmt: skip
    add("--log-interval", type=whole_number(), metavar="BATCHES", help="batches between log lines, 0 for none; "
        "default: 1, with --video 0")  # fmt: skip
    add("--save-dir", type=parse_text, default="./", metavar="DIR", help="where the results go; default: the working "
        "directory")  # fmt: skip
    add("--csv-safe", action="store_true", help="quote texts in .csv, with an apostrophe before those that a "
        "spreadsheet would take for formulas")  # fmt: skip
    add("--save-video", type=parse_text, metavar="DIR", help="write a copy of each video there, an mp4 with its sound, "
        "with the classes drawn in")  # fmt: skip
    add_report_flag(parser, "{model}_infer_report.html in --save-dir")
    add_output_flags(parser, submission=True)
    add_engine_flags(parser)
    args = parser.parse_args()
    run = read_run_options(args)
    if args.video and any((given.section, given.key) == ("INFER", "filelist") for given in run.config.overrides):
        parser.error("--video stands in place of a list; give --filelist or --video")
    return InferOptions(
        run, read_engine_options(args), args.weights, args.infer_topk, args.log_interval, args.save_dir,
        args.csv_safe, args.save_video, args.report, tuple(args.video),
        choose_windows(args.window_sec, args.stride_sec), read_output_options(args),
    )  # fmt: skip


def choose_windows(length_sec: float | None, stride_sec: float | None) -> Windows | None:
    """What --window-sec and --stride-sec ask for, None without them. Raises ConfigError."""
    if length_sec is None and stride_sec is None:
        return None
    if length_sec is None:
        raise ConfigError(f"--stride-sec {stride_sec:g} is from one window to the next; give --window-sec too")
    stride_sec = length_sec if stride_sec is None else stride_sec
    if min(length_sec, stride_sec) < LEAST_SEC:
        raise ConfigError(f"windows of {length_sec:g} s every {stride_sec:g} s: {LEAST_SEC} s is the least for each")
    return Windows(Fraction(str(length_sec)), Fraction(str(stride_sec)))


def main() -> int:
    options = parse_args()
    run = plan(options)
    clips = choose_clips(run, options)
    run = replace(run, reader=choose_reader(run, options, clips))
    page, outputs = choose_page(run, options), options.outputs.open()
    base = Path(options.save_dir) / f"{run.name}_infer_result"
    options.outputs.check(run.spec.data, files_of(run.config.INFER, base))
    if options.save_video:
        require_folder(options.save_video)
    code = launch_processes(run, partial(check_inputs, run, options), options.save_dir)
    if code is not None:
        return code
    run.start_log(options.save_dir)
    try:
        require_results(base)
    except OSError as error:
        raise DataError(f"--save-dir {options.save_dir} cannot be written: {error}") from None
    notices = list(clips.notices) if clips else []
    for notice in notices:
        log.info(notice)
    own_names = run.described and run.described.class_names
    names, lines = choose_class_names(run.config.INFER.class_names, own_names, run.config.MODEL.num_classes)
    for line in lines:
        log.info(line)
    is_long = options.windows is not None
    with open_evaluation(run, "INFER", options.weights, options.engine, is_long=is_long) as evaluation:
        group, dataset = evaluation.group, evaluation.dataset
        if names is None:
            names = name_released_classes(run, options, evaluation)
        copies = plan_videos(options, dataset) if options.save_video and group.is_first else []
        gathered = group.gather(classify_all(run, options, evaluation, names, outputs))
        outputs.gather(group)
        broken = gather_broken(group, dataset, options.run.skip_broken)
        if not group.is_first:
            return 0
        results = sorted(chain.from_iterable(gathered), key=lambda part: part.number)  # in the order of the list
        require_records(len(results), dataset)
        lock = lock_results(base)
        paths = write_predictions(base, results, names, csv_safe=options.csv_safe)
    outputs.write(facts_of(run, dataset, names))
    top_k = IN_TABLE if options.top_k is None else options.top_k
    if clips:
        log.info(describe_answers(results, names, top_k, terminal_columns()))
    if repeated := describe_repeated(results):
        log.info(repeated)
    count = count_videos(results)
    windows = f", {count_of(len(results), 'window')}" if options.windows else ""
    log.info(f"{count:,} of {count_of(count + len(broken), 'video')}{windows}; results in {', '.join(map(str, paths))}")
    if page:
        notices += [*run.notices, *dataset.notices, *lines, *filter(None, [repeated])]
        make_page(page, run, options, evaluation, results, names, paths, broken, notices)
    elif (place := usual_page(run, options)).exists():
        log.info(f"{place} shows an earlier run; --report makes it anew")
    lock.close()  # what follows has names of its own
    if copies:
        files = {place: entry.path for place, entry in entries_of(dataset).items()}
        save_videos(copies, draw_answers(results, files, names, top_k or None), options.run.threads)
    return 0


def plan(options: InferOptions) -> Run:
    """The run. Where eigenvalues are not where a published config names them, those that --video needs anyway do."""
    begin = partial(
        plan_run, sections=["MODEL", "INFER"], gpu_wanted=lambda config: True, weights=options.weights,
        export=options.engine.export,
    )  # fmt: skip
    run = options.run
    try:
        return begin(run)
    except ConfigFileError as error:
        if not options.videos or error.missing != str(EIGENVALUES):
            raise
    path = find_eigenvalues(weights_dir=run.weights_dir, offline=run.offline)
    overrides = (*run.config.overrides, Override("MODEL", "eigen_file", path, "--video"))
    planned = begin(replace(run, config=replace(run.config, overrides=overrides)))
    return replace(planned, notices=(*planned.notices, f"MODEL.eigen_file is {path}, of YouTube-8M's PCA"))


def check_inputs(run: Run, options: InferOptions) -> None:
    """Raise ZooError for data, and for places of copies, that several processes would each find wrong."""
    dataset = run.open_dataset("INFER", training=False)
    if options.save_video:
        plan_videos(options, dataset)


def choose_page(run: Run, options: InferOptions) -> Path | None:
    """Where the page of --report goes, None without one. Raises ZooError for what would keep it from there."""
    if not options.report:
        return None
    from tools.pages.page import choose_place

    return choose_place(options.report, usual_page(run, options))


def usual_page(run: Run, options: InferOptions) -> Path:
    """Where --report puts a page without a name."""
    return Path(options.save_dir) / f"{run.name}_infer_report.html"


def name_released_classes(run: Run, options: InferOptions, evaluation: Evaluation) -> list[str] | None:
    names, line = find_released_names(
        run.name,
        evaluation.weights,
        run.config.MODEL.num_classes,
        by_names_of_2019=evaluation.match.released,
        weights_dir=options.run.weights_dir,
        load=load_class_names,
    )
    log.info(line)
    return names


def choose_clips(run: Run, options: InferOptions) -> NamedClips | None:
    """What --video names, None without it. Raises ConfigError for a model that takes no videos, PackageError."""
    flags = {"--window-sec": options.windows, "--save-video": options.save_video}
    flag = next((flag for flag, given in flags.items() if given), None)
    if run.spec.data != "clips" and flag:
        raise ConfigError(f"{flag}: {run.name} looks at the features of a whole video, not at its frames")
    if run.spec.data != "clips" and options.videos and opencv_decodes():
        raise PackageError(f"--video: {run.name} hears videos too, with PyAV, which is not installed: {INSTALL_PYAV}")
    if options.save_video and opencv_decodes():
        raise PackageError(f"--save-video needs PyAV, which is not installed: {INSTALL_PYAV}")
    return find_clips(options.videos, options.save_video) if options.videos else None


def choose_reader(run: Run, options: InferOptions, clips: NamedClips | None) -> Callable:
    """What opens the videos of a list, or those that are named."""
    if clips and run.spec.data == "features":
        senses = partial(open_senses, options.run)
        return partial(describe_videos, reader=run.spec.reader, entries=clips.entries, open_senses=senses)
    reader = clips.open if clips else READERS.get(run.spec.reader)
    return refuse_untimed(reader) if options.windows else reader


def open_senses(options: RunOptions) -> tuple[Sight, Hearing]:
    """What makes YouTube-8M's features of frames and sound. Raises ZooError."""
    from tools.inference.youtube8m import open_published  # imports Paddle

    device = choose_device(options.use_gpu, wanted=True)
    published = open_published(
        build_picture_network, build_sound_network, device, weights_dir=options.weights_dir, offline=options.offline
    )
    return use_networks(published.look, published.listen, published.picture_pca, published.sound_pca)


def classify_all(run: Run, options: InferOptions, evaluation: Evaluation, names: list[str] | None, outputs: Outputs):
    """The best classes of each video of this process, or of each window of it: a list of VideoClasses."""
    section = run.config.INFER
    shared = {
        "num_workers": 0 if isinstance(evaluation.dataset, DescribedVideos) else section.num_reader_threads,
        "as_float": evaluation.device == "cpu",
        "shard": Shard(run.processes.rank, run.processes.world),
    }
    if options.windows:
        loader = WindowLoader(evaluation.dataset, options.windows, section.batch_size, **shared)
        if options.windows.stride_sec > options.windows.length_sec:
            gap = float(options.windows.stride_sec - options.windows.length_sec)
            log.info(f"--stride-sec is longer than --window-sec: {gap:g} s behind each window are not looked at")
    else:
        loader = EvaluationLoader(evaluation.dataset, section.batch_size, **shared)
    usual_interval = 0 if options.videos else 1
    return classify(
        evaluation.network,
        loader,
        IN_FILES if options.top_k is None else options.top_k,
        names,
        log_interval=usual_interval if options.log_interval is None else options.log_interval,
        shown=evaluation.group.is_first,
        keep=outputs.add,
    )


def plan_videos(options: InferOptions, dataset) -> list[VideoCopy]:
    """Where the copies of --save-video go. Raises ConfigError where there can be none."""
    from datareader.clips.copies import is_video  # needs PyAV

    paths = list(dict.fromkeys(entry.path for entry in dataset.entries))
    videos = [path for path in paths if is_video(path)]
    if not videos:
        raise ConfigError(f"--save-video: {dataset.name} holds no videos; {NO_COPY}")
    if len(videos) < len(paths):
        log.info(f"--save-video leaves out {len(paths) - len(videos)} of {len(paths)} clips; {NO_COPY}")
    return plan_copies(videos, options.save_video, is_copy)


def save_videos(copies: list[VideoCopy], captions: dict[str, Captions], threads: int | None) -> None:
    """Write them. threads: --threads."""
    from datareader.clips.copies import copy_video  # needs PyAV

    copy = partial(copy_video, threads=threads or usable_cores())
    save_copies(copies, captions, copy, lambda path: read_facts(path).duration_sec)


def entries_of(dataset) -> dict[tuple[str, int | None], ListEntry]:
    """A clip's path and line as results tell them -> its entry."""
    return {(entry.written or entry.path, entry.line): entry for entry in dataset.entries}


def make_page(
    page: Path, run: Run, options: InferOptions, evaluation: Evaluation,
    results: list[VideoClasses], names: list[str] | None, paths: list[Path], broken: list[str], notices: list[str],
) -> None:  # fmt: skip
    """Write the page of --report, with a line on where it is."""
    from tools.inference.answer_page import Answers, build_answer_page
    from tools.inference.run_blocks import EvaluatedRun
    from tools.pages.page import try_to_write

    def build():
        dataset, metric = evaluation.dataset, METRICS.get(run.spec.metrics)(run.config)
        facts = [("device", evaluation.device), ("processes", str(run.processes.world)), *options.engine.describe()]
        inferred = EvaluatedRun(
            run.name, run.spec, run.config, "INFER", metric, evaluation.weights, run.described, names, facts
        )
        answers = Answers(
            results, paths, page, dataset, entries_of(dataset) if run.spec.data == "clips" else {},
            IN_TABLE if options.top_k is None else options.top_k,
            options.windows.describe() if options.windows else "", broken, notices,
        )  # fmt: skip
        with progress_bar(min(count_videos(results), answers.most_shown), 0, "making the page") as bar:
            return build_answer_page(inferred, answers, bar.update)

    if try_to_write(page, build):
        log.info(f"page of these videos: {page}")


if __name__ == "__main__":
    run_program(main, output_needed=False)
