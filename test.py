"""Score a model on labelled data.

python test.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH
"""

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    from tools.runtime.beginning import begin_program

    begin_program()

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from metrics.metric import Metric
from tools.config.flags import (
    EngineOptions,
    RunOptions,
    add_engine_flags,
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
from tools.files.atomic import atomic_write, require_writable
from tools.registry import METRICS
from tools.run_setup import Evaluation, Run, launch_processes, open_evaluation, plan_run
from tools.runtime.entry import require_output, run_program
from tools.runtime.log import beside, progress_bar
from tools.runtime.tables import format_columns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestOptions:
    run: RunOptions
    engine: EngineOptions
    weights: str | None
    log_interval: int
    output: str | None


def parse_args() -> TestOptions:
    parser = make_run_parser(__doc__)
    add_run_flags(parser, sections=("TEST",))
    add_verbose_flag(parser)
    add = parser.add_argument
    add_weights_flag(parser)
    add("--log-interval", type=whole_number(), default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--output", type=parse_text, metavar="FILE", help="also write the scores as JSON")
    add_engine_flags(parser)
    args = parser.parse_args()
    return TestOptions(read_run_options(args), read_engine_options(args), args.weights, args.log_interval, args.output)


def main() -> int:
    options = parse_args()
    if not options.output:
        require_output()
    run = plan_run(options.run, ["MODEL", "TEST"], gpu_wanted=lambda config: True, weights=options.weights)
    code = launch_processes(run, lambda: run.open_dataset("TEST", training=False), None)
    if code is not None:
        return code
    run.start_log(None)
    if options.output:
        try:
            require_writable(Path(options.output))
        except (OSError, ValueError) as error:
            raise DataError(f"--output {options.output} cannot be written: {error}") from None
    section = run.config.TEST
    metric = METRICS.get(run.spec.metrics)(run.config)
    with open_evaluation(run, "TEST", options.weights, options.engine) as evaluation:
        group, dataset = evaluation.group, evaluation.dataset
        score(run, options, evaluation, metric)
        group.merge(metric)
        broken = gather_broken(group, dataset, options.run.skip_broken)
        if not group.is_first:
            return 0
        require_records(metric.num_videos, dataset)
        values = metric.compute()
    log.info(format_columns(metric.rows(values)))
    protocol = f": {dataset.protocol}" * bool(dataset.protocol)
    log.info(f"evaluated {metric.num_videos} of {metric.num_videos + len(broken)} records{protocol}")
    if options.output:
        report = {"model": run.name, "weights": evaluation.weights.path, "config": run.config.path}
        report |= {"filelist": section.filelist, "protocol": dataset.protocol, "scores": values, **metric.report()}
        report |= {"evaluated": metric.num_videos, "of": metric.num_videos + len(broken), "broken": broken}
        write_report(Path(options.output), report)
    return 0


def score(run: Run, options: TestOptions, evaluation: Evaluation, metric: Metric) -> None:
    """Let the metric count this process's batches, with a line on some of them."""
    from tools.inference.predict import evaluate  # imports Paddle

    section = run.config.TEST
    loader = EvaluationLoader(
        evaluation.dataset,
        section.batch_size,
        num_workers=section.num_reader_threads,
        as_float=evaluation.device == "cpu",
        shard=Shard(run.processes.rank, run.processes.world),
    )
    with progress_bar(len(loader), 0, "testing", shown=evaluation.group.is_first) as bar:
        for number, prediction in enumerate(evaluate(evaluation.network, loader.epoch(), metric)):
            bar.update()
            if options.log_interval and number % options.log_interval == 0:
                of_batch = METRICS.get(run.spec.metrics)(run.config)
                of_batch.update(prediction.probs, prediction.batch.labels, prediction.loss)
                text = of_batch.describe(of_batch.compute(full=False))
                log.log(beside(bar), f"[TEST] iter {number:<4}, {text}")


def write_report(path: Path, report: dict) -> None:
    try:
        with atomic_write(path) as file:
            file.write((json.dumps(report, indent=1) + "\n").encode())
    except OSError as error:
        raise DataError(f"--output {path} could not be written: {error}") from None


if __name__ == "__main__":
    run_program(main, output_needed=False)
