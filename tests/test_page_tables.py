"""Tables of flags and of config keys on the pages, and samples of files, are what programs, specs and code have.

A table says in its first head what it is about: ``flag of train.py``, ``flag of test.py and infer.py``, ``flag of
tools.extract``, ``key of TRAIN``. A sample of a file stands behind a line that begins with the file's path.
"""

import argparse
import ast
import csv
import importlib
import json
import re
from dataclasses import fields
from itertools import product

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from metrics.kinetics import KineticsMetrics
from tests.conftest import PROJECT, run_script
from tests.house import PROGRAMS, SCRIPTS
from tests.pages import BLOCK, PAGES, read_page, table_rows
from tools.config.flags import ConfigSource, read_config
from tools.config.schema import REQUIRED
from tools.files.pickles import load_data_pickle
from tools.inference.predictions import VideoClasses, write_predictions
from tools.inference.probs_file import LabelledVideo, RunFacts, write_probs
from tools.registry import MODELS
from tools.training.options import TrainingOptions

TRAINING, RESULTS = "tools/training.md", "tools/results.md"
THERE = [page for page in PAGES if (PROJECT / page).is_file()]  # test_readme.py holds that all of them are
TABLE = re.compile(r"^(\|.+\|)\n\|[-|: ]+\|\n((?:\|.*\n)+)", flags=re.MULTILINE)
FLAG = re.compile(r"`(--[a-z0-9][a-z0-9-]*)")
OPTIONS = {f"--{field.name.replace('_', '-')}": field.default for field in fields(TrainingOptions)}
OF_ANOTHER = "tools.benchmark_clips"  # hands its flags to tools.benchmark
PUBLIC = [name.removesuffix(".__main__") for name in PROGRAMS if name != OF_ANOTHER] + [
    f"{name}.py" for name in SCRIPTS
]
SPECS = {name: MODELS.get(name)() for name in MODELS.names()}


class ReachedParserError(Exception):
    """Ends a program once it has made its parser."""


def cells_of(row):
    return [cell.strip() for cell in row.strip()[1:-1].split("|")]


def tables_of(page):
    """(cells of the head, rows) of every table."""
    text = BLOCK.sub("", read_page(page)) + "\n"
    return [(cells_of(head), [cells_of(row) for row in rows.splitlines()]) for head, rows in TABLE.findall(text)]


def tables_about(kind, pages=THERE):
    """(page, what its head names, heads, rows) of the tables whose first head is ``kind of ...``."""
    for page in pages:
        for heads, rows in tables_of(page):
            if found := re.fullmatch(rf"{kind}s? of (.+)", heads[0]):
                yield page, re.split(r", | and ", found[1].replace("`", "")), heads, rows


_parsers = {}


def parser_of(program):
    """The parser of a program as pages call it: train.py, tools.doctor, dataset/make_list.py."""
    if program not in _parsers:
        name = program.removesuffix(".py").replace("/", ".")
        module = importlib.import_module(f"{name}.__main__" if (PROJECT / name.replace(".", "/")).is_dir() else name)
        found = []

        def stop(self, *arguments):
            found.append(self)
            raise ReachedParserError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", stop)
            with pytest.raises(ReachedParserError):
                getattr(module, "parse_args", module.main)()
        (_parsers[program],) = found
    return _parsers[program]


def flags_of(program):
    """Flag -> its action, of a program and of its sub-commands."""
    parsers, flags = [parser_of(program)], {}
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            flags |= dict.fromkeys(action.option_strings, action)
    return flags


def public_flags(program):
    """The names of each flag that a program shows and that does something."""
    shown = (action for action in dict.fromkeys(flags_of(program).values()) if action.help != argparse.SUPPRESS)
    effective = (action for action in shown if not (action.help or "").startswith("of 2019: accepted"))
    return [action.option_strings for action in effective if not {"--help", "--version"} & {*action.option_strings}]


def is_nothing(default):
    return default is None or default is False or default in ([], argparse.SUPPRESS)


def wrong_default(program, flag, cell):
    """What is wrong with the default that a table tells of a flag; None where it is right."""
    action = flags_of(program)[flag]
    default = OPTIONS.get(flag) if program == "train.py" and is_nothing(action.default) else action.default
    of_config = action.default is argparse.SUPPRESS and flag not in OPTIONS
    told = cell.strip("`")
    if of_config or told == "config":
        right = of_config and told == "config"
    elif is_nothing(default):
        right = told in re.sub(r"\s+", " ", action.help)  # nothing, or what the help says in place of a value
    elif " " in told:  # in words, what the help says of a default that each machine has its own of
        right = f"default: {told}" in re.sub(r"\s+", " ", action.help)
    else:
        is_number = re.fullmatch(r"[\d.]+", told) and not isinstance(default, str)
        right = float(told) == default if is_number else told == ("" if not default else str(default))
    return None if right else f"{program} {flag}: the table says {cell!r}; the parser {default!r}, {action.help!r}"


