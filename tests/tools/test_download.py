"""The program that fetches published files, against a server on this machine that does right and wrong."""

import io
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from datareader.class_names import load_class_names
from models.nextvlad.spec import load_whitening
from tests.conftest import PROJECT
from tests.extractor_files import make_small, published_files
from tests.mutants import mutants, refusal_of
from tests.released_server import Page
from tools.download import main, read_eigenvalues
from tools.errors import ZooError
from tools.files.fetch import RetryPolicy
from tools.weights.published_files import Place
from tools.weights.released import RELEASED
from tools.weights.vocabulary import VOCABULARY as PUBLISHED

VALUES = np.linspace(2, 0.1, 2048, dtype=np.float32)[:, None]
SAMPLE = (PROJECT / "tests/golden/fluid_samples/persistables_dir.tar.gz").read_bytes()


def archive_of(name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        item = tarfile.TarInfo(name)
        item.size = len(content)
        tar.addfile(item, io.BytesIO(content))
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


GOOD = archive_of("yt8m_pca/eigenvals.npy", npy(VALUES))


PAGES = {
    "/good": Page(GOOD),
    "/cut": Page(GOOD[:500], length=len(GOOD), ranges=False),
    "/broken": Page(GOOD[:500]),
    "/html": Page(b"<html>not here</html>"),
    "/other": Page(archive_of("mean.npy", npy(VALUES))),
    "/short": Page(archive_of("eigenvals.npy", npy(VALUES[:10]))),
    "/objects": Page(archive_of("eigenvals.npy", npy(np.array([object()])))),
}


@pytest.fixture
def download(monkeypatch, capsys):
    """Run the program in this process; returns its output, or the text of its error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["download", *arguments])
        main(RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01)))
        return capsys.readouterr().out.splitlines()

    return run


def failure(download, *arguments):
    with pytest.raises(ZooError) as error:
        download(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def eigenvalues(url, output):
    return "eigenvals", f"--url={url}", f"--output={output}"


def test_an_archive_that_a_killed_run_was_fetching_goes_and_eigenvalues_of_others_stay(download, server, tmp_path):
    for name in (".eigenvals.npy.tmp-1-0123abcd", ".other.npy.tmp-1-0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "yt8m_pca.tgz").write_bytes(bytes(1000))
    server.pages |= PAGES
    download(*eigenvalues(f"{server.url}/good", tmp_path / "eigenvals.npy"))
    names = {path.name for path in tmp_path.iterdir() if "sums" not in path.name}
    assert names == {"eigenvals.npy", ".other.npy.tmp-1-0123abcd"}


def test_the_eigenvalues_come_out_of_the_archive(download, server, tmp_path):
    server.pages |= PAGES
    output = tmp_path / "new" / "eigenvals.npy"
    assert download(*eigenvalues(f"{server.url}/good", output)) == [f"{output}: 2048 eigenvalues"]
    np.testing.assert_array_equal(np.load(output), VALUES)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("gone", "cannot be fetched: HTTP Error 404"),
        ("cut", "ended after 500 of"),
        ("broken", "is not the archive that was expected"),
        ("html", "is not the archive that was expected"),
        ("other", "holds no eigenvals.npy"),
        ("short", "is a (10, 1) float32 array, expected (2048, 1) float32"),
        ("objects", "is not the archive that was expected"),
    ],
)
def test_anything_else_is_one_line_and_leaves_no_file(download, server, tmp_path, page, message):
    server.pages |= PAGES
    text = failure(download, *eigenvalues(f"{server.url}/{page}", tmp_path / "eigenvals.npy"))
    assert message in text
    assert text.startswith(f"{'eigenvals.npy of ' * (page == 'short')}{server.url}/{page}")
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_line(download, tmp_path):
    output = tmp_path / "new" / "eigenvals.npy"
    text = failure(download, *eigenvalues("http://127.0.0.1:9/x", output))
    assert text.startswith("http://127.0.0.1:9/x cannot be fetched: ")
    assert text.endswith(f"put the eigenvals.npy that it holds at {output}")
    assert not list(tmp_path.iterdir())


def test_the_list_shows_each_name_what_is_here_and_the_address(download, server, tmp_path):
    (tmp_path / "tsn_kinetics").mkdir()
    (tmp_path / "tsn_kinetics" / "fc_0.w_0").write_bytes(bytes(1_500_000))
    lines = [line.split() for line in download("list", f"--weights-dir={tmp_path}")]
    assert [line[0] for line in lines] == [*(item.name for item in RELEASED), "vocabulary", *["yt8m-features"] * 4]
    url = f"{server.url}/tsn_kinetics.tar.gz"
    assert lines[4] == ["TSN", "present,", "1.5", "MB", f"{tmp_path}/tsn_kinetics", url]
    assert lines[3][1:4] == ["not", "here", f"{tmp_path}/stnet_kinetics"]
    assert lines[6][1:] == ["not", "here", f"{tmp_path}/vocabulary.csv", f"{server.url}/vocabulary.csv"]
    for line, name, kept in zip(
        lines[7:],
        ["inception-2015-12-05.tgz", "yt8m_pca.tgz", "vggish_model.ckpt", "vggish_pca_params.npz"],
        ["inception-2015-12-05", "yt8m_pca", "vggish_model.ckpt", "vggish_pca_params.npz"],
        strict=True,
    ):
        assert line[1:] == ["not", "here", f"{tmp_path}/{kept}", f"{server.url}/{name}"]
    assert server.requests == []


def test_all_fetches_what_there_is_and_names_what_there_is_not(download, server, tmp_path):
    for item in RELEASED:
        server.pages[f"/{item.archive}"] = Page(SAMPLE)
    del server.pages["/stnet_kinetics.tar.gz"]
    place = f"--weights-dir={tmp_path}"
    assert failure(download, "all", place) == "1 of 6 cannot be had, as said above: STNET"
    assert len(list(tmp_path.glob("*/fc_0.w_0"))) == 5

    server.pages["/stnet_kinetics.tar.gz"] = Page(SAMPLE)
    assert download("ALL", place)[-1] == f"ResNet50_pretrained: {tmp_path}/ResNet50_pretrained"
    assert len(download("all", place, "--offline")) == 6


def test_a_name_is_found_in_any_case(download, server, tmp_path):
    server.pages["/ResNet50_pretrained.tar.gz"] = Page(SAMPLE)
    lines = download("resnet50_PRETRAINED", f"--weights-dir={tmp_path}")
    assert lines[-1] == f"ResNet50_pretrained: {tmp_path}/ResNet50_pretrained"
    assert failure(download, "tsm").startswith(
        "nothing is named 'tsm'; known: vocabulary, yt8m-features, eigenvals, list, "
    )


def test_what_cannot_be_had_ends_the_program_with_one_line(tmp_path):
    command = [sys.executable, "-m", "tools.download", "TSN", "--offline", f"--weights-dir={tmp_path}"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: TSN: no released weights in {tmp_path}, and --offline; by hand: put http")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("eigenvals", "--offline"),
        ("tsn", "--output=x"),
        ("vocabulary", "--output=x"),
        ("yt8m-features", "--url=x"),
        ("list", "--url=x"),
        (),
    ],
)
def test_flags_that_do_not_belong_together_are_refused(download, arguments):
    with pytest.raises(SystemExit) as error:
        download(*arguments)
    assert error.value.code == 2


def vocabulary_of(rows):
    """A file as YouTube-8M's: classes in any order, names with commas and quotes, columns that nobody asks for."""
    lines = (f'{class_id},7,/m/{class_id},"Name ""{class_id}"", one",,"two\nlines"' for class_id in rows)
    return "\r\n".join(["Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,WikiDescription", *lines, ""]).encode()


VOCABULARY = vocabulary_of(reversed(range(3862)))


def test_the_vocabulary_is_fetched_once_and_names_all_classes(download, server, tmp_path):
    server.pages["/vocabulary.csv"] = Page(VOCABULARY)
    place = f"--weights-dir={tmp_path}"
    path = tmp_path / "vocabulary.csv"
    assert download("vocabulary", place) == [
        f"vocabulary: fetching {server.url}/vocabulary.csv",
        f"vocabulary: {path}",
    ]
    assert path.read_bytes() == VOCABULARY
    assert {item.name for item in tmp_path.iterdir()} <= {
        "vocabulary.csv",
        "vocabulary.csv.sums.json",
        ".vocabulary.lock",
    }
    assert download("VOCABULARY", place, "--offline") == [f"vocabulary: {path}"]
    assert len(server.requests) == 1
    assert load_class_names(str(path), 3862)[17] == 'Name "17", one'
    assert download("list", place)[6].split()[1:4] == ["present,", f"{len(VOCABULARY) / 1e6:.1f}", "MB"]


def test_a_vocabulary_that_was_cut_off_is_resumed(download, server, tmp_path):
    server.pages["/vocabulary.csv"] = Page(VOCABULARY, cut=10_000, cuts=3)  # as often as it is tried
    place = f"--weights-dir={tmp_path}"
    assert "ended after 30000 of" in failure(download, "vocabulary", place)
    assert not (tmp_path / "vocabulary.csv").exists()
    download("vocabulary", place)
    assert (tmp_path / "vocabulary.csv").read_bytes() == VOCABULARY
    assert server.requests[-1] == ("/vocabulary.csv", "bytes=30000-")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>not here</html>", "is a web page (HTML); expected a text"),
        (b"a,b\n1,2\n", "needs the columns Index and Name"),
        (vocabulary_of(range(3000)), "has rows of 3000 classes, expected 3862"),
        (vocabulary_of([*range(3862), 5]), f"line {2 + 2 * 3862}: Index 5 is given twice"),  # each row has two lines
        (vocabulary_of(range(1, 3863)), f"line {2 + 2 * 3861}: Index 3862 is not in 0 to 3861"),
        (b"\x1f\x8b\x08", "is a gzip file, not a text"),
    ],
    ids=["page", "columns", "short", "twice", "range", "packed"],
)
def test_a_file_that_is_no_vocabulary_is_refused_and_not_kept(download, server, tmp_path, content, message):
    server.pages["/other.csv"] = Page(content)
    text = failure(download, "vocabulary", f"--weights-dir={tmp_path}", f"--url={server.url}/other.csv")
    assert text.startswith(f"{server.url}/other.csv {message}")
    assert f"; by hand: put {server.url}/other.csv at {tmp_path}/vocabulary.csv; " in text
    assert [item.name for item in tmp_path.iterdir() if item.suffix != ".lock"] == []


