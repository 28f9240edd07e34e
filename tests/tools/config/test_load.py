"""Configs: both file forms, the schema, the command line's changes, and what is said of mistakes."""

from pathlib import Path

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from tests.conftest import PROJECT, TINY_CONFIG
from tools.config.load import Override, check_section, load_config, parse_set, read_model_name
from tools.config.schema import Key
from tools.config.yaml_text import read_yaml
from tools.errors import ConfigError
from tools.registry import MODELS

SCHEMA = MODELS.get("AttentionCluster").schema


def load(tmp_path, text=TINY_CONFIG, overrides=(), name="tiny.txt", needs=("MODEL", "TRAIN")):
    (tmp_path / name).write_text(text)
    return load_config(str(tmp_path / name), SCHEMA, needs, "AttentionCluster", overrides)


def error_of(tmp_path, text, **options):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text, **options)
    return str(error.value).replace(str(tmp_path) + "/", "")


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").rglob("*.*"), key=str))
def test_every_published_config_is_valid(path, tmp_path):
    name = read_model_name(str(path))
    by_stem = {Path(MODELS.get(name).default_config).stem: name for name in MODELS.names()}
    assert by_stem.get(path.stem, name) == name
    schema = MODELS.get(name).schema
    np.save(tmp_path / "eigenvals.npy", np.ones((2048, 1), np.float32))  # which is not ours to ship
    eigenvalues = Override("MODEL", "eigen_file", str(tmp_path / "eigenvals.npy"), "test")
    overrides = [eigenvalues] if "eigen_file" in schema.keys("MODEL") else []
    load_config(str(path), schema, ["MODEL", "TRAIN", "VALID", "TEST", "INFER"], name, overrides)


def test_the_default_config_holds_the_values_of_2019():
    config = load_config(str(PROJECT / "configs/attention_cluster.txt"), SCHEMA, ["MODEL"], "AttentionCluster")
    assert config.MODEL.cluster_nums == [32, 32]
    assert (config.MODEL.seg_num, config.MODEL.num_classes, config.MODEL.topk) == (100, 3862, 20)
    assert (config.TRAIN.epoch, config.TRAIN.learning_rate, config.TRAIN.batch_size) == (5, 0.001, 2048)
    assert (config.VALID.batch_size, config.TEST.batch_size, config.INFER.batch_size) == (2048, 256, 64)


def test_yaml_and_ini_with_the_same_values_give_the_same_config(tmp_path):
    yaml = """
MODEL: {name: AttentionCluster, drop_rate: 0.5, feature_num: 2, feature_names: [rgb, audio],
        feature_dims: [1024, 128], seg_num: 8, cluster_nums: [2, 2], num_classes: 12, topk: 5}
TRAIN: {epoch: 2, learning_rate: 1e-3, batch_size: 8, filelist: data/train.list}
VALID: {batch_size: 8, filelist: data/val.list}
TEST: {batch_size: 8, filelist: data/val.list}
INFER: {batch_size: 4, filelist: data/val.list}
"""
    assert load(tmp_path, yaml, name="tiny.yaml").text() == load(tmp_path).text()


def test_the_settings_in_force_are_a_config_again(tmp_path):
    config = load(tmp_path, overrides=[parse_set("TRAIN.seed=7"), parse_set("INFER.class_names=a b.txt")])
    again = load(tmp_path, config.text(), name="again.txt")
    assert again.text() == config.text()
    assert again.TRAIN.seed == 7
    assert again.INFER.class_names == "a b.txt"


def test_sections_cannot_be_changed_and_share_nothing(tmp_path):
    config = load(tmp_path, overrides=[Override("TRAIN", "batch_size", 3, "--batch-size")])
    assert (config.TRAIN.batch_size, config.VALID.batch_size) == (3, 8)
    with pytest.raises(AttributeError):
        config.TRAIN.batch_size = 4


def test_a_misspelt_key_names_the_file_the_section_and_the_likely_key(tmp_path):
    text = TINY_CONFIG.replace("learning_rate", "learning_rte")
    expected = "tiny.txt [TRAIN]: unknown key 'learning_rte'; did you mean 'learning_rate'?"
    assert error_of(tmp_path, text) == expected


