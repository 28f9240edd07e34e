"""The published files that make YouTube-8M's features: fetched, found, read, and refused when they are others."""

import io
import shutil

import numpy as np
import pytest

from tests.extractor_files import (
    OTHERS,
    SMALL_INCEPTION,
    SMALL_VGGISH,
    audio_pca,
    full_size,
    make_arrays,
    make_small,
    npy,
    packed,
    published_files,
    visual_pca,
)
from tests.mutants import mutants, refusal_of
from tests.released_server import Page
from tests.tensorflow_files import write_checkpoint_v1, write_checkpoint_v2, write_graph_def
from tools.errors import DataError, DownloadError, UnusableError
from tools.files.fetch import RetryPolicy
from tools.weights.extractor_names import inception_shapes, vggish_shapes
from tools.weights.extractors import (
    AUDIO_PCA,
    EXTRACTORS,
    INCEPTION,
    VGGISH,
    VISUAL_PCA,
    find_extractor,
    load_audio_pca,
    load_inception,
    load_vggish,
    load_visual_pca,
    read_audio_pca,
    read_inception,
    read_vggish,
    read_visual_pca,
)

QUICK = RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01))
LOADERS = {
    INCEPTION.name: load_inception,
    VISUAL_PCA.name: load_visual_pca,
    VGGISH.name: load_vggish,
    AUDIO_PCA.name: load_audio_pca,
}


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The four files at a small size, name -> content."""
    make_small(monkeypatch)
    return published_files(tmp_path)


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def load(name, cache, **options):
    return LOADERS[name](weights_dir=str(cache), retry=QUICK, **options)


def failure(name, cache, kind=DownloadError, **options):
    with pytest.raises(kind) as error:
        load(name, cache, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def require_arrays(name, found):
    """Hold what was loaded against what ``published_files`` packs."""
    if name in (INCEPTION.name, VGGISH.name):
        expected = make_arrays(SMALL_INCEPTION if name == INCEPTION.name else SMALL_VGGISH)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(found[key], array)
    elif name == VISUAL_PCA.name:
        made = visual_pca()
        np.testing.assert_array_equal(found.mean, made["mean.npy"][:, 0])
        np.testing.assert_array_equal(found.vectors, made["eigenvecs.npy"][:1024])
        np.testing.assert_array_equal(found.values, made["eigenvals.npy"][:1024, 0])
    else:
        np.testing.assert_array_equal(found.mean, audio_pca()["pca_means"])
        np.testing.assert_array_equal(found.vectors, audio_pca()["pca_eigen_vectors"])
        assert found.values is None


def visible(cache):
    return {path.name for path in cache.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_file_is_fetched_once_and_then_found(server, files, cache, name):
    server.pages[f"/{name}"] = Page(files[name])
    require_arrays(name, load(name, cache))
    require_arrays(name, load(name, cache, offline=True))
    require_arrays(name, load(name, cache))
    assert server.requests == [(f"/{name}", None)]
    kept = name.removesuffix(".tgz")
    assert visible(cache) == {kept, f"{kept}.sums.json"}
    assert find_extractor(EXTRACTORS[name][0], weights_dir=str(cache), offline=True) == cache / kept


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_download_that_was_cut_off_is_resumed(server, files, cache, name):
    half = len(files[name]) // 2
    server.pages[f"/{name}"] = Page(files[name], cut=half, cuts=1)
    require_arrays(name, load(name, cache))
    assert server.requests == [(f"/{name}", None), (f"/{name}", f"bytes={half}-")]


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_file_that_was_put_there_by_hand_is_taken_as_it_is(files, cache, name):
    (cache / name).write_bytes(files[name])
    require_arrays(name, load(name, cache, offline=True))
    assert (cache / name).read_bytes() == files[name]


def unpack(content, folder):
    folder.mkdir(exist_ok=True)
    archive = folder.parent / "archive.tgz"
    archive.write_bytes(content)
    shutil.unpack_archive(archive, folder, filter="data")


@pytest.mark.parametrize("name", [INCEPTION.name, VISUAL_PCA.name])
@pytest.mark.parametrize("folder", ["", "stem"])
def test_an_archive_that_was_unpacked_by_hand_does_as_well(files, cache, tmp_path, name, folder):
    unpack(files[name], tmp_path / "unpacked")
    target = cache / (name.removesuffix(".tgz") if folder else "")
    shutil.copytree(tmp_path / "unpacked", target, dirs_exist_ok=True)
    if not folder:  # without a folder of the archive's own
        for path in (cache / "yt8m_pca").glob("*"):
            path.rename(cache / path.name)
    require_arrays(name, load(name, cache, offline=True))


@pytest.mark.parametrize("name", EXTRACTORS)
def test_without_a_network_it_is_said_which_file_is_missing_how_large_it_is_and_where_it_goes(server, cache, name):
    text = failure(name, cache, offline=True)
    size = EXTRACTORS[name][0].size
    assert text.startswith(
        f"no {name} in {cache}, and --offline; by hand: put {server.url}/{name} ({size}) at {cache}/{name}"
    )
    assert text.endswith("PADDLE_WEIGHTS_URL names a mirror, --weights-dir another folder")
    assert server.requests == []


@pytest.mark.parametrize("name", EXTRACTORS)
def test_what_a_server_gives_instead_is_refused_and_not_kept(server, files, cache, name):
    for content in (b"<html>not here</html>", files[name][: len(files[name]) // 2], packed({"other": b"x"})):
        server.pages[f"/{name}"] = Page(content)
        text = failure(name, cache, UnusableError)
        assert f"{server.url}/{name}" in text
        assert f"by hand: put {server.url}/{name}" in text
        assert {path.suffix for path in cache.iterdir()} <= {".lock"}


def test_an_archive_by_hand_that_is_no_use_is_named(files, cache):
    (cache / INCEPTION.name).write_bytes(files[INCEPTION.name][:100])
    text = failure(INCEPTION.name, cache)
    assert text.startswith(f"{cache}/{INCEPTION.name} is damaged or no .tar.gz archive: ")
    assert text.endswith("; put a whole one in its place, or delete it")
    (cache / INCEPTION.name).write_bytes(files[VISUAL_PCA.name])
    text = failure(INCEPTION.name, cache)
    assert text.startswith(f"{cache}/{INCEPTION.name} does not hold classify_image_graph_def.pb; put a whole")


def test_a_folder_without_what_is_needed_is_named_before_anything_is_fetched(server, cache):
    (cache / "yt8m_pca").mkdir()
    (cache / "yt8m_pca" / "mean.npy").write_bytes(b"x")
    text = failure(VISUAL_PCA.name, cache)
    assert text.startswith(
        f"the folder {cache}/yt8m_pca does not hold mean.npy and eigenvals.npy and eigenvecs.npy; delete"
    )
    assert server.requests == []


def test_what_was_fetched_and_is_damaged_later_is_refused(server, files, cache):
    server.pages |= {f"/{name}": Page(content) for name, content in files.items()}
    for name in EXTRACTORS:
        load(name, cache)
    for name, path in (
        (VGGISH.name, cache / VGGISH.name),
        (INCEPTION.name, cache / "inception-2015-12-05/classify_image_graph_def.pb"),
    ):
        for mutant in mutants(path.read_bytes(), 20, seed=0):
            path.write_bytes(mutant)
            text = failure(name, cache, DataError)
            assert text.startswith(f"{path} has not the size or checksum that ")


def test_what_lies_here_and_is_something_else_is_named_with_what_to_do(files, cache):
    (cache / VGGISH.name).write_bytes(b"<html>not here</html>")
    assert failure(VGGISH.name, cache, DataError) == (
        f"{cache}/{VGGISH.name} is a web page (HTML), not a TensorFlow checkpoint; delete it, and the next call "
        "fetches it"
    )
    folder = cache / "yt8m_pca"
    unpack(files[VISUAL_PCA.name], cache)
    (folder / "mean.npy").write_bytes(npy(np.zeros(3, np.float32)))
    assert failure(VISUAL_PCA.name, cache, DataError) == (
        f"mean.npy of {folder} has the shape (3,), expected (2048, 1); delete the folder {folder}, and the next call "
        "fetches it"
    )


def test_a_checksum_other_than_the_one_that_others_have_told_is_told_and_refuses_nothing(files, cache, caplog):
    caplog.set_level("INFO")
    (cache / VGGISH.name).write_bytes(files[VGGISH.name])
    load(VGGISH.name, cache)
    lines = [line for line in caplog.messages if "it is used all the same" in line]
    assert [line.split(": ")[1].split()[1] for line in lines] == ["MD5", "SHA256"]
    assert lines[0].startswith(f"{cache}/{VGGISH.name} may not be the file that was published: its MD5 is ")
    assert "and others have told d1c7011e6366aa34176bb05c705e31a8; " in lines[0]


def test_sums_that_fit_are_not_spoken_of(files, cache, caplog):
    caplog.set_level("INFO")
    (cache / VISUAL_PCA.name).write_bytes(files[VISUAL_PCA.name])
    load(VISUAL_PCA.name, cache)
    assert not [line for line in caplog.messages if "all the same" in line]


def test_a_checkpoint_of_version_2_serves_as_well(monkeypatch, tmp_path):
    make_small(monkeypatch)
    write_checkpoint_v2(tmp_path / "c", make_arrays(SMALL_VGGISH))
    require_arrays(VGGISH.name, read_vggish(tmp_path / "c", "x"))


BAD_NETWORKS = {  # array, value of one of its elements, message
    "nan": ("conv/batchnorm/beta", np.nan, "conv/batchnorm/beta holds values that are not finite"),
    "infinite": ("conv/conv2d_params", np.inf, "conv/conv2d_params holds values that are not finite"),
    "negative variance": ("conv/batchnorm/moving_variance", -1, "holds values below 0, which no variance is"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_values_that_no_network_has_are_refused(monkeypatch, tmp_path, case):
    make_small(monkeypatch)
    name, value, message = BAD_NETWORKS[case]
    arrays = make_arrays(SMALL_INCEPTION)
    arrays[name].flat[-1] = value
    write_graph_def(tmp_path / "classify_image_graph_def.pb", arrays)
    text = refusal_of(read_inception, tmp_path, "here")
    assert text.startswith("classify_image_graph_def.pb of here: conv/")
    assert message in text


def test_weights_of_another_type_are_refused(monkeypatch, tmp_path):
    make_small(monkeypatch)
    arrays = {name: array.astype(np.float16) for name, array in make_arrays(SMALL_VGGISH).items()}
    write_checkpoint_v1(tmp_path / "c", arrays)
    assert (
        refusal_of(read_vggish, tmp_path / "c", "here") == "here: vggish/conv1/biases holds float16, expected float32"
    )


FORMS = {  # file -> another form that says the same
    "columns": {"mean.npy": lambda x: np.repeat(x, 3, axis=1), "eigenvals.npy": lambda x: np.repeat(x, 2, axis=1)},
    "rows alone": {"mean.npy": np.ravel, "eigenvals.npy": np.ravel},
    "doubles": dict.fromkeys(("mean.npy", "eigenvals.npy", "eigenvecs.npy"), np.float64),
    "least": {"eigenvals.npy": lambda x: x[:1024], "eigenvecs.npy": lambda x: x[:1024]},
    "by columns": {"eigenvecs.npy": np.asfortranarray},
    "other rows": {"eigenvecs.npy": lambda x: np.concatenate([x, x[:5]])},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_pca_of_frames_may_have_several_forms(tmp_path, form):
    for name, array in visual_pca().items():
        np.save(tmp_path / name, FORMS[form].get(name, lambda x: x)(array))
    found = read_visual_pca(tmp_path, "here")
    require_arrays(VISUAL_PCA.name, found)
    for array in (found.mean, found.vectors, found.values):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


BAD_PCAS = {  # file, array, message
    "few rows": (
        "eigenvecs.npy",
        np.zeros((1023, 2048), "f4"),
        "has the shape (1023, 2048), expected (1024 or more, 2048)",
    ),
    "narrow": (
        "eigenvecs.npy",
        np.zeros((1024, 1024), "f4"),
        "has the shape (1024, 1024), expected (1024 or more, 2048)",
    ),
    "a row": ("eigenvecs.npy", np.zeros(2048, "f4"), "has the shape (2048,), expected"),
    "short mean": ("mean.npy", np.zeros((1024, 1), "f4"), "has the shape (1024, 1), expected (2048, 1)"),
    "a scalar": ("mean.npy", np.zeros((), "f4"), "has the shape (), expected (2048, 1)"),
    "no columns": ("mean.npy", np.zeros((2048, 0), "f4"), "has the shape (2048, 0), expected (2048, 1)"),
    "few values": ("eigenvals.npy", np.zeros((1000, 1), "f4"), "has the shape (1000, 1), expected (1024 or more, 1)"),
    "whole numbers": ("mean.npy", np.zeros((2048, 1), "i4"), "holds int32, expected float32"),
    "nan": ("mean.npy", np.full((2048, 1), np.nan, "f4"), "holds values that are not finite"),
    "too large": ("mean.npy", np.full((2048, 1), 1e300), "holds values that are not finite"),
    "negative": ("eigenvals.npy", np.full((1024, 1), -1, "f4"), "holds values below 0, which no variance is"),
    "objects": ("mean.npy", np.array([None] * 2048), "is not the .npy array that was expected: its values are of type"),
}


@pytest.mark.parametrize("case", BAD_PCAS)
def test_a_pca_of_frames_that_cannot_be_one_is_refused(tmp_path, case):
    name, array, message = BAD_PCAS[case]
    for each, good in visual_pca(1024).items():
        np.save(tmp_path / each, array if each == name else good)
    text = refusal_of(read_visual_pca, tmp_path, "here")
    assert text.startswith(f"{name} of here ")
    assert message in text


def test_a_file_of_the_pca_that_is_missing_is_named(tmp_path):
    assert refusal_of(read_visual_pca, tmp_path, "here").startswith("eigenvecs.npy of here is not the .npy array that")


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


BAD_SOUND = {
    "no archive": (b"<html>", "here is not the .npz archive that was expected: "),
    "no means": (npz(pca_eigen_vectors=np.eye(128)), "it holds no array pca_means"),
    "narrow": (
        npz(pca_eigen_vectors=np.eye(127), pca_means=np.zeros(128)),
        "has the shape (127, 127), expected (128,",
    ),
    "short": (npz(pca_eigen_vectors=np.eye(128), pca_means=np.zeros(127)), "has the shape (127,), expected (128,)"),
    "nan": (npz(pca_eigen_vectors=np.eye(128), pca_means=np.full(128, np.nan)), "pca_means of here holds values that"),
    "objects": (
        npz(pca_eigen_vectors=np.array([None]), pca_means=np.zeros(128)),
        "array pca_eigen_vectors is damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_SOUND)
def test_a_pca_of_sound_that_cannot_be_one_is_refused(tmp_path, case):
    content, message = BAD_SOUND[case]
    (tmp_path / "x.npz").write_bytes(content)
    assert message in refusal_of(read_audio_pca, tmp_path / "x.npz", "here")


def test_means_of_sound_may_be_a_column(tmp_path):
    (tmp_path / "x.npz").write_bytes(npz(**audio_pca() | {"pca_means": audio_pca()["pca_means"][:, None]}))
    require_arrays(AUDIO_PCA.name, read_audio_pca(tmp_path / "x.npz", "here"))


@pytest.mark.slow
def test_files_of_the_published_size_are_fetched_and_read_to_the_last_bit(server, cache, tmp_path):
    files = full_size(tmp_path)
    server.pages |= {f"/{name}": Page(content) for name, content in files.items()}
    for name, shapes in ((INCEPTION.name, inception_shapes()), (VGGISH.name, vggish_shapes())):
        expected = make_arrays(shapes)
        found = load(name, cache)
        assert found.keys() == expected.keys() - OTHERS.keys()
        for key, array in found.items():
            assert array.tobytes() == expected[key].tobytes()
    assert (cache / VGGISH.name).stat().st_size > 288_000_000
