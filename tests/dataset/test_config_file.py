"""make_list.py --config-for: from a folder to a config that train.py takes as it is, or one line on why not."""

import json
import pickle
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from datareader.class_names import load_class_names
from dataset import make_list
from dataset.config_file import LISTS
from tests.conftest import PROJECT, make_record
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.dataset.programs import contents, run, start
from tools.config.load import load_config
from tools.errors import ConfigError, DataError
from tools.registry import MODELS, READERS

HOSTILE = ['it\'s "quoted"', "#1 视频", "back\\slash\\n", "100 % [TRAIN]", "x" * 200, "0 cats"]


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("one") / "clip.mp4", make_frames(6))


@pytest.fixture
def own(video, tmp_path):
    """A function that makes a folder of so many videos of each class."""

    def make(classes, count=5, folder="own"):
        for name in classes:
            (tmp_path / folder / name).mkdir(parents=True)
            for i in range(count):
                shutil.copy(video, tmp_path / folder / name / f"clip_{i}.mp4")
        return tmp_path / folder

    return make


def load(path, name="TSN"):
    return load_config(str(path), MODELS.get(name)().schema, ["MODEL", *LISTS], name)


def open_lists(path, name="TSN"):
    """The data sets of a config, by section."""
    config, reader = load(path, name), READERS.get(MODELS.get(name).reader)
    return {part: reader(config, part, training=part == "TRAIN", skip_broken=0) for part in LISTS}


def test_a_folder_of_two_classes_of_five_needs_no_more_than_its_name(own, monkeypatch, tmp_path, capsys):
    own(["left", "right"])
    monkeypatch.chdir(tmp_path)
    start(monkeypatch, make_list, "own/", "--config-for", "tsn")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"next: python {PROJECT / 'train.py'} --config own_lists/tsn.txt"
    assert printed[-2].startswith("own_lists/tsn.txt: TSN, 50 epochs in batches of 3, learning rate 0.001;")
    monkeypatch.chdir("/")  # the config holds wherever it is used
    datasets = open_lists(tmp_path / "own_lists/tsn.txt")
    assert {part: len(dataset) for part, dataset in datasets.items()} == {"TRAIN": 6, "VALID": 2, "TEST": 2, "INFER": 2}
    assert datasets["VALID"].class_counts().tolist() == datasets["TEST"].class_counts().tolist() == [1, 1]
    config = load(tmp_path / "own_lists/tsn.txt")
    assert load_class_names(config.INFER.class_names, config.MODEL.num_classes) == ["left", "right"]
    assert config.TRAIN.total_videos == "auto"


def test_what_is_not_decided_is_as_published_and_what_is_has_its_reason_above_it(own, monkeypatch, tmp_path):
    start(monkeypatch, make_list, own("ab"), "--output", tmp_path / "out", "--config-for", "STNET")
    lines = (tmp_path / "out/stnet.txt").read_text().splitlines()
    published = load(PROJECT / "configs/stnet.txt", "STNET")
    decided = {line.split(" = ")[0] for line, above in zip(lines[1:], lines, strict=False) if above.startswith("# ")}
    decided = {line for line in decided if not line.startswith("#")}
    assert decided >= {"num_classes", "epoch", "batch_size", "learning_rate", "num_reader_threads", "filelist"}
    config = load(tmp_path / "out/stnet.txt", "STNET")
    assert not config.notices  # nothing without effect
    for section in ("MODEL", *LISTS):
        for key, value in vars(published[section]).items():
            if key not in decided | {"pretrain_base"}:
                assert getattr(config[section], key) == value, (section, key)


def test_names_of_any_kind_come_back_as_they_are(own, monkeypatch, tmp_path):
    folder = own(HOSTILE, 3, "own [x] 'y'")
    (tmp_path / "wörk # %").mkdir()
    monkeypatch.chdir(tmp_path / "wörk # %")
    start(monkeypatch, make_list, folder, "--output", "out \\ 'put'", "--config-for", "TSN")
    path = tmp_path / "wörk # %" / "out \\ 'put'" / "tsn.txt"
    monkeypatch.chdir("/")
    config = load(path)
    assert load_class_names(config.INFER.class_names, len(HOSTILE)) == sorted(HOSTILE)
    assert len(open_lists(path)["TRAIN"]) == 2 * len(HOSTILE)
    start(monkeypatch, make_list, folder, "--output", path.parent, "--config-for", "TSN")  # the same again


