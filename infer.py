"""Name the classes of videos.

python infer.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH --filelist=LIST
"""

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    from tools.runtime.beginning import begin_program

    begin_program()

import logging
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.class_names import choose_class_names
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from tools.config.flags import (
    EngineOptions,
    RunOptions,
    add_engine_flags,
    add_override,
    add_run_flags,
    add_verbose_flag,
    add_weights_flag,
    make_run_parser,
    parse_text,
    read_engine_options,
    read_run_options,
    whole_number,
)
from tools.distributed.skipped import gather_broken, require_records
from tools.errors import DataError
from tools.files.atomic import require_writable
from tools.inference.predictions import VideoClasses, describe_repeated, rank_classes, write_predictions
from tools.run_setup import Evaluation, Run, launch_processes, open_evaluation, plan_run
from tools.runtime.entry import run_program
from tools.runtime.log import progress_bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferOptions:
    run: RunOptions
    engine: EngineOptions
    weights: str | None
    top_k: int
    log_interval: int
    save_dir: str


def parse_args() -> InferOptions:
    parser = make_run_parser(__doc__)
    add_run_flags(parser, sections=("INFER",))
    add_verbose_flag(parser)
    add = parser.add_argument
    add_weights_flag(parser)
    add_override(parser, "--filelist", ("INFER",), "filelist", parse_text, "list of the files to look at")
    add_override(parser, "--class-names", ("INFER",), "class_names", parse_text, "names by class id, .txt or .csv")
    add("--infer-topk", type=whole_number(), default=20, metavar="K", help="classes to keep of each video; 0: all")
    add("--log-interval", type=whole_number(), default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--save-dir", type=parse_text, default="./", metavar="DIR", help="where the results go")
    add_engine_flags(parser)
    args = parser.parse_args()
    return InferOptions(
        read_run_options(args), read_engine_options(args), args.weights, args.infer_topk, args.log_interval,
        args.save_dir,
    )  # fmt: skip


def main() -> int:
    options = parse_args()
    run = plan_run(options.run, ["MODEL", "INFER"], gpu_wanted=lambda config: True, weights=options.weights)
    code = launch_processes(run, lambda: run.open_dataset("INFER", training=False), options.save_dir)
    if code is not None:
        return code
    run.start_log(options.save_dir)
    base = Path(options.save_dir) / f"{run.name}_infer_result"
    try:
        require_writable(base)
    except OSError as error:
        raise DataError(f"--save-dir {options.save_dir} cannot be written: {error}") from None
    own_names = run.described and run.described.class_names
    names, lines = choose_class_names(run.config.INFER.class_names, own_names, run.config.MODEL.num_classes)
    for line in lines:
        log.info(line)
    with open_evaluation(run, "INFER", options.weights, options.engine) as evaluation:
        group, dataset = evaluation.group, evaluation.dataset
        gathered = group.gather(classify(run, options, evaluation, names))
        broken = gather_broken(group, dataset, options.run.skip_broken)
        if not group.is_first:
            return 0
        results = list(chain.from_iterable(gathered))  # in list order, as the processes have stretches of the list
        require_records(len(results), dataset)
        paths = write_predictions(base, results, names)
    if repeated := describe_repeated(results):
        log.info(repeated)
    log.info(f"{len(results)} of {len(results) + len(broken)} videos; results in {', '.join(map(str, paths))}")
    return 0


def classify(run: Run, options: InferOptions, evaluation: Evaluation, names: list[str] | None) -> list[VideoClasses]:
    """The best classes of each video of this process."""
    from tools.inference.predict import predict  # imports Paddle

    section = run.config.INFER
    loader = EvaluationLoader(
        evaluation.dataset,
        section.batch_size,
        num_workers=section.num_reader_threads,
        as_float=evaluation.device == "cpu",
        shard=Shard(run.processes.rank, run.processes.world),
    )
    results = []
    with progress_bar(len(loader), 0, "inferring", shown=evaluation.group.is_first) as bar:
        for number, prediction in enumerate(predict(evaluation.network, loader.epoch())):
            batch = prediction.batch
            for video_id, entry, probs in zip(batch.ids, batch.entries, prediction.probs, strict=True):
                path = entry.written or entry.path
                results.append(VideoClasses(video_id, path, entry.line, *rank_classes(probs, options.top_k)))
            bar.update()
            if options.log_interval and number % options.log_interval == 0:
                last = results[-1]
                best = names[last.class_ids[0]] if names else f"class {last.class_ids[0]}"
                # Beside a bar too: these are answers, not how far the work is.
                log.info(f"[INFER] iter {number:<4}, {last.video_id}: {best} {last.probs[0]:.4f}")
    return results


if __name__ == "__main__":
    run_program(main, output_needed=False)
