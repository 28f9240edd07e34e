"""The program that fetches published files, against a server on this machine that does right and wrong."""

import io
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from tests.conftest import PROJECT
from tests.released_server import Page
from tools.download import main
from tools.errors import ZooError
from tools.files.fetch import RetryPolicy
from tools.weights.released import RELEASED

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
    assert [line[0] for line in lines] == [item.name for item in RELEASED]
    url = f"{server.url}/tsn_kinetics.tar.gz"
    assert lines[4] == ["TSN", "present,", "1.5", "MB", f"{tmp_path}/tsn_kinetics", url]
    assert lines[3][1:4] == ["not", "here", f"{tmp_path}/stnet_kinetics"]
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
    assert failure(download, "tsm").startswith("nothing is named 'tsm'; known: eigenvals, list, all, AttentionCluster")


def test_what_cannot_be_had_ends_the_program_with_one_line(tmp_path):
    command = [sys.executable, "-m", "tools.download", "TSN", "--offline", f"--weights-dir={tmp_path}"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: TSN: no released weights in {tmp_path}, and --offline; by hand: put http")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("eigenvals", "--offline"), ("tsn", "--output=x"), ("list", "--url=x"), ()])
def test_flags_that_do_not_belong_together_are_refused(download, arguments):
    with pytest.raises(SystemExit) as error:
        download(*arguments)
    assert error.value.code == 2
