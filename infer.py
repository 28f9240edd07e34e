"""Name the classes of videos.

python infer.py --model-name=AttentionCluster --config=configs/attention_cluster.txt --weights=PATH --filelist=LIST
"""

from itertools import chain
from pathlib import Path

import datareader  # noqa: F401  (registers the readers)
import metrics  # noqa: F401
import models  # noqa: F401
from datareader.loader import EvaluationLoader
from datareader.sharding import Shard
from tools.config.flags import (
    add_engine_flags,
    add_override,
    build_parser,
    parse_count,
    parse_text,
    read_config,
    run,
)
from tools.distributed.launcher import follow_launcher, launch, plan_processes
from tools.errors import DataError
from tools.files.atomic import require_writable
from tools.inference.predictions import load_class_names, rank_classes, write_predictions
from tools.registry import MODELS
from tools.run_setup import gather_broken, load_network, open_dataset, open_inputs, require_records, start_paddle
from tools.runtime.log import RunLog, log_folder, progress_bar


def parse_args():
    parser = build_parser(__doc__, sections=("INFER",))
    add = parser.add_argument
    add(
        "--weights",
        type=parse_text,
        metavar="PATH",
        help="a checkpoint folder, a folder or file of 2019, or a .pdparams file; default: the released weights",
    )
    add_override(parser, "--filelist", ("INFER",), "filelist", parse_text, "list of the files to look at")
    add_override(parser, "--class-names", ("INFER",), "class_names", parse_text, "names by class id, .txt or .csv")
    add("--infer-topk", type=parse_count, default=20, metavar="K", help="classes to keep of each video; 0: all")
    add("--log-interval", type=parse_count, default=1, metavar="BATCHES", help="batches between log lines; 0: none")
    add("--save-dir", type=parse_text, default="./", metavar="DIR", help="where the results go")
    add_engine_flags(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    name = MODELS.canonical_name(args.model_name)
    spec = MODELS.get(name)()
    config = read_config(args, spec, name, ["MODEL", "INFER"])
    processes = plan_processes(args.nproc, args.use_gpu is not False)
    if processes.to_start:
        # Here first, so that what is wrong is told once.
        open_dataset(name, config, "INFER", training=False, skip_broken=args.skip_broken, log=lambda text: None)
        return launch(processes, log_folder(args.save_dir))
    follow_launcher()
    log = RunLog(args.save_dir, rank=processes.rank if processes.world > 1 else None)
    for notice in config.notices:
        log.line(notice)
    base = Path(args.save_dir) / f"{name}_infer_result"
    try:
        require_writable(base)
    except OSError as error:
        raise DataError(f"--save-dir {args.save_dir} cannot be written: {error}") from None
    section = config.INFER
    names = load_class_names(section.class_names, config.MODEL.num_classes) if section.class_names else None

    def look():
        return open_inputs(args, config, name, "INFER", log.line)

    inputs = look() if processes.world == 1 else None  # what is wrong does not wait for Paddle
    device = start_paddle(args.threads, args.use_gpu, True, log.line, processes.on_this_machine)
    from tools.distributed.group import connect  # these import Paddle
    from tools.training.step import predict

    results = []
    with connect(device, log.line) as group:
        weights, dataset = inputs or look()  # of several processes all hear what is wrong with the files of one
        network = load_network(args, spec, config, "INFER", weights, device, log.line)
        loader = EvaluationLoader(
            dataset,
            section.batch_size,
            num_workers=section.num_reader_threads,
            as_float=device == "cpu",
            shard=Shard(processes.rank, processes.world),
        )
        with progress_bar(len(loader), 0, "inferring", shown=group.is_first) as bar:
            for number, prediction in enumerate(predict(network, loader.epoch())):
                for video_id, probs in zip(prediction.batch.ids, prediction.probs, strict=True):
                    results.append((video_id, *rank_classes(probs, args.infer_topk)))
                bar.update()
                if args.log_interval and number % args.log_interval == 0:
                    video_id, probs, classes = results[-1]
                    best = names[classes[0]] if names else f"class {classes[0]}"
                    log.line(f"[INFER] iter {number:<4}, {video_id}: {best} {probs[0]:.4f}", shown=bar.disable)
        gathered = group.gather(results)
        broken = gather_broken(group, dataset, args.skip_broken)
        if not group.is_first:
            return 0
        results = list(chain.from_iterable(gathered))  # in list order, as the processes have stretches of the list
        require_records(len(results), dataset)
        paths = write_predictions(base, results, names)
    log.line(f"{len(results)} of {len(results) + len(broken)} videos; results in {', '.join(map(str, paths))}")
    return 0


if __name__ == "__main__":
    run(main)