def test_a_table_of_flags_names_its_programs():
    unnamed = [(page, heads) for page in THERE for heads, _ in tables_of(page) if re.fullmatch("flags?", heads[0])]
    assert not unnamed, "the first head of a table of flags is `flag of PROGRAM`"


def test_every_flag_that_begins_a_row_of_another_table_is_one_of_some_program():
    known = {flag for program in PUBLIC for flag in flags_of(program)}
    rows = [
        (page, row[0])
        for page in THERE
        for heads, rows in tables_of(page)
        for row in rows
        if row[0].startswith("`--") and not re.match("flags? of ", heads[0])
    ]
    assert [(page, cell) for page, cell in rows if not {*FLAG.findall(cell)} <= known] == []


def test_every_flag_in_a_table_is_one_of_its_programs_with_the_default_that_is_told():
    wrong = []
    for page, programs, heads, rows in tables_about("flag"):
        for row in rows:
            told = dict(zip(heads, row, strict=True))
            flags = FLAG.findall(row[0])
            assert flags, f"{page}: {row[0]}"
            for program, flag in product(programs, flags):
                if flag not in flags_of(program):
                    wrong.append(f"{page}: {program} has no {flag}")
                elif "default" in told and (text := wrong_default(program, flag, told["default"])):
                    wrong.append(f"{page}: {text}")
    assert not wrong


@pytest.mark.parametrize("program", [f"{name}.py" for name in SCRIPTS])
def test_every_flag_of_the_scripts_stands_in_a_table(program):
    listed = {
        flag
        for _, programs, _, rows in tables_about("flag")
        if program in programs
        for row in rows
        for flag in FLAG.findall(row[0])
    }
    assert [flags for flags in public_flags(program) if not listed & {*flags}] == []
    assert listed <= flags_of(program).keys()


def models_in(cell):
    return [*SPECS] if cell == "all" else cell.split(", ")


def show(default):
    """As tables tell the default of a key."""
    return "" if default is REQUIRED else json.dumps(default) if isinstance(default, str) else str(default)


def test_every_key_in_a_table_is_one_of_its_models_with_the_default_that_is_told():
    for page, sections, heads, rows in tables_about("key"):
        for row in rows:
            told = dict(zip(heads, row, strict=True))
            for section in sections:
                for key in re.findall(r"`(\w+)`", row[0]):
                    having = [name for name, spec in SPECS.items() if key in spec.schema.keys(section)]
                    assert sorted(models_in(told["models"])) == sorted(having), f"{page}: {section}.{key}"
                    defaults = {show(SPECS[name].schema.keys(section)[key].default) for name in having}
                    assert {told["default"]} == defaults, f"{page}: {section}.{key}"


def test_every_key_of_training_stands_in_the_table():
    listed = {row[0].strip("`") for *_, rows in tables_about("key", [TRAINING]) for row in rows}
    assert listed == {key for spec in SPECS.values() for key in spec.schema.keys("TRAIN")}


def test_the_published_settings_in_the_table_are_those_of_the_configs():
    rows = table_rows(read_page(TRAINING), "| model | optimizer | learning rate |")
    assert {row[0] for row in rows} == {*SPECS}
    for name, _, *numbers, schedule in rows:
        train = read_config(ConfigSource(None), SPECS[name], name, ["TRAIN"], check=False).TRAIN
        assert [float(number) for number in numbers] == [train.learning_rate, train.batch_size, train.epoch]
        assert all(hasattr(train, key) for key in re.findall(r"`(\w+)`", schedule)), name


def test_the_linear_rule_of_the_page_is_computed_right():
    for batch, computed, rate in table_rows(read_page(TRAINING), "| batch size | computed as |"):
        if computed != "published":
            published, of, by = (float(number) for number in re.findall(r"[\d.]+", computed))
            assert of == float(batch)
            assert float(rate) == pytest.approx(published * of / by)


# Samples of files


def sample(name):
    """The text behind the line of RESULTS that begins with a path of this name."""
    fence = rf"^`(?:[^`\n]*/)?{re.escape(name)}`.*\n(?:.+\n)*\n```\n((?s:.*?))^```"
    (found,) = re.findall(fence, read_page(RESULTS), flags=re.MULTILINE)
    return found


def parse_all(text):
    """All JSON values of a text that are written one after another."""
    values, decoder, place = [], json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        value, place = decoder.raw_decode(text, place)
        values.append(value)
    return values


