"""A server of a model on features: records in, the classes of infer.py out."""

import json
import pickle

import numpy as np
import pytest

from tests.conftest import make_record, run_script
from tests.sequence_examples import write_shard
from tests.tools.serve.servers import running
from tests.tools.serve.test_answers import assert_same_classes

pytestmark = pytest.mark.slow

WEIGHTS = "--weights=checkpoints/AttentionCluster_best"


@pytest.fixture(scope="module")
def record_server(trained, tmp_path_factory):
    with running(WEIGHTS, "--decode-processes=1", cwd=trained, folder=tmp_path_factory.mktemp("uploads")) as server:
        yield server


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory):
    """What infer.py writes of 21 records of two files."""
    folder = tmp_path_factory.mktemp("inferred")
    run_script("infer", WEIGHTS, f"--save-dir={folder}", "--infer-topk=5", cwd=trained)
    return json.loads((folder / "AttentionCluster_infer_result.json").read_text())


def test_all_records_of_a_pickle_have_the_classes_that_infer_gives_them(record_server, trained, expected):
    found = record_server.send((trained / "data/val1.pkl").read_bytes(), "topk=5", "val1.pkl").json
    of_file = [item for item in expected if item["id"].startswith("val1_")]
    assert [item["id"] for item in found["videos"]] == [item["id"] for item in of_file]
    for item, right in zip(found["videos"], of_file, strict=True):
        assert_same_classes(item["classes"], right["classes"])
    assert found["model"] == "AttentionCluster"


def test_a_record_alone_has_its_id_and_classes_as_a_clip_has(record_server, trained, expected):
    (record, *_) = pickle.loads((trained / "data/val0.pkl").read_bytes())
    found = record_server.send(pickle.dumps(record), "topk=5").json
    assert found["id"] == "val0_0"
    assert_same_classes(found["classes"], expected[0]["classes"])


def test_a_shard_of_youtube8m_is_answered_as_its_pickle(record_server, tmp_path):
    rng = np.random.default_rng(3)
    records = [make_record(rng, f"v{number}") for number in range(20)]
    write_shard(tmp_path / "x.tfrecord", records)
    shard = record_server.send((tmp_path / "x.tfrecord").read_bytes()).json["videos"]
    assert shard == record_server.send(pickle.dumps(records)).json["videos"]
    assert len(shard) == 20


def test_an_exported_model_is_served_as_its_weights_are(trained, expected, tmp_path):
    run_script("tools/export/__main__", WEIGHTS, str(tmp_path / "out"), cwd=trained, as_given=True)
    (tmp_path / "uploads").mkdir()
    flags = (f"--export={tmp_path / 'out'}", "--decode-processes=1")
    with running(*flags, cwd=tmp_path, folder=tmp_path / "uploads") as server:
        found = server.send((trained / "data/val1.pkl").read_bytes(), "topk=5", "val1.pkl").json
    of_file = [item for item in expected if item["id"].startswith("val1_")]
    for item, right in zip(found["videos"], of_file, strict=True):
        assert_same_classes(item["classes"], right["classes"])


def test_what_a_model_on_features_does_not_take_is_told(record_server, films, trained):
    answer = record_server.send((films / "one.mp4").read_bytes(), name="one.mp4")
    assert answer.status == 415
    assert "one.mp4 is a video or its frames; AttentionCluster takes records of" in answer.json["error"]
    records = (trained / "data/val0.pkl").read_bytes()
    assert "have no frames" in record_server.send(records, "frames=1").json["error"]
    cut = record_server.send(records[:-1000], name="val0.pkl")
    assert (cut.status, "val0.pkl" in cut.json["error"]) == (422, True)
    assert record_server.uploads() == []
