"""What is no file of weights is called what it is, by its content, and what would work is said."""

import gzip
import pickle
import zipfile

import numpy as np
import pytest

from tests.tools.expected_errors import error_of
from tests.tools.files.test_recognise import CONTENTS
from tests.tools.weights.golden_networks import write_weights
from tests.tools.weights.run_command import run_tool
from tools.files.recognise import FileKind
from tools.training.checkpoint import load_checkpoint
from tools.weights.files import load_weights, recognise
from tools.weights.fluid_files import write_file
from tools.weights.resolve import find_weights

pytestmark = pytest.mark.usefixtures("no_sync")
K = FileKind
OF_ANOTHER_FRAMEWORK = "a dict of NumPy arrays by this model's names, written by paddle.save, is a .pdparams"
FETCH_AGAIN = "fetch it again"
OF_PYTORCH = "--pretrain of TSN and STNET takes a ResNet that torch.save wrote as a state_dict(), or a .safetensors"
ADVICE = {
    K.TORCHSCRIPT: f"torch.save of its state_dict() writes the weights alone; {OF_PYTORCH}",
    K.NPY: OF_ANOTHER_FRAMEWORK,
    K.NPZ: OF_ANOTHER_FRAMEWORK,
    K.HDF5: OF_ANOTHER_FRAMEWORK,
    K.KERAS: OF_ANOTHER_FRAMEWORK,
    K.ONNX: OF_ANOTHER_FRAMEWORK,
    K.CAFFE: OF_ANOTHER_FRAMEWORK,
    K.TF_CHECKPOINT: OF_ANOTHER_FRAMEWORK,
    K.TF_GRAPH: OF_ANOTHER_FRAMEWORK,
    K.PADDLE_PROGRAM: "give the weights that it was exported from",
    K.TAR: "unpack it and give the folder in it",
    K.TAR_GZIP: "unpack it and give the folder in it",
    K.ZIP: "unpack it and give the folder in it",
    K.GZIP: "unpack it and give the file in it",
    K.ZSTD: "unpack it and give the file in it",
    K.EMPTY: FETCH_AGAIN,
    K.ZEROS: FETCH_AGAIN,
    K.HTML: FETCH_AGAIN,
    K.XML: FETCH_AGAIN,
    K.LFS_POINTER: "git lfs pull fetches the file itself",
    K.ANNEX_POINTER: "git annex get fetches the file itself",
    K.MP4: "variables of 2019 in a folder or in a single file",
    K.TEXT: "variables of 2019 in a folder or in a single file",
}


def message_for(path):
    return error_of(load_weights, str(path), "TSN").removeprefix(str(path))


def test_each_kind_of_file_is_named_with_what_would_work(tmp_path):
    path = tmp_path / "w.pdparams"
    for kind, contents in CONTENTS.items():
        for content in contents:
            path.write_bytes(content)
            if kind not in (K.PICKLE, K.FLUID, K.TORCH, K.SAFETENSORS):
                message = message_for(path)
                assert message.startswith(f" is no file of weights, but {kind}")
                assert message.endswith(ADVICE.get(kind, "")), kind
                assert "\n" not in message


def test_flags_and_programs_say_it_in_the_same_words(tmp_path, monkeypatch, capsys):
    (tmp_path / "tsn.pth").write_bytes(CONTENTS[K.ONNX][0])
    text = message_for(tmp_path / "tsn.pth")
    assert "but an ONNX model; weights are" in text
    for call in (
        lambda: find_weights(f"{tmp_path}/tsn.pth", "TSN", weights_dir=None, offline=True),  # test.py, infer.py
        lambda: run_tool(monkeypatch, capsys, "show", tmp_path / "tsn.pth"),
        lambda: run_tool(
            monkeypatch, capsys, "convert", tmp_path / "tsn.pth", tmp_path / "out", "--model-name=TSN", "--to=fluid"
        ),
        lambda: recognise(str(tmp_path / "tsn.pth"), "TSN"),  # train.py --resume
    ):
        assert error_of(call) == f"{tmp_path}/tsn.pth{text}"


def test_a_packed_file_says_what_is_in_it(tmp_path):
    (tmp_path / "w").write_bytes(gzip.compress(pickle.dumps({"a": np.zeros(300, np.float32)}, protocol=2)))
    assert message_for(tmp_path / "w") == (
        " is no file of weights, but a gzip file, in it a pickle; unpack it and give the file in it"
    )