def test_names_that_look_like_a_number_and_a_name_are_read_back(own, monkeypatch, tmp_path):
    folder, out = own(["0 cats", "1 dogs"]), tmp_path / "out"
    start(monkeypatch, make_list, folder, "--output", out)
    assert load_class_names(str(out / "class_names.txt"), 2) == ["0 cats", "1 dogs"]
    start(monkeypatch, make_list, folder, "--output", out)


def test_two_spellings_of_one_name_are_refused(own, monkeypatch, tmp_path):
    folder = own(["caf\u00e9", "cafe\u0301"])
    with pytest.raises(DataError, match=r"'cafe\\u0301' and 'caf\\xe9' are the same class name in two spellings"):
        start(monkeypatch, make_list, folder, "--output", tmp_path / "out", "--config-for", "TSN")
    assert not (tmp_path / "out").exists()


def test_the_working_directory_and_a_folder_in_it_do_as_source_and_output(own, monkeypatch, capsys):
    monkeypatch.chdir(own("ab"))
    for _ in range(2):  # what the first run has written is no video
        start(monkeypatch, make_list, ".", "--config-for", "TSN")
    assert "own_lists/tsn.txt: TSN" in capsys.readouterr().out
    assert len(open_lists("own_lists/tsn.txt")["TRAIN"]) == 6


def test_a_config_that_is_there_is_replaced_by_force_only(own, monkeypatch, tmp_path):
    arguments = [own("ab"), "--output", tmp_path / "out", "--config-for", "TSN"]
    start(monkeypatch, make_list, *arguments)
    path = tmp_path / "out/tsn.txt"
    written = path.read_text()
    path.write_text(written.replace("epoch = 50", "epoch = 3"))
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match=r"tsn\.txt is there already; --force replaces it"):
        start(monkeypatch, make_list, *arguments)
    assert contents(tmp_path / "out") == before
    start(monkeypatch, make_list, *arguments, "--force")
    assert path.read_text() == written


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write to")
def test_an_output_that_cannot_be_written_is_told(own, monkeypatch):
    with pytest.raises(DataError, match=r"^/proc/own cannot be written: "):
        start(monkeypatch, make_list, own("ab"), "--output", "/proc/own", "--config-for", "TSN")


def test_a_folder_in_the_place_of_the_config_is_told_before_anything_is_written(own, monkeypatch, tmp_path):
    (tmp_path / "out/tsn.txt").mkdir(parents=True)
    with pytest.raises(DataError, match=r"tsn\.txt is a folder"):
        start(monkeypatch, make_list, own("ab"), "--output", tmp_path / "out", "--config-for", "TSN")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tsn.txt"]


