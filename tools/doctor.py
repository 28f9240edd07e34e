"""Say what would stop a training, or spoil it, before it begins: in the config, the data, the weights, the machine.

python -m tools.doctor --config configs/tsn.txt [--section TRAIN] [--deep] [--json FILE] [--write-clean-list OUT]

Takes the flags of train.py that change what is read. Without --deep, clips are judged by their lists and by the
beginnings and ends of their files, and YouTube-8M files by the index that training makes and keeps beside the list.
--deep reads every record and decodes every clip. Exit code 1 where training would fail, or reading what --section
names.
"""

import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import datareader  # noqa: F401  (registers the readers)
import models  # noqa: F401
from datareader import clip_inspection, feature_inspection  # noqa: F401  (register the inspectors)
from datareader.inspection import FileReport, Finding, count_classes, find_twins, inspect_list, measure_reading, spread
from datareader.lists import load_list
from tools.command_line import build_parser, parse_count, parse_text, read_config, run
from tools.config import Config, read_model_name
from tools.cpu import usable_cores
from tools.doctor_report import Check, format_report
from tools.errors import CheckpointError, ConfigError, ConfigFileError, DataError, ZooError
from tools.machine import (
    PACKAGES,
    find_version,
    format_bytes,
    free_bytes,
    memory_bytes,
    processor_name,
    refuses_writing,
)
from tools.predictions import load_class_names
from tools.registry import INSPECTORS, MODELS
from tools.released import RESNET50, Place
from tools.safe_files import replacing, require_place
from tools.start import choose_pretrain, start_paddle
from tools.weight_files import load_weights

SECTIONS = ("TRAIN", "VALID", "TEST", "INFER")
PYTHONS = ((3, 10), (3, 13))


@dataclass
class SectionReport:
    """A section's list under inspection. unreadable: why there are no reports, where there are none."""

    name: str
    list_path: str
    batch_size: int
    threads: int
    num_classes: int
    reports: list[FileReport] = field(default_factory=list)
    twins: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    reading: tuple[int, float] = (0, 0.0)
    unreadable: Finding | None = None
    inspector: object = None

    def findings(self) -> list[Finding]:
        alone = [self.unreadable] if self.unreadable else []
        return [*alone, *(finding for report in self.reports for finding in report.findings), *self.twins]

    def reasons_to_fail(self, skip_broken: int) -> list[str]:
        """Why a run that reads this section ends with an error, as clauses; see train.py and datareader."""
        if self.unreadable:
            return [self.unreadable.text]
        faults = [finding for finding in self.findings() if finding.is_fault]
        fatal = [finding for finding in faults if not finding.skippable]
        broken, usable = len(faults) - len(fatal), sum(report.num_usable for report in self.reports)
        reasons = []
        if fatal:
            reasons.append(f"{len(fatal)} lines of {self.list_path} cannot be used, which --skip-broken does not cover")
        if broken > skip_broken:
            reasons.append(f"{broken} broken in {self.list_path}, and --skip-broken is {skip_broken}")
        if not usable and not fatal:
            reasons.append(f"nothing in {self.list_path} is usable")
        count = len(self.reports) if self.inspector.one_record_a_file else usable
        if self.name == "TRAIN" and 0 < count < self.batch_size:
            reasons.append(
                f"{self.list_path} has {count} records, which do not fill one training batch of {self.batch_size}; "
                f"a batch size of {count} or less works (--batch-size)"
            )
        return [f"[{self.name}] {reason}" for reason in reasons]

    def summary(self) -> dict:
        """The numbers of the table and the JSON."""
        usable, kinds = sum(report.num_usable for report in self.reports), self.findings()
        records, seconds = self.reading
        threads = max(1, min(self.threads, usable_cores()))
        whole, part = divmod(usable, self.batch_size)
        return {
            "list": self.list_path,
            "entries": len(self.reports),
            "records": sum(report.num_records for report in self.reports),
            "usable": usable,
            "bytes": sum({report.key: report.size for report in self.reports if report.entry}.values()),
            "faults": Counter(finding.kind for finding in kinds if finding.is_fault),
            "twins": Counter(finding.kind for finding in kinds if not finding.is_fault),
            "classes": summarise_classes(self.reports, self.num_classes),
            "frames": spread(self.reports, "num_frames"),
            "seconds": spread(self.reports, "seconds"),
            "batches": whole if self.name == "TRAIN" else whole + bool(part),
            "reading": {
                "sampled_records": records,
                "sampled_sec": seconds,
                "threads": threads,
                "epoch_sec": seconds / records * usable / threads,
            }
            if records
            else None,
        }