def shape_of(value):
    """The fields at every depth; a list has those of all its items together."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    if isinstance(value, list):
        shapes = [shape_of(one) for one in value if isinstance(one, dict)]
        return {key: shape for one in shapes for key, shape in one.items()} if shapes else None
    return None


def assert_same_fields(name, path):
    assert [shape_of(json.loads(path.read_text()))] == [shape_of(one) for one in parse_all(sample(name))]


@pytest.fixture(scope="module")
def left(trained, tmp_path_factory):
    """A folder with what test.py and infer.py leave of features; to be read only."""
    folder = tmp_path_factory.mktemp("left")
    weights = ("--weights=checkpoints/AttentionCluster_best", "--threads=1", "--log-interval=0")
    run_script("test", *weights, f"--output={folder}/scores.json", f"--save-probs={folder}/p.npz", cwd=trained)
    run_script("infer", *weights, f"--save-dir={folder}", "--infer-topk=2", f"--yt8m-csv={folder}/s.csv", cwd=trained)
    return folder


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """A folder with the results of two windows of a video."""
    folder = tmp_path_factory.mktemp("windows")
    spans = [VideoClasses("a", "a.mp4", None, [0.9], [1], start, start + 1.0) for start in (0.0, 1.0)]
    write_predictions(folder / "TSN_infer_result", spans, ["x", "y"])
    return folder


def test_a_sample_of_a_checkpoint_s_state_has_its_fields(trained):
    state = json.loads((trained / "checkpoints/AttentionCluster_best/state.json").read_text())
    (shown,) = parse_all(sample("state.json"))
    assert shown["files"].keys() - state["files"].keys() <= {"class_names.csv"}  # only where names are known
    for one in (state, shown):
        one["files"] = [*one["files"].values()]
    assert shape_of(shown) == shape_of(state)


def test_a_sample_of_a_training_s_numbers_has_their_fields(trained):
    lines = (trained / "checkpoints/AttentionCluster_train.jsonl").read_text().splitlines()
    events = {event["event"]: event.keys() for event in map(json.loads, lines)}
    assert {event["event"]: event.keys() for event in parse_all(sample("AttentionCluster_train.jsonl"))} == events


def test_a_sample_of_a_validation_has_its_fields(trained):
    assert_same_fields("AttentionCluster_valid.json", trained / "checkpoints/AttentionCluster_valid.json")


def test_a_sample_of_a_test_of_features_has_its_fields(left):
    assert_same_fields("scores.json", left / "scores.json")


def test_a_sample_of_a_test_of_clips_has_the_fields_of_its_metric(left):
    metric = KineticsMetrics(2)
    metric.update(np.array([[0.1, 0.9], [0.2, 0.8]]), np.array([0, 1]), loss=0.5)
    report = json.loads((left / "scores.json").read_text())
    (shown,) = parse_all(sample("clips.json"))
    del report["per_class"]
    assert shape_of(shown) == shape_of(report | {"scores": metric.compute()} | metric.report())


@pytest.mark.parametrize("name", ["AttentionCluster_infer_result.json", "AttentionCluster_infer_result_run.json"])
def test_a_sample_of_an_inference_has_its_fields(left, name):
    assert_same_fields(name, left / name)


@pytest.mark.parametrize("name", ["TSN_infer_result.json", "TSN_infer_result_merged.json"])
def test_a_sample_of_windows_has_their_fields(windows, name):
    assert_same_fields(name, windows / name)


def test_a_sample_of_the_pickle_is_built_as_the_pickle(left):
    there = load_data_pickle(f"{left}/AttentionCluster_infer_result")
    videos = ast.literal_eval(re.search(r"^```\n(\[\('.*?)^```", read_page(RESULTS), flags=re.MULTILINE | re.DOTALL)[1])
    for name, probs, class_ids in (*there, *videos):
        assert isinstance(name, str)
        assert [*map(type, probs), *map(type, class_ids)] == [float] * len(probs) + [int] * len(probs)
        assert sorted(probs, reverse=True) == probs


def first_row(text):
    return next(csv.reader(text.splitlines()))


def test_samples_of_csv_files_begin_as_the_files_do(left, windows):
    for folder, name in (
        (left, "AttentionCluster_infer_result.csv"),
        (windows, "TSN_infer_result.csv"),
        (windows, "TSN_infer_result_merged.csv"),
    ):
        assert first_row(sample(name)) == first_row((folder / name).read_text()), name
    assert first_row(sample("submission.csv")) == first_row((left / "s.csv").read_text())


def test_the_table_of_arrays_names_all_that_a_file_of_probabilities_may_have(left, tmp_path):
    facts = RunFacts("TSN", "kinetics", False, 2, 0, "clips.list", ["x", "y"])
    span = VideoClasses("a", "a.mp4", None, [], [], 0.0, 1.0)
    write_probs(tmp_path / "p.npz", [LabelledVideo(span, (1,))], [np.ones((1, 2), np.float32)], np.float32, facts)
    with np.load(tmp_path / "p.npz") as of_windows, np.load(left / "p.npz") as of_features:
        arrays = {*of_windows.files, *of_features.files}
        types = {key: of_windows[key].dtype.kind for key in of_windows.files}
    rows = table_rows(read_page(RESULTS), "| array |")
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == arrays
    for first, of_type, *_ in rows:
        for name in re.findall(r"`(\w+)`", first):
            assert name not in types or {"U": "text", "i": "int", "f": "float"}[types[name]] in of_type, name


@pytest.mark.parametrize("program", [*PUBLIC, "dataset/make_list.py"])
def test_the_parser_of_a_program_is_found(program):
    assert "--help" in flags_of(program)