def test_what_a_model_does_not_read_is_refused_before_anything_is_written(own, monkeypatch, tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features/x.pkl").write_bytes(pickle.dumps(make_record(np.random.default_rng(0), "x")))
    for folder, model, message in (
        (
            own("ab"),
            "NEXTVLAD",
            r"clip_0\.mp4 holds clips, which STNET, TSN read; --config-for NEXTVLAD needs features",
        ),
        (tmp_path / "features", "TSN", r"x\.pkl holds features, which AttentionCluster, AttentionLSTM, NEXTVLAD read"),
    ):
        with pytest.raises(DataError, match=message):
            start(monkeypatch, make_list, folder, "--output", tmp_path / "out", "--config-for", model)
    with pytest.raises(ConfigError, match="no model named 'TSM'; known: AttentionCluster"):
        start(monkeypatch, make_list, tmp_path / "own", "--output", tmp_path / "out", "--config-for", "TSM")
    assert not (tmp_path / "out").exists()


def test_lists_that_training_needs_may_be_made_one_after_another(own, monkeypatch, tmp_path):
    train, val, out = own("ab", 4, "train"), own("ab", 2, "val"), tmp_path / "out"
    with pytest.raises(DataError, match=r"training needs val\.list, which --split does not make"):
        start(monkeypatch, make_list, train, "--output", out, "--split", "train", "--config-for", "TSN")
    assert not out.exists()
    start(monkeypatch, make_list, train, "--output", out, "--split", "train")
    start(monkeypatch, make_list, val, "--output", out, "--split", "val", "--config-for", "TSN")
    assert {part: len(dataset) for part, dataset in open_lists(out / "tsn.txt").items()} == {
        "TRAIN": 8,
        "VALID": 4,
        "TEST": 4,  # there is no test.list
        "INFER": 4,
    }
    assert "; there is no test.list, so that" in (out / "tsn.txt").read_text()


def test_two_videos_of_each_class_make_no_test_list_and_one_is_too_few(own, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    start(monkeypatch, make_list, own("ab", 2), "--output", out, "--config-for", "TSN")
    assert "test.list is not written" in capsys.readouterr().out
    assert sorted(path.name for path in out.glob("*.list")) == ["train.list", "val.list"]
    with pytest.raises(DataError, match=r"val\.list would be empty: 2 files are too few"):
        start(monkeypatch, make_list, own("ab", 1, "few"), "--output", tmp_path / "new", "--config-for", "TSN")


def test_videos_that_cannot_be_read_are_told_and_skipped_by_the_next_command(own, monkeypatch, tmp_path, capsys):
    folder = own("ab", 20)
    (folder / "a/clip_3.mp4").write_bytes((folder / "a/clip_3.mp4").read_bytes()[:300])
    start(
        monkeypatch,
        make_list,
        folder,
        "--output",
        tmp_path / "out",
        "--split",
        "train=0.8",
        "val=0.2",
        "--config-for=TSN",
    )
    printed = capsys.readouterr().out
    assert "cannot be read, such as " in printed
    assert printed.splitlines()[-1].endswith("--skip-broken 1")
    for path in folder.rglob("*.mp4"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"nothing in .*train\.list can be read"):
        start(monkeypatch, make_list, folder, "--output", tmp_path / "new", "--config-for", "TSN")


def test_pickles_of_clips_have_the_classes_of_their_conversion_or_count_them(monkeypatch, tmp_path):
    folder = tmp_path / "pickles"
    folder.mkdir()
    for i in range(8):
        write_pickle(folder / f"{i}.pkl", make_frames(2), label=i % 4)
    start(monkeypatch, make_list, folder, "--output", tmp_path / "1", "--config-for", "TSN")
    config = load(tmp_path / "1/tsn.txt")
    assert (config.MODEL.num_classes, config.INFER.class_names) == (4, None)
    (folder / "settings.json").write_text(json.dumps({"--class-names": ["a", "b", "c", "d", "e"]}))
    start(monkeypatch, make_list, folder, "--output", tmp_path / "2", "--config-for", "TSN")
    config = load(tmp_path / "2/tsn.txt")
    assert load_class_names(config.INFER.class_names, config.MODEL.num_classes) == ["a", "b", "c", "d", "e"]
    (tmp_path / "names.txt").write_text("a\nb\n")
    arguments = ["--output", tmp_path / "3", "--config-for", "TSN", "--class-names", tmp_path / "names.txt"]
    with pytest.raises(DataError, match=r"\.pkl has the class id 3, but there are 2 class names"):
        start(monkeypatch, make_list, folder, *arguments)


@pytest.mark.parametrize("name", ["AttentionCluster", "AttentionLSTM", "NEXTVLAD"])
def test_features_have_the_classes_of_youtube8m_or_those_named(monkeypatch, tmp_path, name):
    monkeypatch.setattr("dataset.config_file.PROJECT", tmp_path)
    (tmp_path / "configs").mkdir()
    published = MODELS.get(name).default_config
    shutil.copy(PROJECT / published, tmp_path / "configs")
    (tmp_path / "features").mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        records = [make_record(rng, f"{i}_{j}") for j in range(4)]
        (tmp_path / f"features/{i}.pkl").write_bytes(pickle.dumps(records))
    arguments = [tmp_path / "features", "--output", tmp_path / "out", "--config-for", name]
    if name == "NEXTVLAD":
        with pytest.raises(
            ConfigError, match=r"^configs/nextvlad\.txt .*eigenvals\.npy does not exist; .*tools\.download"
        ):
            start(monkeypatch, make_list, *arguments)
        (tmp_path / "dataset/youtube8m/yt8m_pca").mkdir(parents=True)
        np.save(tmp_path / "dataset/youtube8m/yt8m_pca/eigenvals.npy", np.ones((1024, 1), np.float32))
    start(monkeypatch, make_list, *arguments)
    path = tmp_path / "out" / Path(published).name
    monkeypatch.chdir("/")
    config = load(path, name)
    assert config.MODEL.num_classes == 3862
    assert config.TRAIN.batch_size == 4  # 32 videos in eight files
    assert len(open_lists(path, name)["TRAIN"]) == 32
    (tmp_path / "names.txt").write_text("".join(f"class {i}\n" for i in range(12)))
    start(monkeypatch, make_list, *arguments, "--class-names", tmp_path / "names.txt", "--force")
    config = load(path, name)
    assert (config.MODEL.num_classes, config.INFER.class_names) == (12, str(tmp_path / "out/class_names.txt"))
    vocabulary = "Index,TrainVideoCount,Name\n" + "".join(f"{i},1,n{i}\n" for i in range(3862))
    (tmp_path / "vocabulary.csv").write_text(vocabulary)
    (tmp_path / "out/class_names.txt").unlink()
    start(monkeypatch, make_list, *arguments, "--class-names", tmp_path / "vocabulary.csv", "--force")
    config = load(path, name)
    assert (config.MODEL.num_classes, config.INFER.class_names) == (3862, str(tmp_path / "vocabulary.csv"))


def test_clips_of_one_source_stay_together(own, monkeypatch, tmp_path, capsys):
    folder = own("ab", 0)
    for name in "ab":
        for i in range(12):
            (folder / name / f"{name}{i // 2}_{i}.mp4").touch()
        (folder / name / "odd.mp4").touch()
    start(monkeypatch, make_list, folder, "--output", tmp_path / "out", "--group", r"(.*)_\d+")
    assert "26 files of 14 sources, 2 of them files that --group does not match" in capsys.readouterr().out
    seen = {}
    for path in (tmp_path / "out").glob("*.list"):
        for line in path.read_text().splitlines():
            assert seen.setdefault(line.rpartition("_")[0] or line, path.name) == path.name
    with pytest.raises(SystemExit):
        start(monkeypatch, make_list, folder, "--group", "(")
    assert "argument --group: '(' is no regular expression: missing )" in capsys.readouterr().err


def test_the_split_of_a_csv_is_not_grouped(kinetics, monkeypatch, tmp_path):
    arguments = ["--csv", kinetics / "train.csv", "--output", tmp_path, "--group", "x"]
    with pytest.raises(DataError, match=r"train\.csv has a column split, which --group cannot change; pass --split"):
        start(monkeypatch, make_list, kinetics / "videos", *arguments)


def test_nothing_is_left_half_written_by_an_interrupt(own, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dataset.config_file.decide", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(monkeypatch, make_list, own("ab"), "--output", tmp_path / "out", "--config-for", "TSN")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"train.list", "val.list", "test.list", "class_names.txt"}


def test_the_written_command_is_safe_to_paste(own, tmp_path):
    out = tmp_path / "a 'b' $(c)"
    result = run("make_list.py", own("ab"), "--output", out, "--config-for", "TSN")
    assert (result.returncode, result.stderr) == (0, "")
    words = shlex.split(result.stdout.splitlines()[-1])
    assert words[-2:] == ["--config", str(out / "tsn.txt")]
