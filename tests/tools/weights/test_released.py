"""Released weights: where they are looked for, what is fetched, and what their checksums say."""

import hashlib

import pytest

import models
from tests.released_server import Page
from tests.tools.files.small_archives import SAMPLE, archive_of, assert_complete
from tests.tools.weights.released_cache import (
    ARCHIVE,
    FETCHED,
    PICKLE,
    QUICK,
    SINGLE,
    UNPACKED,
    failure,
    find,
    names_in,
)
from tools.errors import ConfigError, DownloadError, UnusableError
from tools.registry import MODELS
from tools.weights.released import KNOWN_SUMS, RELEASED, CacheEntry, find_released


def test_an_archive_becomes_the_folder_of_its_name_bit_for_bit(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE)
    path = find(root)
    assert path == root / "cache" / "tsn_kinetics"
    assert_complete(path)
    assert len(list(path.iterdir())) == 43
    assert names_in(root) == [".tsn_kinetics.lock", *UNPACKED]
    noted = (root / "cache" / "tsn_kinetics.tar.gz.sha256").read_text()
    assert noted == f"{hashlib.sha256(SAMPLE).hexdigest()}  tsn_kinetics.tar.gz\n"


def test_what_is_here_is_used_without_a_request(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE)
    assert find(root) == find(root, name="tsn") == find(root, offline=True)
    assert server.requests == [(ARCHIVE, None)]


@pytest.mark.parametrize("inner", ["", "tsn", "a/b"])
def test_a_folder_of_2019_is_used_as_it_is_however_deep_its_files_lie(root, inner):
    folder = root / "cache" / "tsn_kinetics" / inner
    folder.mkdir(parents=True)
    (folder / "fc_0.w_0").write_bytes(b"x")
    (folder / "fc_0.b_0").write_bytes(b"y")
    before = names_in(root)
    assert find(root, offline=True) == folder
    assert names_in(root) == before  # nothing is written to what may be a folder to read only


def test_an_empty_folder_does_not_count_and_gives_way(server, root):
    (root / "cache" / "tsn_kinetics").mkdir(parents=True)
    server.pages[ARCHIVE] = Page(SAMPLE)
    assert_complete(find(root))


@pytest.mark.parametrize("top", ["", "./", "some/other name/"])
def test_files_may_lie_in_any_folder_of_the_archive_or_in_none(server, root, top):
    archive = archive_of((f"{top}a", b"1"), (f"{top}b", b"22"))
    server.pages[ARCHIVE] = Page(archive)
    path = find(root)
    assert path == root / "cache" / "tsn_kinetics"
    assert_complete(path, archive)


def test_the_folder_and_the_address_come_from_the_environment(server, root, monkeypatch):
    monkeypatch.setenv("PADDLE_WEIGHTS_DIR", str(root / "cache" / "deep"))
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", f"{server.url}/mirror/")
    server.pages["/mirror/TSN.pdparams"] = Page(PICKLE)
    assert find_released("TSN", retry=QUICK) == root / "cache" / "deep" / "TSN.pdparams"