def test_pickles_of_more_than_arrays_are_not_obeyed_and_say_what_is_expected(tmp_path):
    class Tensor:
        def __reduce__(self):
            return (write_weights, ("pdparams", tmp_path / "ran", {}))

    for content in ({"a": Tensor()}, {"epoch": 3, "state_dict": {}}, ["a"]):
        (tmp_path / "w").write_bytes(pickle.dumps(content, protocol=2))
        assert message_for(tmp_path / "w").endswith("as paddle.save writes one of network.state_dict()")
    assert not (tmp_path / "ran").exists()


def test_pickles_of_protocols_0_and_1_are_read(tmp_path):
    for protocol in (0, 1):
        (tmp_path / "w").write_bytes(pickle.dumps({"a": np.arange(3, dtype=np.float32)}, protocol))
        np.testing.assert_array_equal(load_weights(str(tmp_path / "w"), None).arrays["a"], [0, 1, 2])


def test_weights_of_an_exported_program_have_no_names_and_are_not_taken_for_a_file_of_2019(tmp_path):
    (program,) = (content for content in CONTENTS[K.PADDLE_PROGRAM] if content.startswith(b"{"))
    write_file(tmp_path / "a.pdiparams", {"x": np.ones(3, np.float32)})
    write_file(tmp_path / "b", {"x": np.ones(3, np.float32)})
    assert recognise(str(tmp_path / "b")) == "single file of Fluid variables"
    (tmp_path / "b.json").write_bytes(program)
    for path in (tmp_path / "a.pdiparams", tmp_path / "b"):
        assert message_for(path).startswith(" is the weights of an exported program of Paddle's inference engine")
    assert error_of(load_weights, str(tmp_path), "TSN").startswith(f"{tmp_path}/")
    (tmp_path / "a.pdparams").write_bytes(b"\x80\x02}.")
    assert message_for(tmp_path / "a.pdiparams").endswith(f"; give {tmp_path}/a.pdparams")
    (tmp_path / "a.pdparams").unlink()
    (tmp_path / "model.json").write_text("{}")
    assert message_for(tmp_path / "a.pdiparams").endswith(f"infer.py and tools.serve take --export={tmp_path}")


def test_what_lies_beside_a_file_is_what_to_give(tmp_path):
    for name in ("model.pdparams", "state.json", "optimizer.pdopt"):
        (tmp_path / name).write_bytes(pickle.dumps({"steps": 3}) if name.endswith("pdopt") else b"{}")
    assert message_for(tmp_path / "state.json").endswith(f"but a JSON text; give the checkpoint folder {tmp_path}")
    text = f" holds an optimizer's state, not weights; give the checkpoint folder {tmp_path}"
    assert message_for(tmp_path / "optimizer.pdopt") == text


def test_a_path_without_its_suffix_names_what_there_is(tmp_path):
    (tmp_path / "model.ckpt.index").write_bytes(CONTENTS[K.TF_CHECKPOINT][0])
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(np.linspace(0.1, 1, 20, dtype=np.float32).tobytes())
    assert "a TensorFlow checkpoint" in message_for(tmp_path / "model.ckpt.data-00000-of-00001")
    assert message_for(tmp_path / "model.ckpt").startswith(
        " does not exist, but model.ckpt.data-00000-of-00001 (a TensorFlow checkpoint), "
        "model.ckpt.index (a TensorFlow checkpoint); weights are"
    )
    (tmp_path / "TSN.pdparams").write_bytes(b"")
    assert message_for(tmp_path / "TSN") == f" does not exist; give {tmp_path}/TSN.pdparams"
    assert message_for(tmp_path / "none") == " does not exist; give a checkpoint folder such as TSN_epoch0"


def test_a_folder_without_weights_says_what_its_files_are(tmp_path):
    with zipfile.ZipFile(tmp_path / "tsn.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    (tmp_path / "log.txt").write_text("x")
    assert message_for(tmp_path).endswith(f"; name the weights in it: tsn.pth ({OF_PYTORCH})")
    (tmp_path / "tsn.pth").write_bytes(CONTENTS[K.ONNX][0])
    assert message_for(tmp_path).endswith("; it holds log.txt, tsn.pth (an ONNX model)")
    (tmp_path / "TSN.pdparams").write_bytes(b"")
    assert message_for(tmp_path).endswith("name the weights in it: TSN.pdparams")


def test_resume_of_weights_alone_names_pretrain(tmp_path):
    path = tmp_path / "w.pdparams"
    path.write_bytes(b"\x80\x02}.")
    message = error_of(load_checkpoint, path, "TSN")
    assert message.endswith("which --resume takes; --pretrain begins with weights alone")
