"""Score a model on labelled data.

python test.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH
"""

import json
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import Loader
from tools.command_line import add_engine_flags, build_parser, parse_count, parse_text, read_config, run
from tools.errors import DataError
from tools.registry import METRICS, MODELS
from tools.run_log import RunLog, progress_bar
from tools.safe_files import replacing, require_place
from tools.start import find_weights, load_network, open_dataset, start_paddle


def parse_args():
    parser = build_parser(__doc__, section="TEST", batch_sections=("TEST",))
    add = parser.add_argument
    add(
        "--weights",
        type=parse_text,
        metavar="PATH",
        help="a checkpoint folder, a folder or file of 2019, or a .pdparams file; left out, the released weights",
    )
    add("--log-interval", type=parse_count, default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--output", type=parse_text, metavar="FILE", help="also write the scores as JSON")
    add_engine_flags(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    name = MODELS.spelling(args.model_name)
    recipe = MODELS.get(name)()
    config = read_config(args, recipe, name, ["MODEL", "TEST"])
    log = RunLog()
    for notice in config.notices:
        log.line(notice)
    if args.output:
        try:
            require_place(Path(args.output))
        except (OSError, ValueError) as error:
            raise DataError(f"--output {args.output} cannot be written: {error}") from None
    weights = find_weights(args, name, log.line)
    dataset = open_dataset(name, config, "TEST", training=False, skip_broken=args.skip_broken, log=log.line)
    device = start_paddle(args.threads, args.use_gpu, True, log.line)
    from tools.engine import evaluate

    network = load_network(args, recipe, config, "TEST", weights, device, log.line)
    section = config.TEST
    loader = Loader(
        dataset,
        section.batch_size,
        drop_last=False,
        num_workers=section.num_reader_threads,
        as_float=device == "cpu",
    )
    meter = METRICS.get(name)(config)
    with progress_bar(len(loader), 0, "testing") as bar:
        for number, prediction in enumerate(evaluate(network, loader.epoch(), meter)):
            bar.update()
            if args.log_interval and number % args.log_interval == 0:
                batch_meter = METRICS.get(name)(config)
                batch_meter.update(prediction.probs, prediction.batch.labels, prediction.loss)
                text = batch_meter.describe(batch_meter.compute(full=False))
                log.line(f"[TEST] iter {number:<4}, {text}", shown=bar.disable)
    values = meter.compute()
    total = meter.num_videos + len(dataset.broken)
    log.line(format_table(values))
    log.line(f"evaluated {meter.num_videos} of {total} records{f': {dataset.protocol}' * bool(dataset.protocol)}")
    if args.output:
        report = {"model": name, "weights": weights.path, "config": config.path, "filelist": section.filelist}
        report |= {"protocol": dataset.protocol, "scores": values, **meter.report()}
        report |= {"evaluated": meter.num_videos, "of": total, "broken": dataset.broken}
        write_report(Path(args.output), report)


def format_table(values: dict[str, float]) -> str:
    width = max(map(len, values))
    return "\n".join(f"{key:<{width}}  {value:.6f}" for key, value in values.items())


def write_report(path: Path, report: dict) -> None:
    try:
        with replacing(path) as file:
            file.write((json.dumps(report, indent=1) + "\n").encode())
    except OSError as error:
        raise DataError(f"--output {path} could not be written: {error}") from None


if __name__ == "__main__":
    run(main)