def test_without_a_network_it_is_said_where_a_vocabulary_goes_and_one_put_there_is_checked(download, server, tmp_path):
    place, path = f"--weights-dir={tmp_path}", tmp_path / "vocabulary.csv"
    advice = f"by hand: put {server.url}/vocabulary.csv at {path}; "
    text = failure(download, "vocabulary", place, "--offline")
    assert text.startswith(f"no vocabulary.csv in {tmp_path}, and --offline; {advice}")
    text = failure(download, "vocabulary", place, "--url=http://127.0.0.1:9/v.csv")
    assert text.startswith("http://127.0.0.1:9/v.csv cannot be fetched: ")
    assert f"by hand: put http://127.0.0.1:9/v.csv at {path}; " in text
    path.write_bytes(vocabulary_of(range(10)))
    assert failure(download, "vocabulary", place, "--offline") == (
        f"{path} has rows of 10 classes, expected 3862; delete it, and the next call fetches it"
    )
    path.write_bytes(VOCABULARY)
    assert download("vocabulary", place, "--offline")[-1] == f"vocabulary: {path}"
    assert server.requests == []


def test_the_published_address_holds_where_no_mirror_is_named(monkeypatch):
    monkeypatch.delenv("PADDLE_WEIGHTS_URL", raising=False)
    assert Place.of(PUBLISHED).url == "https://research.google.com/youtube8m/csv/2/vocabulary.csv"