def summarise_classes(reports: list[FileReport], num_classes: int) -> dict | None:
    """How many usable records each class has; None where no labels were looked at."""
    counts = count_classes(reports)
    if counts is None:
        return None
    unknown = counts.pop(-1, 0)
    present = sorted(counts.values())
    return {
        "num_classes": num_classes,
        "present": len(present),
        "unknown": unknown,
        "min": present[0] if present else 0,
        "median": present[len(present) // 2] if present else 0,
        "max": present[-1] if present else 0,
        "empty": [class_id for class_id in range(num_classes) if class_id not in counts],
        "counts": {class_id: counts[class_id] for class_id in sorted(counts)},
    }


def parse_args(arguments: list[str] | None = None):
    parser = build_parser(__doc__, section="TRAIN", batch_sections=("TRAIN", "VALID"), name_needed=False)
    add = parser.add_argument
    add(
        "--section",
        action="append",
        type=str.upper,
        choices=SECTIONS,
        help="look at this section's list alone; may be repeated; left out, all there are, of which those that "
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
    add("--keep", type=parse_count, default=0, metavar="N", help="finished epochs to keep besides the best; 0: all")
    add("--valid-interval", type=parse_count, default=1, metavar="EPOCHS", help="0: training reads no [VALID]")
    args = parser.parse_args(arguments)
    if not args.config and not args.model_name:
        parser.error("give --config, or --model-name for a model's own config")
    return args


# The config


def load_checked_config(args, counted: list[str]) -> tuple[str, object, Config | None, list[Check]]:
    """(model name, recipe, config, checks). The config is there also where a file that it names is not as it should."""
    name = args.model_name or read_model_name(args.config)
    if name is None:
        raise ConfigError(f"{args.config} [MODEL] has no name; add one, or pass --model-name")
    name = MODELS.spelling(name)
    recipe = MODELS.get(name)()
    lenient = SimpleNamespace(
        schema=replace(recipe.schema, check=lambda config: None), default_config=recipe.default_config
    )
    config = read_config(args, lenient, name, ["MODEL", *counted])
    checks = [Check("config", "ok", f"{config.path}, {name}")]
    checks += [Check("config", "note", notice) for notice in config.notices]
    try:
        recipe.schema.check(config)
    except ConfigFileError as error:
        checks.append(Check("config", "fails", str(error)))
    return name, recipe, config, checks


# The data


def inspect_sections(args, config: Config, name: str, chosen: list[str]) -> list[SectionReport]:
    """A report on the list of each section; sections that read the same list in the same way share the work."""
    done, sections = {}, []
    for section_name in chosen:
        part, inspector = getattr(config, section_name), INSPECTORS.get(name)(config, section_name)
        section = SectionReport(
            section_name, part.filelist, part.batch_size, part.num_reader_threads, config.MODEL.num_classes
        )
        section.inspector = inspector
        if (part.filelist, inspector) not in done:
            done[part.filelist, inspector] = _inspect(part.filelist, inspector, args.deep)
        section.reports, section.notices, section.reading, section.unreadable = done[part.filelist, inspector]
        sections.append(section)
    twins = find_twins({section.name: section.reports for section in sections})
    for section in sections:
        section.twins = twins[section.name]
    return sections


def _inspect(list_path: str, inspector, deep: bool) -> tuple:
    try:
        reports, notices = inspect_list(list_path, inspector, deep)
    except DataError as error:
        return [], [], (0, 0.0), Finding(error.fault.value, list_path, "", str(error), skippable=False)
    return reports, notices, measure_reading(inspector, reports), None


# The network and its weights


def check_network(args, recipe, config: Config, name: str, counted: list[str]) -> Iterator[Check]:
    """Paddle, the device, the network, the weights it would begin with, and room for its checkpoints."""
    version = find_version("Paddle")
    if version is None:
        yield Check("Paddle", "fails", "is not installed; python -m pip install -r requirements.txt")
        return
    yield Check("Paddle", "ok", version)
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
    network = recipe.build_network(config)
    yield from check_weights(args, config, name, network, training)
    if training:
        yield check_room(args, recipe, config, network)


def _describe_gpus() -> str:
    import paddle

    cuda = paddle.device.cuda
    return "GPU: " + ", ".join(cuda.get_device_name(i) for i in range(cuda.device_count()))


def check_weights(args, config: Config, name: str, network, training: bool) -> Iterator[Check]:
    """Whether the weights that are named fit the network, by filling it with them."""
    from tools.filling import fill_network

    def fits(origin: str, path: str, fine_tune: bool) -> Check:
        try:
            match = fill_network(network, load_weights(path, name), fine_tune=fine_tune)
        except CheckpointError as error:
            return Check("weights", "fails", f"{origin} {path}: {error}")
        return Check("weights", "ok", "; ".join([f"{origin} {path}", *match.lines()]))

    if args.weights:
        yield fits("--weights", args.weights, fine_tune=False)
    if not training:
        return
    base = getattr(config.TRAIN, "pretrain_base", None)
    if not args.pretrain and base and not Path(base).exists() and Path(base).name == RESNET50 and not args.offline:
        place = Place.of(RESNET50, args.weights_dir)
        if place.present() is None:
            yield Check(
                "weights",
                "note",
                f"TRAIN.pretrain_base {base}: not here yet; the first run fetches {place.url(place.item.archive)} to "
                f"{place.cache}",
            )
            return
    try:
        chosen = choose_pretrain(args, config, lambda line: None)
    except ZooError as error:
        yield Check("weights", "fails", str(error))
        return
    if chosen is not None:
        yield fits(*chosen, fine_tune=True)


def check_room(args, recipe, config: Config, network) -> Check:
    """Whether the disk of --save-dir has room for the checkpoints of all epochs."""
    from tools.checkpoint import network_arrays

    weights = sum(np.asarray(value).nbytes for value in network_arrays(network).values())
    trained = sum(4 * parameter.size for parameter in network.parameters() if not parameter.stop_gradient)
    each = weights + recipe.optimizer_states * trained
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
        if package != "Paddle":
            found = find_version(package)
            # Without the others nothing above would have been imported.
            missing = "is not installed; videos are decoded by OpenCV, in full"
            yield Check(package, "ok" if found else "note", found or missing)
    cores = usable_cores()
    yield Check("processor", "ok", f"{processor_name()}, {cores} core{'s' * (cores > 1)} usable")
    if memory := memory_bytes():
        yield Check("memory", "ok", f"{format_bytes(memory[0])}, {format_bytes(memory[1])} available")
    folders = [("weights", Place.of(RESNET50, args.weights_dir).cache, "note")]
    if training:
        folders.append(("--save-dir", Path(args.save_dir), "fails"))
    for what, folder, status in folders:
        problem = refuses_writing(folder)
        yield Check("folder", status if problem else "ok", f"{what} {folder}: {problem or 'can be written'}")


# All together


def examine(args) -> tuple[dict, list[SectionReport]]:
    """Everything that is found, as ``--json`` has it, and the sections themselves."""
    counted = args.section or ["TRAIN", *["VALID"] * bool(args.valid_interval)]
    sections, checks, config, name = [], [], None, args.model_name
    try:
        name, recipe, config, checks = load_checked_config(args, counted)
        chosen = args.section or [section for section in SECTIONS if section in config]
        sections = inspect_sections(args, config, name, chosen)
    except ConfigError as error:
        checks.append(Check("config", "fails", str(error)))
        config = None
    for section in sections:
        checks += [Check("list", "note", f"[{section.name}] {notice}") for notice in section.notices]
        if section.name == "TRAIN" and section.reports:
            usable = sum(report.num_usable for report in section.reports)
            checks += [Check("config", "note", notice) for notice in recipe.notices(config, usable)]
        checks += check_class_names(config, section)
    if config is not None and not any(check.status == "fails" for check in checks):
        checks += check_network(args, recipe, config, name, counted)
    checks += check_machine(args, "TRAIN" in counted)

    reasons = [f"{check.name}: {check.text}" for check in checks if check.status == "fails"]
    for section in sections:
        if section.name in counted:
            reasons += section.reasons_to_fail(args.skip_broken)
    report = {
        "model": name,
        "config": args.config,
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
    return report, sections


def check_class_names(config: Config, section: SectionReport) -> list[Check]:
    path = getattr(getattr(config, section.name), "class_names", None)
    if not path:
        return []
    try:
        load_class_names(path, config.MODEL.num_classes)
    except DataError as error:
        return [Check("names", "note", f"[{section.name}] {error}")]
    return [Check("names", "ok", f"[{section.name}] {path}")]


# Clean lists


def write_clean_lists(sections: list[SectionReport], out: Path) -> list[str]:
    """Write each list without the lines that cannot be used; lines that say so."""
    lists = {section.list_path: section for section in sections if section.reports}
    if not lists:
        raise DataError("--write-clean-list: no list could be read, so nothing was written")
    into_folder = len(lists) > 1 or out.is_dir()
    targets = {path: out / Path(path).name if into_folder else out for path in lists}
    if len(set(targets.values())) < len(targets):
        raise DataError(f"--write-clean-list {out}: two lists have the same name; use --section for one at a time")
    originals = {Path(path).resolve() for path in lists}
    for target in targets.values():
        if target.resolve() in originals:
            raise DataError(f"--write-clean-list {out}: {target} is the list itself; name another file or folder")
    return [_write_clean_list(section, targets[path]) for path, section in lists.items()]


def _write_clean_list(section: SectionReport, target: Path) -> str:
    good = {report.number: report for report in section.reports if report.num_usable}
    if not good:
        raise DataError(f"--write-clean-list: nothing in {section.list_path} is usable, so nothing was written")
    named = {report.number for report in section.reports}
    lines = Path(section.list_path).read_text(encoding="utf-8-sig").splitlines()
    kept = []
    for number, line in enumerate(lines, start=1):
        if number in good:
            kept.append(_moved_line(good[number], section.list_path, target))
        elif number not in named:
            kept.append(line)
    labelled = section.inspector.labelled
    try:
        require_place(target)
        with replacing(target) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())
            file.flush()
            written = load_list(file.name, labelled)
            for entry, report in zip(written, good.values(), strict=True):
                if entry.label != report.entry.label or not Path(entry.path).samefile(report.path):
                    raise DataError(
                        f"{target}: {report.line!r} would be read as {entry.path}; write it beside its list"
                    )
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error}") from None
    text = f"{target}: {len(good)} of {len(named)} lines of {section.list_path}"
    if partly := sum(bool(report.findings) for report in good.values()):
        text += f"; {partly} of them name files with broken records beside usable ones, for --skip-broken to leave out"
    return text


def _moved_line(report: FileReport, list_path: str, target: Path) -> str:
    """A line as it was, unless its path counts from the list's folder and the new list is in another one."""
    folder = Path(list_path).parent
    name = report.line if report.entry.label is None else report.line.rsplit(maxsplit=1)[0]
    beside = not Path(name).is_file()  # else it counts from the working directory, or from nowhere
    if not beside or folder.resolve() == target.parent.resolve():
        return report.line
    path = os.path.relpath(folder.resolve() / name, target.parent.resolve())
    return path + report.line[len(name) :]


def main() -> int:
    args = parse_args()
    report, sections = examine(args)
    text = json.dumps(report, indent=1)
    if args.json == "-":
        print(text)
    else:
        print(format_report(report))
    if args.json and args.json != "-":
        try:
            require_place(Path(args.json))
            with replacing(Path(args.json)) as file:
                file.write(text.encode())
        except OSError as error:
            raise DataError(f"--json {args.json} cannot be written: {error}") from None
    if args.write_clean_list:
        for line in write_clean_lists(sections, Path(args.write_clean_list)):
            print(line, file=sys.stderr)
    return int(report["verdict"]["fails"])


if __name__ == "__main__":
    run(main)
