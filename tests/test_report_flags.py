"""--report of test.py and infer.py: where pages go, what is on them, and what keeps them from being made."""

import json
import re
from urllib.parse import unquote

import pytest

import infer
import tests.tuned_paddle  # noqa: F401
from tests.conftest import run_script
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.test_clip_scripts import CONFIG
from tests.tools.training.test_run_page import sections_of, words

FLAGS = ("--model-name=TSN", "--config=tsn.txt", "--weights=tsn.pdparams", "--engine=dygraph", "--log-interval=0")
OF_FEATURES = "--weights=checkpoints/AttentionCluster_best"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with random weights of TSN and clips of every kind; to be read only."""
    import paddle

    from models.tsn.tsn import TSN

    folder = tmp_path_factory.mktemp("clips")
    paddle.seed(0)
    network = TSN(50, 6, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    paddle.save(network.state_dict(), str(folder / "tsn.pdparams"))
    (folder / "tsn.txt").write_text(CONFIG)
    lines = []
    for i in range(3):
        write_pickle(folder / f"p{i}.pkl", make_frames(6, seed=i), label=i)
        write_video(folder / f"<b> {i}.mp4", make_frames(30 + 20 * i, seed=9 + i))
        lines += [f"p{i}.pkl", f"<b> {i}.mp4 {i}"]
    (folder / "clips.list").write_text("\n".join(lines) + "\n")
    (folder / "class_names.txt").write_text("打太极拳\nrunning\n<script>\ndancing\nsleeping\neating\n")
    return folder


def run(script, folder, *flags, check=True):
    return run_script(script, *FLAGS, *flags, cwd=folder, check=check)


def page_line(shown):
    """The path that the last line about a page names."""
    (line,) = (line for line in shown.splitlines() if line.startswith("page of "))
    return line.split(": ", 1)[1]


def test_a_test_of_clips_leaves_a_page_beside_its_scores(clips, tmp_path):
    shown = run("test", clips, f"--output={tmp_path}/a.json", "--report").stdout
    assert page_line(shown) == f"{tmp_path}/TSN_test_report.html"
    page = (tmp_path / "TSN_test_report.html").read_text()
    assert sections_of(page)[:4] == ["scores", "classes", "confusions", "mistakes"]
    text = words(page)
    assert "0 打太极拳" in text
    assert "protocol 1 clip x the centre crop" in text
    assert "clips.list line" in text
    assert "their form pickled dict of arrays trained not known" in text
    report = json.loads((tmp_path / "a.json").read_text())
    wrong = sum(row["videos"] for row in report["confusions"])
    assert page.count('<img src="data:image/jpeg;base64,') == 3 * wrong


def test_a_test_of_features_says_which_epoch_its_weights_are_of(trained, tmp_path):
    shown = run_script("test", OF_FEATURES, f"--report={tmp_path}/page.html", cwd=trained).stdout
    assert page_line(shown) == f"{tmp_path}/page.html"
    page = (tmp_path / "page.html").read_text()
    text = words(page)
    assert "trained epoch 0" in text
    assert "scores in their validation loss" in text
    assert "average precision against the number of videos" in text
    assert "confusions" not in sections_of(page)
    assert re.search(r"file data/val\d\.pkl record \d+", text) or "val0_" in text
    assert "<img" not in page


def test_videos_have_a_page_with_their_frames_in_the_folder_of_results(clips, tmp_path):
    flags = (f"--save-dir={tmp_path}", "--class-names=class_names.txt")
    shown = run("infer", clips, *flags, "--report", "--video", "<b> 0.mp4", "p1.pkl").stdout
    page = tmp_path / "TSN_infer_report.html"
    assert page_line(shown) == str(page)
    text = page.read_text()
    assert text.count('<img src="data:image/jpeg;base64,') == 6
    assert "TSN: classes of 2 videos" in words(text)
    assert all(f"<bdi>{path}</bdi></a>" in text for path in ("&lt;b&gt; 0.mp4", "p1.pkl"))
    assert "<script>" not in text.partition("<body>")[2].rpartition("<script>")[0]


def test_a_page_of_an_earlier_run_beside_new_results_is_told(clips, tmp_path):
    (tmp_path / "TSN_infer_report.html").write_text("earlier")
    shown = run("infer", clips, f"--save-dir={tmp_path}", "--video", "p1.pkl").stdout
    assert f"{tmp_path}/TSN_infer_report.html shows an earlier run; --report makes it anew" in shown
    assert (tmp_path / "TSN_infer_report.html").read_text() == "earlier"


def test_windows_have_a_timeline_that_says_what_the_table_says(clips, tmp_path):
    flags = (f"--save-dir={tmp_path}", "--window-sec=0.5", f"--report={tmp_path}/deep/page.html")
    run("infer", clips, *flags, "--video", "<b> 0.mp4", "<b> 1.mp4")
    page = (tmp_path / "deep/page.html").read_text()
    merged = json.loads((tmp_path / "TSN_infer_result_merged.json").read_text())
    assert page.count('<img src="data:image/jpeg;base64,') == len(merged)
    links = re.findall(r'href="(\.\./[^"]*)#t=([\d.]+)"', page)
    assert [float(start) for _, start in links] == [part["start_sec"] for part in merged]
    linked = [(tmp_path / "deep" / unquote(way)).resolve() for way, _ in links]
    assert linked == [(clips / part["path"]).resolve() for part in merged]
    assert page.count('data-timeline="') == 2
    assert "0.5 s every 0.5 s" in page


def test_features_have_a_page_of_ids(trained, tmp_path):
    run_script("infer", OF_FEATURES, f"--save-dir={tmp_path}", "--report", cwd=trained)
    page = (tmp_path / "AttentionCluster_infer_report.html").read_text()
    items = json.loads((tmp_path / "AttentionCluster_infer_result.json").read_text())
    assert len(items) == 21
    assert all(f">{item['id']}<" in page for item in items)
    assert "<img" not in page


def test_what_goes_wrong_with_a_page_is_one_warning(tmp_path, log_lines):
    nothing = None  # in place of all that a page needs
    infer.make_page(tmp_path / "page.html", *[nothing] * 8)
    (line,) = log_lines
    assert line.startswith(f"warning: the page {tmp_path}/page.html could not be made (AttributeError: ")
    assert list(tmp_path.iterdir()) == []


BAD = [  # what else there is: tools/pages/test_page.py
    ("test", ["--report=x.html", "--output=x.html"], "--output and --report are the same file, x.html; name two"),
    ("infer", ["--report", "p0.pkl", "--video", "p0.pkl"], "--report p0.pkl: the name of a page ends in .html"),
]


@pytest.mark.parametrize(("script", "flags", "message"), BAD, ids=[" ".join(flags) for _, flags, _ in BAD])
def test_a_wrong_call_ends_in_one_line_before_the_work(clips, script, flags, message):
    result = run(script, clips, *flags, check=False)
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    assert message in line
    assert "records in" not in result.stdout


@pytest.mark.slow
def test_several_processes_make_the_same_pages(clips, tmp_path):
    pages = []
    for name in ("one", "two"):
        folder, several = tmp_path / name, ["--nproc=2"] * (name == "two")
        flags = ("--threads=1", f"--save-dir={folder}", "--window-sec=0.5")
        run("infer", clips, *flags, *several, "--report", "--video", "<b> 0.mp4", "<b> 1.mp4", "<b> 2.mp4")
        run("test", clips, "--threads=1", *several, f"--output={folder}/scores.json", "--report")
        texts = [(folder / f"TSN_{kind}_report.html").read_text() for kind in ("infer", "test")]
        for changing in (r"<div><dt[^>]*>(command|this page was made|processes)<.*", re.escape(str(folder))):
            texts = [re.sub(changing, "", text) for text in texts]
        pages.append(texts)
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_results_are_the_same_with_a_page_and_without(clips, tmp_path):
    shown = {}
    for name, flags in (("plain", ()), ("page", ("--report",))):
        folder = tmp_path / name
        texts = [
            run("infer", clips, f"--save-dir={folder}", "--video", "<b> 0.mp4", "p1.pkl", *flags).stdout,
            run("test", clips, f"--output={folder}/scores.json", *flags).stdout,
        ]
        texts = [text.replace(str(folder), "") for text in texts]
        shown[name] = [re.sub("page of .*\n", "", text) for text in texts]
    assert shown["plain"] == shown["page"]
    pages = {"TSN_infer_report.html", "TSN_test_report.html"}
    for name in ("plain", "page"):
        (tmp_path / name / "TSN_infer_result_run.json").unlink()  # it has an id of its own in each
    found = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("plain", "page")]
    assert {name: content for name, content in found[1].items() if name not in pages} == found[0]
    assert pages <= found[1].keys()
