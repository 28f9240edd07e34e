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
from datareader.class_names import find_class_names, load_class_names
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from metrics.metric import Metric
from tools.config.flags import (
    EngineOptions,
    RunOptions,
    add_engine_flags,
    add_report_flag,
    add_run_flags,
    add_verbose_flag,
    add_weights_flag,
    parse_text,
    read_engine_options,
    read_run_options,
    whole_number,
)
from tools.config.parser import Group, make_parser
from tools.distributed.skipped import gather_broken, require_records
from tools.errors import ConfigError, DataError
from tools.files.atomic import atomic_write, require_writable
from tools.inference.mistakes import WorstMistakes, picture_mistakes
from tools.inference.outputs import OutputOptions, Outputs, add_output_flags, read_output_options
from tools.inference.probs_file import facts_of
from tools.registry import METRICS
from tools.run_setup import Evaluation, Run, launch_processes, open_evaluation, plan_run
from tools.runtime.entry import require_output, run_program
from tools.runtime.log import beside, progress_bar
from tools.runtime.tables import format_columns
from tools.weights.released_names import find_released_names

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestOptions:
    run: RunOptions
    engine: EngineOptions
    weights: str | None
    log_interval: int
    output: str | None
    report: str | bool
    outputs: OutputOptions


def parse_args() -> TestOptions:
    parser = make_parser(__doc__)
    add_run_flags(parser, sections=("TEST",))
    add_weights_flag(parser)
    add_verbose_flag(parser)
    add = parser.group(Group.OUTPUT).add_argument
    add("--log-interval", type=whole_number(), default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--output", type=parse_text, metavar="FILE", help="also write the scores as JSON")
    add_report_flag(parser, "{model}_test_report.html beside --output, or here")
    add_output_flags(parser, submission=False)
    add_engine_flags(parser)
    args = parser.parse_args()
    return TestOptions(
        read_run_options(args), read_engine_options(args), args.weights, args.log_interval, args.output, args.report,
        read_output_options(args),
    )  # fmt: skip


def main() -> int:
    options = parse_args()
    if not (options.output or options.report or options.outputs.save_probs):
        require_output()
    run = plan_run(
        options.run, ["MODEL", "TEST"], lambda config: True, weights=options.weights, export=options.engine.export
    )
    page = choose_page(run, options)
    options.outputs.check(run.spec.data, {"--output": options.output})
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
    metric, worst = METRICS.get(run.spec.metrics)(run.config), WorstMistakes() if page else None
    outputs = options.outputs.open()
    with open_evaluation(run, "TEST", options.weights, options.engine) as evaluation:
        group, dataset = evaluation.group, evaluation.dataset
        score(run, options, evaluation, metric, worst, outputs)
        group.merge(metric)
        outputs.gather(group)
        if worst:
            group.merge(worst)
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
    if options.outputs.save_probs:
        outputs.write(facts_of(run, dataset, name_classes(run, options, evaluation)[0]))
    if page:
        make_page(page, run, options, evaluation, metric, values, worst, broken)
    return 0


def choose_page(run: Run, options: TestOptions) -> Path | None:
    """Where the page of --report goes, None without one. Raises ZooError for what would keep it from there."""
    if not options.report:
        return None
    from tools.pages.page import choose_place

    output = Path(options.output) if options.output else None
    page = choose_place(options.report, (output.parent if output else Path()) / f"{run.name}_test_report.html")
    if output and page.resolve() == output.resolve():
        raise ConfigError(f"--output and --report are the same file, {page}; name two")
    return page


def score(
    run: Run,
    options: TestOptions,
    evaluation: Evaluation,
    metric: Metric,
    worst: WorstMistakes | None,
    outputs: Outputs,
) -> None:
    """Let the metric count this process's batches, with a line on some of them.

    worst: keeps mistakes for a page. outputs: the probabilities.
    """
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
            outputs.add(prediction)
            if worst:
                worst.add(prediction, metric.margins(prediction.probs, prediction.batch.labels))
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


def make_page(
    page: Path, run: Run, options: TestOptions, evaluation: Evaluation,
    metric: Metric, values: dict[str, float], worst: WorstMistakes, broken: list[str],
) -> None:  # fmt: skip
    """Write the page of --report, with a line on where it is."""
    from tools.inference.run_blocks import EvaluatedRun
    from tools.inference.score_page import Scores, build_score_page
    from tools.pages.page import try_to_write

    def build():
        dataset = evaluation.dataset
        names, lines = name_classes(run, options, evaluation)
        facts = [("device", evaluation.device), ("processes", str(run.processes.world)), *options.engine.describe()]
        tested = EvaluatedRun(
            run.name, run.spec, run.config, "TEST", metric, evaluation.weights, run.described, names, facts
        )
        notices = [*run.notices, *dataset.notices, *lines]
        mistakes = picture_mistakes(worst.found, dataset)
        protocol = dataset.protocol
        return build_score_page(tested, Scores(metric, values, mistakes, dataset.name, protocol, broken, notices))

    if try_to_write(page, build):
        log.info(f"page of this test: {page}")


def name_classes(run: Run, options: TestOptions, evaluation: Evaluation) -> tuple[list[str] | None, list[str]]:
    """The names of the classes for a page, None where none are known, and lines on where they are from."""
    names, refused = find_class_names(run.config, "TEST", run.described and run.described.class_names)
    if refused:
        return None, [f"classes have ids only: {refused}"]
    if names is not None:
        return names, []
    names, line = find_released_names(
        run.name,
        evaluation.weights,
        run.config.MODEL.num_classes,
        by_names_of_2019=evaluation.match.released,
        weights_dir=options.run.weights_dir,
        load=load_class_names,
    )
    return names, [line]


if __name__ == "__main__":
    run_program(main, output_needed=False)
