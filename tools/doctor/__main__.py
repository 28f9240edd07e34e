"""Say what would stop a training, or spoil it, before it begins: in the config, the data, the weights, the machine.

python -m tools.doctor --config configs/tsn.txt [--section TRAIN] [--deep] [--json FILE] [--write-clean-list OUT]

Takes the flags of train.py that change what is read. Without --deep, clips are judged by their lists and by the
beginnings and ends of their files, and YouTube-8M files by the index that training makes and keeps beside the list.
--deep reads every record and decodes every clip. Exit code 1 where training would fail, or reading what --section
names.
"""

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from tools.config.flags import build_parser, parse_count, parse_positive, parse_text, read_config, run
from tools.config.load import Config, read_model_name
from tools.distributed.launcher import plan_processes
from tools.doctor import clips as clip_inspection  # noqa: F401  (register the inspectors)
from tools.doctor import features as feature_inspection  # noqa: F401  (register the inspectors)
from tools.doctor.clean_list import plan_clean_lists, write_clean_lists
from tools.doctor.inspection import INSPECTORS, Finding, find_duplicates, inspect_list, measure_reading
from tools.doctor.machine import (
    PACKAGES,
    find_version,
    format_bytes,
    free_bytes,
    memory_bytes,
    processor_name,
    refuses_writing,
)
from tools.doctor.section_report import SectionReport
from tools.doctor.text import Check, format_report
from tools.errors import CheckpointError, ConfigError, ConfigFileError, DataError, ZooError
from tools.files.atomic import atomic_write, require_writable
from tools.inference.predictions import load_class_names
from tools.registry import MODELS
from tools.run_setup import check_batch_size, choose_pretrain, start_paddle
from tools.runtime.cpu import usable_cores
from tools.weights.files import load_weights
from tools.weights.released import RESNET50, CacheEntry

SECTIONS = ("TRAIN", "VALID", "TEST", "INFER")
PYTHONS = ((3, 10), (3, 13))  # from, to
MISSING_PACKAGES = {
    "Paddle": ("fails", "is not installed; python -m pip install -r requirements.txt"),
    "PyAV": ("note", "is not installed; OpenCV decodes videos, up to the last wanted frame"),
}


