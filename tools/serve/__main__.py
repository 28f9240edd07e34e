"""Serve a model over HTTP: name the classes of the videos that are sent to this machine.

python -m tools.serve --weights=PATH [--model-name TSN --config FILE] [--port 8866]
curl --data-binary @clip.mp4 http://127.0.0.1:8866/classify
curl -F file=@clip.mp4 'http://127.0.0.1:8866/classify?topk=3&window_sec=1'

The page at http://127.0.0.1:8866/ does the same in a browser.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # before anything slow, so that Ctrl-C is one line from here on
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the project, from whatever folder this is run
    from tools.runtime.beginning import begin_program

    begin_program()

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import models  # noqa: F401  (registers the specs)
from datareader.class_names import choose_class_names, load_class_names
from tools.config.flags import (
    add_cache_flags,
    add_device_flags,
    add_engine_flags,
    add_override,
    add_set_flag,
    add_verbose_flag,
    add_weights_flag,
    parse_text,
    read_engine_options,
    read_run_options,
    real_number,
    whole_number,
)
from tools.config.parser import Group, Parser, make_parser
from tools.errors import PackageError
from tools.inference.load import load_network
from tools.registry import MODELS
from tools.run_setup import Run, plan_run
from tools.runtime.cpu import usable_cores
from tools.runtime.entry import run_program
from tools.runtime.packages import check_versions
from tools.runtime.text import count_of
from tools.serve.decoders import Decoders
from tools.serve.network import NetworkThread
from tools.serve.options import Limits, ServeOptions
from tools.serve.reading import Reader, build_reader
from tools.serve.spool import Spool
from tools.serve.statistics import Statistics
from tools.weights.files import WeightFile
from tools.weights.released_names import find_released_names
from tools.weights.resolve import find_weights

log = logging.getLogger(__name__)

REQUIREMENTS = "requirements-serve.txt"
LEAST_BATCH, MOST_BATCH = 8, 64  # in place of a config's, which may be meant for one video, or for a GPU
MOST_DECODERS = 8


def parse_args() -> ServeOptions:
    parser = make_parser(__doc__, prog="python -m tools.serve")
    parser.set_defaults(nproc=1, skip_broken=0)
    add_weights_flag(parser)
    add_network_flags(parser)
    add_server_flags(parser)
    add_engine_flags(parser)
    args = parser.parse_args()
    limits = Limits(
        queue=args.queue,
        upload_bytes=int(args.max_upload_mb * 1e6),
        slow_sec=args.slow_sec,
        decode_processes=args.decode_processes,
        decode_bytes=args.decode_memory_mb * 1_000_000,
        decode_sec=args.decode_timeout,
    )
    return ServeOptions(
        read_run_options(args), read_engine_options(args), args.weights, args.host, args.port, tuple(args.allow_host),
        args.batch_size, args.batch_wait_ms / 1000, args.grace_sec, limits,
    )  # fmt: skip


def add_network_flags(parser: Parser) -> None:
    """What runs, and on what."""
    add = parser.group(Group.MODEL).add_argument
    names = ", ".join(MODELS.names())
    add("--model-name", type=parse_text, metavar="NAME", help=f"{names}; default: what the checkpoint says")
    add("--config", type=parse_text, metavar="FILE", help="default: what the checkpoint says, or the model's own")
    add_set_flag(parser, "INFER.seg_num=5")
    add_cache_flags(parser, "released")
    names = ("--class-names", ("INFER",), "class_names", parse_text, "names by class id, .txt or .csv")
    add_override(parser, Group.OUTPUT, *names)
    add_verbose_flag(parser)
    add_device_flags(parser)
    add = parser.group(Group.SPEED).add_argument
    add("--batch-size", type=whole_number(1, 1024), metavar="N", help="videos that the network sees at once, at most; "
        f"default: INFER.batch_size, but {LEAST_BATCH} to {MOST_BATCH}")  # fmt: skip
    add("--batch-wait-ms", type=real_number(0, 1000, or_zero=True), default=5, metavar="MS",
        help="how long the first of a batch waits for others")  # fmt: skip


def add_server_flags(parser: Parser) -> None:
    """Where the server is, and what a stranger may use up of the machine."""
    add = parser.group(Group.SERVER).add_argument
    add("--host", type=parse_text, default="127.0.0.1", metavar="ADDRESS",
        help="where it listens, 0.0.0.0 for all that reach this machine; there is no authentication")  # fmt: skip
    add(
        "--port",
        type=whole_number(0, 65535),
        default=8866,
        metavar="N",
        help="where it listens, 0 for a port that is free",
    )
    add("--allow-host", action="append", type=parse_text, default=[], metavar="NAME",
        help="also answer requests for this name, as behind a proxy; repeat for more")  # fmt: skip
    add("--queue", type=whole_number(0, 10_000), default=32, metavar="N",
        help="uploads that wait beside those that are decoded; more are answered 503")  # fmt: skip
    add("--max-upload-mb", type=real_number(0, 1e6), default=256, metavar="MB", help="size of one upload, at most")
    add("--slow-sec", type=real_number(0, 3600), default=10, metavar="SEC",
        help="how far an upload may fall behind 32 kB a second")  # fmt: skip
    add("--decode-processes", type=whole_number(1, 256), default=min(usable_cores(), MOST_DECODERS), metavar="N",
        help=f"processes that read uploads; default: all available cores, at most {MOST_DECODERS}")  # fmt: skip
    add("--decode-memory-mb", type=whole_number(16, 1_000_000), default=1024, metavar="MB",
        help="memory of each of them, for one upload")  # fmt: skip
    add(
        "--decode-timeout",
        type=real_number(0, 86_400),
        default=60,
        metavar="SEC",
        help="how long reading one upload may take",
    )
    add("--grace-sec", type=real_number(0, 86_400, or_zero=True), default=30, metavar="SEC",
        help="how long what is under way may take when a signal comes")  # fmt: skip


def require_packages() -> None:
    """Raise PackageError where one of requirements-serve.txt is missing or too old."""
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise PackageError(
            f"tools.serve needs {error.name}, which cannot be imported; python -m pip install -r {REQUIREMENTS}"
        ) from None
    check_versions(REQUIREMENTS)


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, and its classes' names by id, None where nothing says them."""

    network: Any
    names: list[str] | None
    device: str