def test_the_default_folder_is_the_one_of_2019(monkeypatch, tmp_path):
    monkeypatch.delenv("PADDLE_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("PADDLE_WEIGHTS_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    place = CacheEntry.of("nextvlad")
    assert place.folder == tmp_path / ".paddle/weights/nextvlad_youtube8m"
    base = "https://paddlemodels.bj.bcebos.com/video_classification"
    assert place.url(place.item.archive) == f"{base}/nextvlad_youtube8m.tar.gz"


def test_every_model_has_released_weights():
    assert models.__name__ == "models"  # registers them
    assert {item.name for item in RELEASED} == {*MODELS.names(), "ResNet50_pretrained"}
    with pytest.raises(ConfigError, match="no released weights named 'TSM'; known: AttentionCluster"):
        find_released("TSM")


@pytest.mark.parametrize("status", [404, 403])
def test_where_the_archive_is_gone_the_single_file_serves(server, root, status, log_lines):
    server.pages |= {ARCHIVE: Page(statuses=[status]), SINGLE: Page(PICKLE)}
    path = find(root)
    assert path.read_bytes() == PICKLE
    assert names_in(root) == [".tsn_kinetics.lock", *FETCHED]
    assert [request[0] for request in server.requests] == [ARCHIVE, SINGLE]  # 404 is not tried again
    assert f"HTTP Error {status}" in log_lines[-1]
    assert log_lines[-1].endswith(f"trying {server.url}{SINGLE}")
    assert find(root, offline=True) == path


def test_a_single_file_of_another_kind_or_without_its_end_is_an_error(server, root):
    for content, message in ((b"<html>", "is a web page"), (PICKLE[:-1], "without its end"), (b"", "is an empty file")):
        server.pages[SINGLE] = Page(content)
        assert message in failure(root)


def test_both_sources_gone_is_one_error_with_both_and_the_way_out(server, root):
    text = failure(root, kind=UnusableError)
    cache = root / "cache"
    assert text == (
        f"{server.url}/tsn_kinetics.tar.gz cannot be fetched: HTTP Error 404: Not Found; "
        f"{server.url}/TSN.pdparams cannot be fetched: HTTP Error 404: Not Found; "
        f"by hand: put {server.url}/tsn_kinetics.tar.gz at {cache}/tsn_kinetics.tar.gz, or its files into "
        f"{cache}/tsn_kinetics, or {server.url}/TSN.pdparams at {cache}/TSN.pdparams; "
        "PADDLE_WEIGHTS_URL names a mirror, --weights-dir another folder"
    )


def test_resnet_has_one_source(server, root):
    text = failure(root, name="ResNet50_pretrained")
    assert "ResNet50_pretrained.tar.gz" in text
    assert "pdparams" not in text
    assert len(server.requests) == 1


def test_offline_says_what_to_fetch_from_where_and_where_to_put_it(server, root):
    text = failure(root, offline=True)
    assert text.startswith(f"TSN: no released weights in {root}/cache, and --offline; by hand: put {server.url}")
    for part in ("cache/tsn_kinetics.tar.gz", "cache/tsn_kinetics,", "PADDLE_WEIGHTS_URL", "--weights-dir"):
        assert part in text
    assert not (root / "cache").exists()
    assert server.requests == []


@pytest.mark.parametrize(
    "base", ["file:///etc", "ftp://127.0.0.1", "here", "http://a b/", "http://[", "http://127.0.0.1:x"]
)
def test_a_mirror_that_is_no_web_address_is_an_error(root, monkeypatch, base):
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", base)
    assert base in failure(root)


@pytest.mark.parametrize("offline", [True, False])
def test_an_archive_put_there_by_hand_is_unpacked_and_left(server, root, offline):
    (root / "cache").mkdir()
    (root / "cache" / "tsn_kinetics.tar.gz").write_bytes(SAMPLE)
    assert_complete(find(root, offline=offline))
    assert (root / "cache" / "tsn_kinetics.tar.gz").read_bytes() == SAMPLE
    assert server.requests == []


def test_a_bad_archive_put_there_by_hand_is_named_and_left(server, root):
    (root / "cache").mkdir()
    (root / "cache" / "tsn_kinetics.tar.gz").write_bytes(SAMPLE[:500])
    text = failure(root)
    assert text.startswith(f"{root}/cache/tsn_kinetics.tar.gz is damaged or no .tar.gz archive")
    assert text.endswith("put a whole one in its place, or delete it")
    assert names_in(root) == [".tsn_kinetics.lock", "tsn_kinetics.tar.gz"]


def test_a_file_that_changes_is_refused_until_its_checksum_is_deleted(server, root):
    server.pages[ARCHIVE] = Page(archive_of(("a", b"1"), ("b", b"2")))
    first = find(root)
    for file in first.iterdir():
        file.unlink()
    server.pages |= {ARCHIVE: Page(SAMPLE), SINGLE: Page(PICKLE)}
    text = failure(root)
    note = root / "cache" / "tsn_kinetics.tar.gz.sha256"
    assert text.startswith(f"{server.url}{ARCHIVE} is not the file it was: its SHA-256 is ")
    assert text.endswith(f"delete {note} if you trust the new one")
    note.unlink()
    assert_complete(find(root))


def test_a_known_checksum_is_held_against_the_file(server, root, monkeypatch):
    monkeypatch.setitem(KNOWN_SUMS, "tsn_kinetics.tar.gz", "0" * 64)
    server.pages |= {ARCHIVE: Page(SAMPLE), SINGLE: Page(PICKLE)}
    assert "is not the released file: its SHA-256 is" in failure(root)
    monkeypatch.setitem(KNOWN_SUMS, "tsn_kinetics.tar.gz", hashlib.sha256(SAMPLE).hexdigest())
    assert_complete(find(root))


def test_a_folder_that_cannot_be_written_is_one_error_that_names_it(server, root):
    (root / "cache").write_text("a file")
    with pytest.raises(DownloadError) as error:
        find(root)
    assert str(error.value).startswith(f"{root}/cache cannot hold the released weights of TSN: ")
    assert "--weights-dir or PADDLE_WEIGHTS_DIR" in str(error.value)