def test_all_that_makes_features_is_fetched_and_what_is_not_there_keeps_nothing_back(
    download, server, tmp_path, monkeypatch
):
    make_small(monkeypatch)
    files = published_files(tmp_path)
    server.pages |= {f"/{name}": Page(content) for name, content in files.items() if name != "yt8m_pca.tgz"}
    cache = tmp_path / "cache"
    place = f"--weights-dir={cache}"
    assert failure(download, "yt8m-features", place) == "1 of 4 cannot be had, as said above: yt8m_pca.tgz"
    assert len(server.requests) == 4

    server.pages["/yt8m_pca.tgz"] = Page(files["yt8m_pca.tgz"])
    lines = download("YT8M-Features", place)
    kept = [cache / name.removesuffix(".tgz") for name in files]
    assert [line for line in lines if line.startswith(tuple(f"{name}: /" for name in files))][-4:] == [
        f"{name}: {path}" for name, path in zip(files, kept, strict=True)
    ]
    assert len(server.requests) == 5
    assert len(download("yt8m-features", place, "--offline")) == 4
    shown = [line.split() for line in download("list", place)[7:]]
    assert [line[1] for line in shown] == ["present,"] * 4
    assert [line[4] for line in shown] == [str(path) for path in kept]


def test_without_a_network_the_first_file_that_is_missing_is_named_with_its_size(download, server, tmp_path):
    text = failure(download, "yt8m-features", f"--weights-dir={tmp_path}", "--offline")
    advice = f"by hand: put {server.url}/inception-2015-12-05.tgz (88.9 MB) at {tmp_path}/inception-2015-12-05.tgz"
    assert text.startswith(f"no inception-2015-12-05.tgz in {tmp_path}, and --offline; {advice}, or of what it holds ")
    assert server.requests == []


