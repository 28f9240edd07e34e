"""Everything that the doctor looks at, put together: the lists of the sections, the checks, and the verdict."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from models.spec import ModelSpec
from tools.config.load import Config
from tools.doctor import clips, features  # noqa: F401  (register the inspectors)
from tools.doctor.checks import Check, check_class_names, check_machine, check_split, load_checked_config
from tools.doctor.clean_list import plan_clean_lists
from tools.doctor.inspection import INSPECTORS, Finding, Inspector, find_duplicates, inspect_list, measure_reading
from tools.doctor.network import check_network
from tools.doctor.options import DoctorOptions
from tools.doctor.section_report import ListReport, SectionReport
from tools.errors import ConfigError, DataError

SECTIONS = ("TRAIN", "VALID", "TEST", "INFER")


@dataclass(frozen=True)
class Examination:
    """report: what ``--json`` writes. clean_lists: list -> where ``--write-clean-list`` puts what is usable of it."""

    report: dict
    sections: list[SectionReport]
    clean_lists: dict[str, Path]


def examine(options: DoctorOptions) -> Examination:
    """Look at everything. Raises DataError, before any list is read, for a clean list that cannot be written."""
    sections, checks, config, name, clean_lists = [], [], None, options.run.model_name, {}
    try:
        name, spec, config, checks = load_checked_config(options.run, options.counted)
        if options.is_training:
            checks += check_split(options.run, config, options.accumulate)
        chosen = options.sections or [section for section in SECTIONS if section in config]
        if options.write_clean_list:
            lists = [config[section].filelist for section in chosen]
            clean_lists = plan_clean_lists(lists, Path(options.write_clean_list))
        sections = inspect_sections(config, spec.data, chosen, options.deep)
    except ConfigError as error:
        checks.append(Check("config", "fails", str(error)))
        config = None
    for section in sections:
        checks += _check_section(section, spec, config)
    checks += check_machine(options.run.weights_dir, options.save_dir if options.is_training else None)
    if config is not None and not any(check.status == "fails" for check in checks):
        checks += check_network(options, name, spec, config)
    path = config.path if config else options.run.config.path
    return Examination(_make_report(options, name, path, sections, checks), sections, clean_lists)


def inspect_sections(config: Config, data: str, chosen: Iterable[str], deep: bool) -> list[SectionReport]:
    """A report on the list of each section; sections that read the same list in the same way share the work.

    data: the kind, as ``ModelSpec`` has it.
    """
    inspectors = {section: INSPECTORS.get(data)(config, section) for section in chosen}
    done, found = {}, {}
    for section, inspector in inspectors.items():
        work = config[section].filelist, inspector
        if work not in done:
            done[work] = _inspect(*work, deep)
        found[section] = done[work]
    duplicates = find_duplicates({section: content.reports for section, content in found.items()})
    return [
        SectionReport(
            section,
            config[section].filelist,
            batch_size=config[section].batch_size,
            threads=config[section].num_reader_threads,
            num_classes=config.MODEL.num_classes,
            inspector=inspector,
            content=found[section],
            duplicates=duplicates[section],
        )
        for section, inspector in inspectors.items()
    ]


def _inspect(list_path: str, inspector: Inspector, deep: bool) -> ListReport:
    try:
        reports, notices = inspect_list(list_path, inspector, deep)
    except DataError as error:
        return ListReport(unreadable=Finding(error.issue.value, list_path, "", str(error), skippable=False))
    return ListReport(reports, notices, measure_reading(inspector, reports))


def _check_section(section: SectionReport, spec: ModelSpec, config: Config) -> list[Check]:
    checks = [Check("list", "note", f"[{section.name}] {notice}") for notice in section.content.notices]
    checks += [Check("classes", "note", f"[{section.name}] {warning}") for warning in section.class_warnings()]
    if section.name == "TRAIN" and section.reports:
        checks += [Check("config", "note", notice) for notice in spec.notices(config, section.dataset_size())]
    return checks + check_class_names(config, section.name)


def _make_report(
    options: DoctorOptions,
    name: str | None,
    config_path: str | None,
    sections: list[SectionReport],
    checks: list[Check],
) -> dict:
    """What ``--json`` writes. name, config_path: as far as they are known."""
    reasons = [f"{check.name}: {check.text}" for check in checks if check.status == "fails"]
    for section in sections:
        if section.name in options.counted:
            reasons += section.reasons_to_fail(options.run.skip_broken)
    return {
        "model": name,
        "config": config_path,
        "deep": options.deep,
        "sections": {section.name: section.summary() for section in sections},
        "findings": [
            {"section": section.name, **asdict(finding)} for section in sections for finding in section.findings()
        ],
        "checks": [asdict(check) for check in checks],
        "verdict": {
            "what": "training" if options.is_training else f"reading {', '.join(options.counted)}",
            "fails": bool(reasons),
            "reasons": reasons,
        },
    }
