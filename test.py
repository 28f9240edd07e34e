"""Score a model on labelled data.

python test.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH
"""

import json
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from tools.config.flags import add_engine_flags, build_parser, parse_count, parse_text, read_config, run
from tools.distributed.launcher import follow_launcher, launch, plan_processes
from tools.errors import DataError
from tools.files.atomic import atomic_write, require_writable
from tools.registry import METRICS, MODELS
from tools.run_setup import gather_broken, load_network, open_dataset, open_inputs, require_records, start_paddle
from tools.runtime.log import RunLog, progress_bar


def parse_args():
    parser = build_parser(__doc__, sections=("TEST",))
    add = parser.add_argument
    add(
        "--weights",
        type=parse_text,
        metavar="PATH",
        help="a checkpoint folder, a folder or file of 2019, or a .pdparams file; default: the released weights",
    )
    add("--log-interval", type=parse_count, default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--output", type=parse_text, metavar="FILE", help="also write the scores as JSON")
    add_engine_flags(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    name = MODELS.canonical_name(args.model_name)
    spec = MODELS.get(name)()
    config = read_config(args, spec, name, ["MODEL", "TEST"])
    processes = plan_processes(args.nproc, args.use_gpu is not False)
    if processes.to_start:
        # Here first, so that what is wrong is told once.
        open_dataset(name, config, "TEST", training=False, skip_broken=args.skip_broken, log=lambda text: None)
        return launch(processes, None)
    follow_launcher()
    log = RunLog(rank=processes.rank if processes.world > 1 else None)
    for notice in config.notices:
        log.line(notice)
    if args.output:
        try:
            require_writable(Path(args.output))
        except (OSError, ValueError) as error:
            raise DataError(f"--output {args.output} cannot be written: {error}") from None

    def look():
        return open_inputs(args, config, name, "TEST", log.line)

    inputs = look() if processes.world == 1 else None  # what is wrong does not wait for Paddle
    device = start_paddle(args.threads, args.use_gpu, True, log.line, processes.on_this_machine)
    from tools.distributed.group import connect  # these import Paddle
    from tools.training.step import evaluate

    section = config.TEST
    metric = METRICS.get(spec.metrics)(config)
    with connect(device, log.line) as group:
        weights, dataset = inputs or look()  # of several processes all hear what is wrong with the files of one
        network = load_network(args, spec, config, "TEST", weights, device, log.line)
        loader = EvaluationLoader(
            dataset,
            section.batch_size,
            num_workers=section.num_reader_threads,
            as_float=device == "cpu",
            shard=Shard(processes.rank, processes.world),
        )
        with progress_bar(len(loader), 0, "testing", shown=group.is_first) as bar:
            for number, prediction in enumerate(evaluate(network, loader.epoch(), metric)):
                bar.update()
                if args.log_interval and number % args.log_interval == 0:
                    batch_metric = METRICS.get(spec.metrics)(config)
                    batch_metric.update(prediction.probs, prediction.batch.labels, prediction.loss)
                    text = batch_metric.describe(batch_metric.compute(full=False))
                    log.line(f"[TEST] iter {number:<4}, {text}", shown=bar.disable)
        group.merge(metric)
        broken = gather_broken(group, dataset, args.skip_broken)
        if not group.is_first:
            return 0
        require_records(metric.num_videos, dataset)
        values = metric.compute()
    log.line(format_table(values))
    protocol = f": {dataset.protocol}" * bool(dataset.protocol)
    log.line(f"evaluated {metric.num_videos} of {metric.num_videos + len(broken)} records{protocol}")
    if args.output:
        report = {"model": name, "weights": weights.path, "config": config.path, "filelist": section.filelist}
        report |= {"protocol": dataset.protocol, "scores": values, **metric.report()}
        report |= {"evaluated": metric.num_videos, "of": metric.num_videos + len(broken), "broken": broken}
        write_report(Path(args.output), report)
    return 0


def format_table(values: dict[str, float]) -> str:
    width = max(map(len, values))
    return "\n".join(f"{key:<{width}}  {value:.6f}" for key, value in values.items())


def write_report(path: Path, report: dict) -> None:
    try:
        with atomic_write(path) as file:
            file.write((json.dumps(report, indent=1) + "\n").encode())
    except OSError as error:
        raise DataError(f"--output {path} could not be written: {error}") from None


if __name__ == "__main__":
    run(main)