@pytest.mark.parametrize(("number", "seed"), [(40, 0), pytest.param(3000, 1, marks=pytest.mark.slow)])
def test_damage_anywhere_in_the_archive_of_eigenvalues_is_refused_or_changes_nothing(tmp_path, number, seed):
    def read(archive):
        np.testing.assert_array_equal(read_eigenvalues(archive, "http://it"), VALUES)

    refused = 0
    for i, mutant in enumerate(mutants(GOOD, number, seed)):
        (tmp_path / str(i)).mkdir()
        archive = tmp_path / str(i) / "yt8m_pca.tgz"
        archive.write_bytes(mutant)
        if text := refusal_of(read, archive):  # else it is a time or a name in gzip's own header
            assert "http://it" in text
            refused += 1
    assert refused > number * 0.9


def test_fetched_eigenvalues_that_are_damaged_later_are_refused(download, server, tmp_path):
    server.pages |= PAGES
    output = tmp_path / "eigenvals.npy"
    download(*eigenvalues(f"{server.url}/good", output))
    expected = load_whitening(str(output), 1024, "here")
    whole = output.read_bytes()
    for mutant in mutants(whole, 100, seed=0):
        output.write_bytes(mutant)
        text = refusal_of(load_whitening, str(output), 1024, "here")
        assert text.startswith(f"here: eigen_file {output}: ")
        assert "delete eigenvals.npy and eigenvals.npy.sums.json" in text
    (tmp_path / "eigenvals.npy.sums.json").unlink()  # as where somebody put the file there
    output.write_bytes(whole)
    np.testing.assert_array_equal(load_whitening(str(output), 1024, "here"), expected)
