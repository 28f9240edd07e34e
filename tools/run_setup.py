"""What train.py, test.py and infer.py share: from flags to a config, processes, a device, a log and data sets."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.config.flags import EngineOptions, RunOptions
from tools.config.load import Config
from tools.distributed.launcher import Processes, follow_launcher, launch, plan_processes
from tools.distributed.skipped import report_skipped
from tools.inference.deployed import DeployedModel, read_deployed
from tools.inference.load import load_network
from tools.registry import MODELS, READERS
from tools.runtime.device import start_paddle
from tools.runtime.log import log_folder, start_log
from tools.weights.files import WeightFile
from tools.weights.loading import Match
from tools.weights.resolve import find_weights
from tools.weights.self_description import SelfDescription, choose_model, choose_settings, find_self_description

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run of one model. name: as published. spec: see ``models/spec.py``.

    described: what the checkpoint that it tests or infers with says of itself, None for other weights. notices: lines
    on where its settings are from. deployed: the exported model that it runs in place of weights. reader: opens data
    sets in place of the model's own, as ``datareader/dataset.py`` says.
    """

    name: str
    spec: Any
    config: Config
    options: RunOptions
    processes: Processes
    described: SelfDescription | None = None
    notices: tuple[str, ...] = ()
    deployed: DeployedModel | None = None
    reader: Callable[..., Any] | None = None

    def open_dataset(self, section: str, *, training: bool):
        """The data set of a section, with a line on its size and one on every record that is skipped, now or later."""
        reader = self.reader or READERS.get(self.spec.reader)
        dataset = reader(self.config, section, training=training, skip_broken=self.options.skip_broken)
        log.info(f"[{section}] {len(dataset)} records in {dataset.name}")
        for notice in dataset.notices:
            log.info(f"[{section}] {notice}")
        report_skipped(dataset, section)
        return dataset

    def start_log(self, folder: str | None, name: str = "") -> None:
        """Start the log of this process, with what there is to say of the config. See ``tools.runtime.log``."""
        rank = self.processes.rank if self.processes.world > 1 else None
        start_log(folder, name, rank, verbose=self.options.verbose)
        for notice in self.notices:
            log.info(notice)
        for notice in self.config.notices:
            log.debug(notice)

    def start_paddle(self, gpu_wanted: bool) -> str:
        """The device, "gpu" or "cpu"."""
        return start_paddle(self.options.threads, self.options.use_gpu, gpu_wanted, self.processes.on_this_machine)


def plan_run(
    options: RunOptions,
    sections: list[str],
    gpu_wanted: Callable[[Config], bool],
    weights: str | None = None,
    export: str | None = None,
) -> Run:
    """What the flags, the checkpoint and the environment say.

    sections: of the config, without which the run cannot start. gpu_wanted: whether GPUs are used where --use-gpu says
    nothing. weights: --weights of a test or an inference. export: its --export. Raises ConfigError, and CheckpointError
    for weights and exported models.
    """
    deployed = None if export is None else read_deployed(export)
    described = deployed.described if deployed else find_self_description(weights) if weights else None
    name = choose_model(options.model_name, options.config.path, weights, described)
    spec = MODELS.get(name)()
    config, notices = choose_settings(options.config, described, spec, name, sections)
    use_gpu = gpu_wanted(config) if options.use_gpu is None else options.use_gpu
    return Run(name, spec, config, options, plan_processes(options.nproc, use_gpu), described, tuple(notices), deployed)


def launch_processes(run: Run, check: Callable[[], Any], save_dir: str | None) -> int | None:
    """Start the processes of this run, where it has several and this is none of them; return their exit code.

    None in a process that does the work itself, which from now on ends when its launcher does.
    check: opens the data sets, so that what is wrong with them is told once.
    """
    if run.processes.to_start:
        check()
        return launch(run.processes, log_folder(save_dir) if save_dir else None)
    follow_launcher()
    return None


@dataclass(frozen=True)
class Evaluation:
    """A test or an inference, ready to start. network: or what stands in for it. match: how the weights fit it."""

    group: Any
    network: Any
    weights: WeightFile
    match: Match
    dataset: Any
    device: str


@contextlib.contextmanager
def open_evaluation(
    run: Run, section: str, weights_path: str | None, engine: EngineOptions, *, is_long: bool = False
) -> Iterator[Evaluation]:
    """The processes of a test or an inference, its network and its data, while it is open.

    weights_path: --weights. is_long: the network sees more than the data set's records, as windows of them. Raises
    ZooError for what is wrong with any of them, data and weights before Paddle is imported where there is one process;
    of several, all hear what is wrong with the files of one.
    """
    options = run.options

    def open_inputs() -> tuple[WeightFile, Any]:
        if run.deployed:
            run.deployed.require_inputs(run.spec.inputs(run.config, section), run.config.where(section))
            weights = run.deployed.weights
        else:
            weights = find_weights(weights_path, run.name, weights_dir=options.weights_dir, offline=options.offline)
        return weights, run.open_dataset(section, training=False)

    inputs = open_inputs() if run.processes.world == 1 else None
    device = run.start_paddle(gpu_wanted=True)
    from tools.distributed.group import connect  # imports Paddle

    with connect(device) as group:
        weights, dataset = inputs or open_inputs()
        if run.deployed:
            from tools.inference.deployed_network import load_deployed  # imports Paddle

            network, match = load_deployed(run.spec, run.config, run.deployed, device, engine), Match()
        else:
            num_records = None if is_long else len(dataset)
            network, match = load_network(run.name, run.spec, run.config, section, weights, device, engine, num_records)
        yield Evaluation(group, network, weights, match, dataset, device)