def load(run: Run, options: ServeOptions, weights: WeightFile | None) -> Loaded:
    """weights: None of an exported model, which has its own. Raises ZooError."""
    num_classes = run.config.MODEL.num_classes
    own_names = run.described and run.described.class_names
    names, lines = choose_class_names(run.config.INFER.class_names, own_names, num_classes)
    for line in lines:
        log.info(line)
    device = run.start_paddle(gpu_wanted=True)
    if run.deployed:
        from tools.inference.deployed_network import load_deployed  # imports Paddle

        return Loaded(load_deployed(run.spec, run.config, run.deployed, device, options.engine), names, device)
    network, match = load_network(run.name, run.spec, run.config, "INFER", weights, device, options.engine, None)
    if names is None:
        names, line = find_released_names(
            run.name, weights, num_classes, by_names_of_2019=match.released, weights_dir=options.run.weights_dir,
            load=load_class_names,
        )  # fmt: skip
        log.info(line)
    return Loaded(network, names, device)


def main() -> int:
    options = parse_args()
    run = plan_run(
        options.run, ["MODEL", "INFER"], lambda config: True, weights=options.weights, export=options.engine.export
    )
    run.start_log(None)
    require_packages()
    reader = build_reader(run.spec, run.name, run.config)
    weights, flags = None, options.run
    if run.deployed:
        run.deployed.require_inputs(run.spec.inputs(run.config, "INFER"), run.config.where("INFER"))
    else:
        weights = find_weights(options.weights, run.name, weights_dir=flags.weights_dir, offline=flags.offline)
    return answer_requests(run, options, weights, reader)


def answer_requests(run: Run, options: ServeOptions, weights: WeightFile | None, reader: Reader) -> int:
    """Serve until a signal comes. Raises ZooError for what keeps the server from its start."""
    from tools.serve.answers import Answerer
    from tools.serve.app import Service, build_app
    from tools.serve.guard import LOOPBACK, Guard
    from tools.serve.listening import Port, serve
    from tools.serve.page import build_page

    limits, statistics = options.limits, Statistics()
    batch_size = options.batch_size or min(max(run.config.INFER.batch_size, LEAST_BATCH), MOST_BATCH)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(Port(options.host, options.port))
        spool = stack.enter_context(Spool())
        with Decoders(reader, limits, statistics.count_restart) as decoders:  # which start while Paddle does
            loaded = load(run, options, weights)
            decoders.require_started()
            to_float = reader.to_float if loaded.device == "cpu" else lambda batch: batch
            network = stack.enter_context(
                NetworkThread(loaded.network, to_float, batch_size, options.batch_wait_sec, statistics.count_batch)
            )
            answerer = Answerer(run.name, loaded.names, reader.kind == "clips")
            service = Service(
                answerer, build_page(run.name, reader.kind, limits), run.config.MODEL.num_classes, limits, spool,
                decoders, network, statistics,
            )  # fmt: skip
            allowed = {options.host.lower(), *map(str.lower, options.allowed_hosts)}
            is_checked = port.is_loopback or options.allowed_hosts
            app = Guard(build_app(service), statistics, LOOPBACK | allowed if is_checked else None)
            if not port.is_loopback:
                log.info(f"--host {options.host}: everybody who reaches this machine may use it; no authentication")
            ready = f"{run.name} answers at {port.url} (Ctrl-C stops it)"
            given_up = asyncio.run(
                serve(
                    app, port, options.grace_sec, limits.most_requests, partial(log.info, ready),
                    partial(stop, service), spool.remove,
                )
            )  # fmt: skip
    log.info("stopped" + (f"; {count_of(given_up, 'request')} had no answer yet" if given_up else ""))
    return 0


def stop(service) -> None:
    """Take no more uploads. service: a Service, which needs packages that may be missing."""
    service.is_stopping = True
    log.info("stopping; what is under way is finished, and a second signal ends at once")


if __name__ == "__main__":
    run_program(main)