def parse_args(arguments: list[str] | None = None):
    parser = build_parser(__doc__, sections=("TRAIN", "VALID"), name_needed=False)
    add = parser.add_argument
    add(
        "--section",
        action="append",
        type=str.upper,
        choices=SECTIONS,
        help="look at this section's list alone; may be repeated; default: all there are, of which those that "
        "training reads decide the exit code",
    )
    add("--deep", action="store_true", help="read every record and decode every clip")
    add("--json", type=parse_text, metavar="FILE", help="write everything found as JSON; - for standard output")
    add(
        "--write-clean-list",
        type=parse_text,
        metavar="OUT",
        help="write the list without the lines that cannot be used; a folder where several sections are looked at",
    )
    add("--weights", type=parse_text, metavar="PATH", help="weights to try, as test.py takes them")
    add("--pretrain", type=parse_text, metavar="PATH", help="weights to try, as train.py takes them")
    add("--save-dir", type=parse_text, default="checkpoints", metavar="DIR", help="where checkpoints would go")
    add(
        "--accumulate",
        type=parse_positive,
        default=1,
        metavar="N",
        help="micro-batches that a process computes a batch in",
    )
    add("--keep", type=parse_count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add("--valid-interval", type=parse_count, default=1, metavar="EPOCHS", help="0: training reads no [VALID]")
    args = parser.parse_args(arguments)
    if not args.config and not args.model_name:
        parser.error("give --config, or --model-name for a model's own config")
    return args


# The config


def load_checked_config(args, counted: list[str]) -> tuple[str, object, Config | None, list[Check]]:
    """(model name, spec, config, checks). The config is there also where a file that it names is not as it should."""
    name = args.model_name or read_model_name(args.config)
    if name is None:
        raise ConfigError(f"{args.config} [MODEL] has no name; add one, or pass --model-name")
    name = MODELS.canonical_name(name)
    spec = MODELS.get(name)()
    lenient = SimpleNamespace(
        schema=replace(spec.schema, check=lambda config: None), default_config=spec.default_config
    )
    config = read_config(args, lenient, name, ["MODEL", *counted])
    checks = [Check("config", "ok", f"{config.path}, {name}")]
    checks += [Check("config", "note", notice) for notice in config.notices]
    try:
        spec.schema.check(config)
    except ConfigFileError as error:
        checks.append(Check("config", "fails", str(error)))
    if "TRAIN" in counted:
        checks += check_split(args, config)
    return name, spec, config, checks


def check_split(args, config: Config) -> list[Check]:
    """Whether a training batch splits over the processes that train.py would start."""
    try:
        processes = plan_processes(args.nproc, config.TRAIN.use_gpu if args.use_gpu is None else args.use_gpu)
        check_batch_size(config.TRAIN.batch_size, processes.world, args.accumulate)
    except ConfigError as error:
        return [Check("config", "fails", str(error))]
    return []


# The data


def inspect_sections(args, config: Config, name: str, chosen: list[str]) -> list[SectionReport]:
    """A report on the list of each section; sections that read the same list in the same way share the work."""
    done, sections = {}, []
    for section_name in chosen:
        part, inspector = config[section_name], INSPECTORS.get(MODELS.get(name).data)(config, section_name)
        section = SectionReport(
            section_name, part.filelist, part.batch_size, part.num_reader_threads, config.MODEL.num_classes
        )
        section.inspector = inspector
        if (part.filelist, inspector) not in done:
            done[part.filelist, inspector] = _inspect(part.filelist, inspector, args.deep)
        section.reports, section.notices, section.reading, section.unreadable = done[part.filelist, inspector]
        sections.append(section)
    twins = find_duplicates({section.name: section.reports for section in sections})
    for section in sections:
        section.twins = twins[section.name]
    return sections


def _inspect(list_path: str, inspector, deep: bool) -> tuple:
    try:
        reports, notices = inspect_list(list_path, inspector, deep)
    except DataError as error:
        return [], [], (0, 0.0), Finding(error.issue.value, list_path, "", str(error), skippable=False)
    return reports, notices, measure_reading(inspector, reports), None


# The network and its weights


def check_network(args, spec, config: Config, name: str, counted: list[str]) -> Iterator[Check]:
    """The device, the network, the weights it would begin with, and room for its checkpoints."""
    training = "TRAIN" in counted
    notices = []
    try:
        device = start_paddle(args.threads, args.use_gpu, config.TRAIN.use_gpu if training else True, notices.append)
    except ConfigError as error:
        yield Check("device", "fails", str(error))
        return
    yield from (Check("device", "ok", notice) for notice in notices)
    if device == "gpu":
        yield Check("device", "ok", _describe_gpus())
    network = spec.build_network(config)
    yield from check_weights(args, config, name, network, training)
    if training:
        yield check_room(args, spec, config, network)


def _describe_gpus() -> str:
    import paddle

    cuda = paddle.device.cuda
    return "GPU: " + ", ".join(cuda.get_device_name(i) for i in range(cuda.device_count()))


def check_weights(args, config: Config, name: str, network, training: bool) -> Iterator[Check]:
    """Whether the weights that are named fit the network, by filling it with them."""
    from tools.weights.loading import load_into_network

    def fits(origin: str, path: str, fine_tune: bool) -> Check:
        try:
            match = load_into_network(network, load_weights(path, name), fine_tune=fine_tune)
        except CheckpointError as error:
            return Check("weights", "fails", f"{origin} {path}: {error}")
        return Check("weights", "ok", "; ".join([f"{origin} {path}", *match.lines()]))

    if args.weights:
        yield fits("--weights", args.weights, fine_tune=False)
    if not training:
        return
    if note := _describe_absent_base(args, config):
        yield Check("weights", "note", note)
        return
    try:
        chosen = choose_pretrain(args, config, lambda line: None)
    except ZooError as error:
        yield Check("weights", "fails", str(error))
        return
    if chosen is not None:
        yield fits(*chosen, fine_tune=True)


def _describe_absent_base(args, config: Config) -> str:
    """What the first run will do for its pretrain_base; "" where that is here, unwanted, or cannot be had."""
    base = config.TRAIN.pretrain_base
    if args.pretrain or not base or Path(base).exists() or Path(base).name != RESNET50:
        return ""
    if config.MODEL.num_layers != 50:  # choose_pretrain says so
        return ""
    place = CacheEntry.of(RESNET50, args.weights_dir)
    if place.present() is not None:
        return ""
    if place.by_hand.is_file():
        return f"TRAIN.pretrain_base {base}: the first run unpacks {place.by_hand}"
    if args.offline:
        return ""
    return f"TRAIN.pretrain_base {base}: the first run fetches {place.url(place.item.archive)} to {place.cache}"


def check_room(args, spec, config: Config, network) -> Check:
    """Whether the disk of --save-dir has room for the checkpoints of all epochs."""
    from tools.training.checkpoint import network_arrays

    weights = sum(np.asarray(value).nbytes for value in network_arrays(network).values())
    trained = sum(4 * parameter.size for parameter in network.parameters() if not parameter.stop_gradient)
    each = weights + spec.optimizer_states * trained
    epochs = config.TRAIN.epoch
    count = min(args.keep + 2, epochs) if args.keep else epochs  # the best, and the one that is being written
    free = free_bytes(Path(args.save_dir))
    text = (
        f"{args.save_dir}: {format_bytes(free)} free; a checkpoint takes about {format_bytes(each)}, "
        f"{count} of {epochs} epochs {format_bytes(count * each)}"
    )
    if free < each:
        return Check("disk", "fails", text)
    if free < count * each:
        return Check("disk", "note", f"{text}; --keep N keeps the latest N and the best")
    return Check("disk", "ok", text)


# The machine


def check_machine(args, training: bool) -> Iterator[Check]:
    version = platform.python_version()
    least, most = PYTHONS
    fits = least <= sys.version_info[:2] <= most
    wanted = f"; made for {'.'.join(map(str, least))} to {'.'.join(map(str, most))}"
    yield Check("Python", "ok" if fits else "note", version + ("" if fits else wanted))
    for package in PACKAGES:
        version = find_version(package)
        status, text = MISSING_PACKAGES.get(package, ("note", "was not installed by pip, but is there"))
        yield Check(package, "ok" if version else status, version or text)
    cores = usable_cores()
    yield Check("processor", "ok", f"{processor_name()}, {cores} core{'s' * (cores > 1)} usable")
    if memory := memory_bytes():
        yield Check("memory", "ok", f"{format_bytes(memory[0])}, {format_bytes(memory[1])} available")
    folders = [("weights", CacheEntry.of(RESNET50, args.weights_dir).cache, "note")]
    if training:
        folders.append(("--save-dir", Path(args.save_dir), "fails"))
    for what, folder, status in folders:
        problem = refuses_writing(folder)
        yield Check("folder", status if problem else "ok", f"{what} {folder}: {problem or 'can be written'}")


# All together


def examine(args) -> tuple[dict, list[SectionReport], dict[str, Path]]:
    """Everything that is found, as ``--json`` has it; the sections themselves; list -> where its clean list goes."""
    named = list(dict.fromkeys(args.section or ()))
    counted = named or ["TRAIN", *["VALID"] * bool(args.valid_interval)]
    sections, checks, config, name, clean_lists = [], [], None, args.model_name, {}
    try:
        name, spec, config, checks = load_checked_config(args, counted)
        chosen = named or [section for section in SECTIONS if section in config]
        if args.write_clean_list:
            lists = [config[section].filelist for section in chosen]
            clean_lists = plan_clean_lists(lists, Path(args.write_clean_list))
        sections = inspect_sections(args, config, name, chosen)
    except ConfigError as error:
        checks.append(Check("config", "fails", str(error)))
        config = None
    for section in sections:
        checks += [Check("list", "note", f"[{section.name}] {notice}") for notice in section.notices]
        if section.name == "TRAIN" and section.reports:
            checks += [Check("config", "note", notice) for notice in spec.notices(config, section.dataset_size())]
        checks += check_class_names(config, section)
    checks += check_machine(args, "TRAIN" in counted)
    if config is not None and not any(check.status == "fails" for check in checks):
        checks += check_network(args, spec, config, name, counted)

    reasons = [f"{check.name}: {check.text}" for check in checks if check.status == "fails"]
    for section in sections:
        if section.name in counted:
            reasons += section.reasons_to_fail(args.skip_broken)
    report = {
        "model": name,
        "config": config.path if config else args.config,
        "deep": args.deep,
        "sections": {section.name: section.summary() for section in sections},
        "findings": [
            {"section": section.name, **asdict(finding)} for section in sections for finding in section.findings()
        ],
        "checks": [asdict(check) for check in checks],
        "verdict": {
            "what": "training" if "TRAIN" in counted else f"reading {', '.join(counted)}",
            "fails": bool(reasons),
            "reasons": reasons,
        },
    }
    return report, sections, clean_lists


def check_class_names(config: Config, section: SectionReport) -> list[Check]:
    path = config[section.name].class_names
    if not path:
        return []
    try:
        load_class_names(path, config.MODEL.num_classes)
    except DataError as error:
        return [Check("names", "note", f"[{section.name}] {error}")]
    return [Check("names", "ok", f"[{section.name}] {path}")]


def main() -> int:
    args = parse_args()
    json_path = Path(args.json) if args.json and args.json != "-" else None
    if json_path:
        with _writing_json(json_path):
            require_writable(json_path)
    report, sections, clean_lists = examine(args)
    text = json.dumps(report, indent=1)
    print(text if args.json == "-" else format_report(report))
    if json_path:
        with _writing_json(json_path), atomic_write(json_path) as file:
            file.write(text.encode())
    if args.write_clean_list:
        for line in write_clean_lists(sections, clean_lists):
            print(line, file=sys.stderr)
    return int(report["verdict"]["fails"])


@contextmanager
def _writing_json(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"--json {path} cannot be written: {error}") from None


if __name__ == "__main__":
    run(main)
