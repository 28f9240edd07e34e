"""The program: a card as text and as JSON, of models, configs and weights, and what it refuses."""

import json
import pickle
import re
import shutil
import sys

import pytest

from tests.conftest import PROJECT, TINY_CONFIG
from tools.config.flags import PROJECT as HOME
from tools.config.load import load_config
from tools.errors import CheckpointError, ConfigError
from tools.info.__main__ import main
from tools.registry import MODELS
from tools.training.checkpoint import CheckpointStore, Progress
from tools.weights.checkpoint_files import WEIGHTS, network_arrays
from tools.weights.fluid_files import write_folder
from tools.weights.fluid_names import variables_of
from tools.weights.released import FOLDER_VARIABLE
from tools.weights.self_description import describe_itself

NAMES = [f"class {i}" for i in range(12)]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the program from tmp_path; what it prints, with --json as the dict of the only model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["info", *map(str, flags)])
        main()
        shown = capsys.readouterr().out
        if "--json" not in flags:
            return shown
        content = json.loads(shown)
        assert content["format"] == 1
        return content["models"][0] if len(content["models"]) == 1 else content["models"]

    return run


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """(config, network) of a small AttentionCluster of 12 classes."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "tiny.txt").write_text(TINY_CONFIG)
    spec = MODELS.get("AttentionCluster")()
    config = load_config(str(folder / "tiny.txt"), spec.schema, ["MODEL"], "AttentionCluster")
    return config, spec.build_network(config)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """Its checkpoint after two epochs, to be read only."""
    config, net = network
    companions = describe_itself(config, MODELS.get("AttentionCluster").schema, NAMES)
    store = CheckpointStore(str(tmp_path_factory.mktemp("run")), "AttentionCluster", companions=companions)
    progress = Progress(8, 0, 40, 0, epoch=2, steps_taken=10, best_score=0.25, best_epoch=1)
    path = store.save(network_arrays(net), {}, progress)
    store.close()
    return path


def test_without_a_model_all_are_shown_a_line_each(run):
    head, *lines, _, advice = run().splitlines()
    assert head.split()[0] == "model"
    assert [line.split()[0] for line in lines] == MODELS.names()
    assert "24.3 M" in lines[-1]
    assert "12.3 G" in lines[-1]
    assert "--model-name" in advice


def test_a_card_shows_every_block(run):
    shown = run("--model-name=tsn", "--set=TEST.num_crops=3", "--set=TEST.num_clips=2")
    for text in (
        "TSN (--model-name=TSN)",
        "https://arxiv.org/abs/1608.00859",
        "24,327,632",
        "12,262,227,968 for one view: 3 segments of 1 frame each, 224 x 224 pixels (as in TEST)",
        f"{6 * 12_262_227_968:,} for the 6 views of a video",
        "of convolutions and matrix products alone",
        "97.5 MB",
        "video_classification/tsn_kinetics.tar.gz",
        "checksum: none published",
        "none was published with them",
        "top-1 0.67",
        "one core of an AMD EPYC with AVX2 alone",
    ):
        assert text in shown
    assert re.search(r"^trunk\.stages\.3 +\[3, 2048, 7, 7\]", shown, flags=re.MULTILINE)
    assert re.search(r"^batch_size +TRAIN VALID TEST INFER +256 / 256 / 32 / 1 +required", shown, flags=re.MULTILINE)
    assert shown.count("\n\n\n") == 0


def test_json_has_the_fields_that_the_program_documents(run):
    import tools.info.card as documented

    card = run("--model-name=NEXTVLAD", "--json")
    first_column = re.findall(r"^(\w+(?:, \w+)*) {2,}", documented.__doc__, flags=re.MULTILINE)
    assert {name for names in first_column for name in names.split(", ")} == card.keys()
    for field in ("multiply_adds", "parameters", "memory", "released"):
        (text,) = re.findall(rf"^{field} +(.*?)^(?=\w|=)", documented.__doc__, flags=re.MULTILINE | re.DOTALL)
        assert all(re.search(rf"\b{name}\b", text) for name in card[field]), field
    assert card["memory"]["training_per_video"] == 70 * 300 * 1152
    assert card["memory"]["checkpoint"] == 4 * (3 * card["parameters"]["trained"] + card["parameters"]["statistics"])
    assert [one["name"] for one in card["inputs"]] == ["lengths", "rgb", "audio"]


def test_layers_and_parts_add_up_to_the_whole(run):
    card = run("--model-name=STNET", "--json")
    for rows in (card["layers"], card["parts"]):
        assert sum(row["num_parameters"] for row in rows) == card["parameters"]["trained"]
        assert sum(row["num_statistics"] for row in rows) == card["parameters"]["statistics"]
        assert sum(row["multiply_adds"] for row in rows) == card["multiply_adds"]["per_view"]
    layers = {layer["name"]: layer for layer in card["layers"]}
    conv = layers["trunk.conv1.conv"]
    assert (conv["inputs"], conv["output"]) == ([[7, 15, 256, 256]], [7, 64, 128, 128])
    assert conv["parameters"] == {"weight": [64, 15, 7, 7]}


def test_settings_say_what_holds_and_what_is_published(run):
    card = run("--model-name=NEXTVLAD", "--set=TRAIN.batch_size=64", "--json")
    settings = {(one["section"], one["key"]): one for one in card["config"]["settings"]}
    batch, seed = settings["TRAIN", "batch_size"], settings["TRAIN", "seed"]
    assert (batch["value"], batch["published"], batch["required"], batch["default"]) == (64, 160, True, None)
    assert (seed["value"], seed["required"], seed["default"], seed["expected"]) == (0, False, 0, "a whole number")
    assert card["memory"]["training_batch"] == 64


def test_a_config_alone_says_which_model(run, tmp_path):
    (tmp_path / "mine.txt").write_text(TINY_CONFIG)
    card = run("--config=mine.txt", "--json")
    assert (card["name"], card["config"]["path"]) == ("AttentionCluster", "mine.txt")
    assert card["inputs"][0]["shape"] == [8, 1024]


def test_a_config_without_sizes_of_clips_has_no_multiply_adds_and_says_why(run, tmp_path):
    text = (PROJECT / "configs/tsn.txt").read_text()
    (tmp_path / "short.txt").write_text(text[: text.index("[TRAIN]")])
    card = run("--config=short.txt", "--json")
    assert card["multiply_adds"]["per_video"] is None
    assert card["multiply_adds"]["not_counted"] == "the config has no section that says how large a clip is"
    assert card["parameters"]["trained"] == 24_327_632
    assert "not counted: the config has no section" in run("--config=short.txt")


def test_files_that_a_config_names_need_not_be_there(run):
    card = run("--model-name=NEXTVLAD", "--set=MODEL.eigen_file=nowhere.npy", "--json")
    settings = {(one["section"], one["key"]): one["value"] for one in card["config"]["settings"]}
    assert settings["MODEL", "eigen_file"] == "nowhere.npy"


def test_a_checkpoint_says_all_of_itself(run, checkpoint):
    card = run(f"--weights={checkpoint}", "--json")
    weights = card["weights"]
    assert card["name"] == "AttentionCluster"
    assert (weights["kind"], weights["num_classes"], weights["epochs"], weights["steps"]) == (
        "checkpoint folder", 12, 2, 10,
    )  # fmt: skip
    assert (weights["score"], weights["best_score"], weights["best_epoch"]) == ("gap", 0.25, 1)
    assert weights["class_names"] == str(checkpoint / "class_names.csv")
    assert card["config"]["path"] == str(checkpoint / "config.txt")
    assert weights["arrays"] == weights["matched"] == 14
    assert weights["bytes"] == card["memory"]["weights"]
    shown = run(f"--weights={checkpoint}")
    assert re.search(r"^best score +gap 0\.25, after epoch 1$", shown, flags=re.MULTILINE)
    assert re.search(r"^trained +2 epochs, 10 steps in all$", shown, flags=re.MULTILINE)


def test_settings_other_than_those_of_the_training_are_told(run, checkpoint):
    notes = run(f"--weights={checkpoint}", "--set=MODEL.seg_num=16", "--json")["weights"]["notes"]
    assert any("MODEL.seg_num = 16 (trained with 8)" in note for note in notes)


def test_weights_without_settings_are_known_by_their_names(run, network, tmp_path):
    _, net = network
    arrays = network_arrays(net)
    (tmp_path / "own.pdparams").write_bytes(pickle.dumps(arrays, protocol=4))
    variables = variables_of(net, released=True)
    released = {variables[name].name: variables[name].layout.to_released(value) for name, value in arrays.items()}
    published = MODELS.get("AttentionCluster").default_config
    # 2 units a stream here, 32 in the published config
    flags = ["--set=MODEL.cluster_nums=[2,2]", "--json"]
    write_folder(tmp_path / "released", released)
    for path, kind in (("own.pdparams", "pickled dict of arrays"), ("released", "folder of Fluid variables")):
        card = run(f"--weights={path}", *flags)
        assert (card["name"], card["weights"]["kind"], card["weights"]["num_classes"]) == ("AttentionCluster", kind, 12)
        assert card["config"]["path"] == str(HOME / published)
        assert "with their number of classes" in card["weights"]["notes"][0]
        assert card["weights"]["epochs"] is None
    with pytest.raises(CheckpointError, match=r"does not fit this network.*\[1024, 2\] for \[1024, 32\]"):
        run("--weights=own.pdparams")


def test_released_weights_that_are_here_are_told_with_their_checksum(run, tmp_path):
    kept = tmp_path / "kept"
    (kept / "tsn_kinetics").mkdir(parents=True)
    (kept / "tsn_kinetics/fc_0.b_0").write_bytes(b"x")
    (kept / "tsn_kinetics.tar.gz").write_bytes(b"12345")
    (kept / "tsn_kinetics.tar.gz.sha256").write_text(f"{'ab' * 32}  tsn_kinetics.tar.gz\n")
    released = run("--model-name=TSN", "--json")["released"]
    archive, single = released["files"]
    assert released["here"] == str(kept / "tsn_kinetics")
    assert (archive["bytes"], archive["sha256"]) == (5, "ab" * 32)
    assert (single["bytes"], single["sha256"]) == (None, None)
    assert released["values_bytes"] == 4 * (24_327_632 + 53_120)
    assert released["licence"] is None


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--model-name=tsm"], r"no model named 'tsm'; known: AttentionCluster, AttentionLSTM, NEXTVLAD, STNET, TSN"),
        (["--model-name=TSN", "--weights=x"], r"leave out --model-name"),
        (["--set=TEST.seg_num=7"], r"--set of which model\? Pass --model-name"),
        (["--model-name=TSN", "--config=no.txt"], r"config no\.txt does not exist"),
        (["--model-name=TSN", "--set=TEST.seg_nmu=7"], r"unknown key 'seg_nmu'; did you mean 'seg_num'"),
        (["--model-name=TSN", "--set=MODEL.num_layers=18"], r"num_layers = 18 should be 50, 101 or 152"),
        (["--model-name=NEXTVLAD", "--set=MODEL.groups=7"], r"groups = 7 does not divide"),
        (["--config=nameless.txt"], r"nameless\.txt \[MODEL\] has no name"),
        (["--config=nameless.txt", f"--weights={PROJECT}/tests/golden/fluid_samples/persistables_combined"],
         r"nameless\.txt \[MODEL\] has no name; add one, which says whose weights"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_an_error_that_says_what_would_work(run, tmp_path, flags, reason):
    (tmp_path / "nameless.txt").write_text(TINY_CONFIG.replace('name = "AttentionCluster"\n', ""))
    with pytest.raises(ConfigError, match=reason):
        run(*flags)


def test_weights_that_cannot_be_told_are_an_error(run, checkpoint, tmp_path):
    samples = PROJECT / "tests/golden/fluid_samples"
    with pytest.raises(CheckpointError, match=r"nowhere does not exist"):
        run("--weights=nowhere")
    with pytest.raises(ConfigError, match=r"single file of Fluid variables, which does not say whose they are"):
        run(f"--weights={samples}/persistables_combined")
    with pytest.raises(CheckpointError, match=r"folder of Fluid variables with the names of no model here"):
        run(f"--weights={samples}/persistables_dir")
    with pytest.raises(CheckpointError, match=r"holds AttentionCluster, but .*tsn\.txt is a config of TSN"):
        run(f"--weights={checkpoint}", f"--config={PROJECT}/configs/tsn.txt")
    damaged = shutil.copytree(checkpoint, tmp_path / "damaged")
    (damaged / WEIGHTS).write_bytes((damaged / WEIGHTS).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.pdparams is damaged"):
        run(f"--weights={damaged}")