def test_a_missing_key_is_named(tmp_path):
    assert error_of(tmp_path, TINY_CONFIG.replace("seg_num = 8\n", "")) == "tiny.txt [MODEL]: missing seg_num"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("epoch = 2", "epoch = 2.5", "tiny.txt [TRAIN]: epoch = 2.5 should be a whole number"),
        ("epoch = 2", "epoch = True", "tiny.txt [TRAIN]: epoch = True should be a whole number"),
        ("epoch = 2", "epoch = two", "tiny.txt [TRAIN]: epoch = two should be a whole number"),
        ("epoch = 2", "epoch =", "tiny.txt [TRAIN]: epoch has no value; it should be a whole number"),
        ("epoch = 2", "epoch = 2\nuse_gpu = true", "tiny.txt [TRAIN]: use_gpu = true should be True or False"),
        ("[2, 2]", "2 2", "tiny.txt [MODEL]: cluster_nums = 2 2 should be a list of whole numbers"),
        ("[INFER]", "[INFER]\nclass_names = none", "tiny.txt [INFER]: class_names = none should be None"),
        ("epoch = 2", "epoch = 0", "tiny.txt [TRAIN]: epoch = 0 should be at least 1"),
        ("drop_rate = 0.5", "drop_rate = 1", "tiny.txt [MODEL]: drop_rate = 1 should be less than 1"),
        ("[2, 2]", "2", "tiny.txt [MODEL]: cluster_nums = 2 should be a list of whole numbers"),
        (
            "[2, 2]",
            "[2, 'x']",
            "tiny.txt [MODEL]: cluster_nums = [2, 'x'] should be a list of whole numbers (entry 1 is 'x')",
        ),
        ("[2, 2]", "[]", "tiny.txt [MODEL]: cluster_nums = [] should be a list of whole numbers"),
        ("[2, 2]", "[2]", "tiny.txt [MODEL]: cluster_nums has 1 entries, but feature_num = 2"),
        ("[VALID]", "[VALIDATE]", "tiny.txt: unknown section [VALIDATE]; did you mean 'VALID'?"),
        (
            "[MODEL]",
            "[model]",
            "tiny.txt: section [MODEL] is missing; sections found: model, TRAIN, VALID, TEST, INFER",
        ),
        ('"AttentionCluster"', '"TSN"', "tiny.txt [MODEL]: name = 'TSN', but --model-name is AttentionCluster"),
        (
            '"data/train.list"',
            "data/train.list",
            "tiny.txt [TRAIN]: filelist = data/train.list is not a Python literal; "
            "strings need quotes, as in filelist = 'data/train.list'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_would_work(tmp_path, before, after, message):
    assert before in TINY_CONFIG
    assert error_of(tmp_path, TINY_CONFIG.replace(before, after, 1)) == message


def test_a_missing_and_an_empty_file_are_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.txt does not exist; the published ones are in configs/"):
        load_config("nowhere.txt", SCHEMA, [], "AttentionCluster")
    assert error_of(tmp_path, " \n").endswith("tiny.txt is empty")


DOUBLED = ", ".join(f"k{i}: &b{i} [*{f'b{i - 1}' if i else 'a'}, *{f'b{i - 1}' if i else 'a'}]" for i in range(60))
MERGED = "".join(f"B{i}: &m{i + 1} {{<<: [*m{i}, *m{i}]}}\n" for i in range(50))
LARGE = {  # texts that a moment has to be enough for
    "aliases.yaml": (f"TRAIN: {{a: &a [1, 1]}}\nTEST: {{{DOUBLED}}}", "has more than 100,000 values"),
    "merged.yaml": (f"TRAIN: &m0 {{a: 1}}\n{MERGED}", "has more than 100,000 values"),
    "itself.yaml": ("TRAIN: {a: &a [*a]}", "is not valid YAML: line 1 holds itself"),
    "deep.yaml": ("TRAIN: " + "[" * 200_000, "is not valid YAML: maximum recursion depth exceeded"),
    "sixty.yaml": ("TRAIN: {epoch: " + "1:" * 140_000 + "1}", "line 1 has a number of 280,001 characters"),
    "digits.yaml": ("TRAIN: {epoch: 0x" + "f" * 200_000 + "}", "line 1 has a number of 200,002 characters"),
    "list.yaml": ("TRAIN: {epoch: {x: 1, y: [1]}}", "section [MODEL] is missing"),
    "keys.yaml": ("TRAIN: {? [a] : 1}", "is not valid YAML: key is no text, line 1"),
    "object.yaml": ("TRAIN: !!python/object/apply:os.system [echo]", "is not valid YAML: could not determine"),
    "long.yaml": ("x" * 300_001, "has more than 300,000 bytes"),
    "long.txt": ("[MODEL]\n" + "#\n" * 200_000, "has more than 300,000 bytes"),
    "blanks.txt": ("[MODEL]\na" + " " * 250_000 + "b", "line 2 has 250,000 blanks in a row"),
    "words.txt": ("[MODEL]\n" + "a" * 250_000, "Source contains parsing errors"),
    "sections.txt": ("".join(f"[A{i}]\n" for i in range(20_000)), "section [MODEL] is missing"),
    "key.txt": (TINY_CONFIG + "k" * 100_000 + " = 1\n", "unknown key 'kkk"),
    "value.txt": (TINY_CONFIG.replace("epoch = 2", "epoch = " + "x" * 100_000), "epoch = xxx"),
    "section.txt": (TINY_CONFIG + "[" + "x" * 100_000 + "]\n", "unknown section [xxx"),
    "nested.txt": (TINY_CONFIG.replace("epoch = 2", "epoch = " + "[" * 90 + "]" * 90), "epoch = [[["),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_small_file_that_stands_for_much_is_one_short_line(tmp_path, name):
    text, part = LARGE[name]
    message = error_of(tmp_path, text, name=name)
    assert part in message
    assert "\n" not in message
    assert len(message) < 700


def test_aliases_and_merged_sections_are_read(tmp_path):
    text = "A: &a {x: 1, y: &y [1, 2]}\nB: {<<: *a, y: [*y, *y]}\n"
    assert read_yaml("a.yaml", text) == {"A": {"x": 1, "y": [1, 2]}, "B": {"x": 1, "y": [[1, 2], [1, 2]]}}


def test_files_that_are_no_ini_or_yaml_are_errors(tmp_path):
    message = error_of(tmp_path, "# mine\nepoch = 2")
    assert message == "config tiny.txt line 2: epoch = 2 stands in no section; a config begins with [MODEL]"
    assert error_of(tmp_path, "<html>gone</html>").startswith(
        "config tiny.txt is a web page (HTML); a config is a text"
    )
    with pytest.raises(ConfigError, match="is a folder; a config is a text with the sections"):
        load_config(str(tmp_path), SCHEMA, [], "AttentionCluster")
    assert "given twice" in error_of(tmp_path, "TRAIN: {epoch: 1, epoch: 2}", name="t.yaml")
    assert "expected sections" in error_of(tmp_path, "just text", name="t.yaml")
    assert "already exists" in error_of(tmp_path, "[TRAIN]\nepoch = 1\nepoch = 2")


def test_values_are_never_run_as_code(tmp_path):
    code = f"__import__('os').mkdir('{tmp_path / 'ran'}')"
    message = error_of(tmp_path, TINY_CONFIG.replace("epoch = 2", f"epoch = {code}"))
    assert message.endswith("should be a whole number")
    assert not (tmp_path / "ran").exists()


def test_dead_keys_of_2019_are_accepted_and_named_in_one_notice(tmp_path):
    text = TINY_CONFIG.replace("[TRAIN]", "bone_nework = None\n[TRAIN]\nnum_gpus = 8")
    config = load(tmp_path, text)
    assert len(config.notices) == 1
    assert config.notices[0].endswith("without effect since 2019: MODEL.bone_nework, TRAIN.num_gpus")


def test_set_takes_any_key_and_bare_words(tmp_path):
    config = load(tmp_path, overrides=[parse_set("TRAIN.filelist=my.list"), parse_set("MODEL.cluster_nums=[3, 4]")])
    assert config.TRAIN.filelist == "my.list"
    assert config.MODEL.cluster_nums == [3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TRAIN.epoch", "--set TRAIN.epoch: expected SECTION.key=value, as in --set TRAIN.batch_size=64"),
        ("TRAIN.epok=1", "--set TRAIN.epok: unknown key 'epok'; did you mean 'epoch'?"),
        ("TRAINS.epoch=1", "--set TRAINS.epoch: no section [TRAINS]; did you mean 'TRAIN'?"),
        ("MODEL.name=TSN", "--set MODEL.name: --model-name says which model it is"),
        ("TRAIN.epoch=many", "--set TRAIN.epoch: epoch = 'many' should be a whole number"),
    ],
)
def test_a_wrong_set_is_named(tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, overrides=[parse_set(text)])
    assert str(error.value) == message


def test_none_is_a_value_only_where_it_is_the_default():
    assert check_section({"a": None}, {"a": Key(str, default=None)}, "x")["a"] is None
    with pytest.raises(ConfigError, match="a = None should be a string"):
        check_section({"a": None}, {"a": Key(str)}, "x")


def test_a_key_may_allow_words_besides_its_type():
    schema = {"total": Key(int, minimum=1, words=("auto",))}
    assert check_section({"total": "auto"}, schema, "x") == {"total": "auto"}
    assert check_section({"total": 3}, schema, "x") == {"total": 3}
    for value, problem in (
        ("all", "a whole number or 'auto'"),
        (0, "at least 1 or 'auto'"),
        (["auto"], "a whole number or 'auto'"),
    ):
        with pytest.raises(ConfigError) as error:
            check_section({"total": value}, schema, "x")
        assert str(error.value) == f"x: total = {value!r} should be {problem}"


def test_a_config_that_is_no_text_in_utf_8_is_told_with_its_line(tmp_path):
    for data, message in (
        ('[MODEL]\nname = "模型"\n'.encode("gbk"), "is not UTF-8 in line 2 (it looks like GBK); save it as UTF-8"),
        (b"\x80\x04\x95\xff\xff.", "is a pickle, not a text"),
    ):
        (tmp_path / "x.txt").write_bytes(data)
        with pytest.raises(ConfigError) as error:
            load_config(str(tmp_path / "x.txt"), {}, [], "TSN")
        assert str(error.value) == f"config {tmp_path}/x.txt {message}"


def test_a_key_may_allow_words_alone(tmp_path):
    schema = {"order": Key(None, words=("by name", "by age"))}
    assert check_section({"order": "by age"}, schema, "x") == {"order": "by age"}
    for value in ("age", None, 3, ["by age"]):
        with pytest.raises(ConfigError, match="should be 'by name' or 'by age'"):
            check_section({"order": value}, schema, "x")
