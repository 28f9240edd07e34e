"""What does not fit a network, is missing or is ignored is named; nothing is loaded unless everything fits."""

import pickle

import numpy as np
import paddle
import pytest

from tests.tools.expected_errors import error_of
from tests.tools.small_networks import Network
from tests.tools.weights.golden_networks import in_memory, training_state, write_weights
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import load_weights
from tools.weights.fluid_files import write_file, write_folder
from tools.weights.loading import load_into_network, own_file

pytestmark = pytest.mark.usefixtures("no_sync")


def fill_from(arrays, network, tmp_path, **options):
    """Through a folder of variables."""
    write_folder(tmp_path / "weights", arrays)
    return load_into_network(network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"), **options)


def test_every_shape_that_differs_and_every_variable_that_is_missing_or_unknown_is_named(nextvlad, tmp_path):
    network, arrays = nextvlad
    for name in sorted(arrays):
        changed = in_memory(arrays | {name: np.zeros((3, 5, 7), np.float32)})
        message = error_of(load_into_network, network, changed)
        assert f"1 mismatched ({name} [3, 5, 7] for {list(arrays[name].shape)})" in message
        rest = in_memory({key: value for key, value in arrays.items() if key != name})
        assert f"1 missing ({name})" in error_of(load_into_network, network, rest)
    message = error_of(fill_from, arrays | {"extra": np.zeros(2, np.float32)}, network, tmp_path)
    assert message.endswith("41 matched, 0 missing, 1 unexpected (extra), 0 mismatched")


def test_nothing_is_filled_unless_everything_fits(nextvlad, tmp_path):
    network, arrays = nextvlad
    before = network_arrays(network)
    changed = {name: value + 1 for name, value in arrays.items()} | {"batch_norm_5.w_2": np.zeros(1, np.float32)}
    error_of(fill_from, changed, network, tmp_path)
    for name, value in network_arrays(network).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_variable_that_no_longer_looks_like_one_is_pointed_at(nextvlad, tmp_path):
    network, arrays = nextvlad
    write_folder(tmp_path / "weights", arrays)
    (tmp_path / "weights" / "logits_clf_bias").write_bytes(b"junk")
    message = error_of(load_into_network, network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"))
    assert "1 missing (logits_clf_bias: the file is there, but does not begin as a variable)" in message


def test_a_variable_of_another_type_is_refused(nextvlad, tmp_path):
    network, arrays = nextvlad
    message = error_of(fill_from, arrays | {"logits_clf_bias": np.zeros(17, np.int32)}, network, tmp_path)
    assert message.endswith("logits_clf_bias holds int32, expected float32")


def test_the_optimizer_s_variables_and_foreign_files_are_named_and_left_aside(nextvlad, tmp_path):
    network, arrays = nextvlad
    state = training_state(network, arrays)
    write_folder(tmp_path / "weights", arrays | state)
    (tmp_path / "weights" / "README").write_text("hello")
    match = load_into_network(network, load_weights(str(tmp_path / "weights"), "NEXTVLAD"))
    assert match.lines() == [
        "41 matched, 0 missing, 0 unexpected, 0 mismatched",
        "ignored: 118 variables of an optimizer (@LR_DECAY_COUNTER@, beta1_pow_acc 29, beta2_pow_acc 29, "
        "moment1 29, moment2 29, learning_rate)",
        "ignored, not variables: README",
    ]


def test_a_single_file_with_the_optimizer_s_variables_is_told_by_their_number(nextvlad, tmp_path):
    network, arrays = nextvlad
    write_file(tmp_path / "file", arrays | training_state(network, arrays))
    match = load_into_network(network, load_weights(str(tmp_path / "file"), "NEXTVLAD"))
    assert len(match.matched) == 41
    assert match.notes[0].startswith("ignored: 118 variables of an optimizer")
    del arrays["logits_clf_bias"]
    write_file(tmp_path / "short", arrays)
    message = error_of(load_into_network, network, load_weights(str(tmp_path / "short"), "NEXTVLAD"))
    assert "holds 40 variables; of this network a single file holds 41 (weights) or 158 (and those of Adam)" in message


def test_the_weights_of_another_model_are_refused_in_a_line(nextvlad):
    network, _ = nextvlad
    other = {f"fc_{i}.w_0": np.zeros((2, 2), np.float32) for i in range(20)}
    message = error_of(load_into_network, network, in_memory(other))
    assert message.startswith("w: no weight fits this network: 0 matched, 41 missing (")
    assert "and 33 more), 20 unexpected (fc_0.w_0, " in message
    assert len(message) < 1000


def test_the_whitening_factors_of_2020_are_taken_and_compared(nextvlad, tmp_path):
    network, arrays = nextvlad
    before = network.whitening.numpy()
    try:
        match = fill_from(arrays | {"eigen_param": before}, network, tmp_path)
        assert match.notes == ["eigen_param taken as whitening: as in the config"]
        factors = before * np.float32(2)
        path = write_weights("pdparams", tmp_path / "x.pdparams", arrays | {"eigen_param": factors})
        file = load_weights(path, "NEXTVLAD")
        match = load_into_network(network, file, fine_tune=True)
        assert match.notes == ["eigen_param ignored in favour of the config's whitening: up to 0.5 of the largest away "
                               "from the config's"]  # fmt: skip
        np.testing.assert_array_equal(network.whitening.numpy(), before)
        load_into_network(network, file)
        np.testing.assert_array_equal(network.whitening.numpy(), factors)
    finally:
        network.whitening.set_value(before)
    wrong = arrays | {"eigen_param": np.ones(3, np.float32)}
    assert "1 unexpected (eigen_param)" in error_of(load_into_network, network, load_weights(
        write_weights("pdparams", tmp_path / "y.pdparams", wrong), "NEXTVLAD"))  # fmt: skip


def test_what_paddle_saves_itself_is_read(tmp_path):
    network = Network()
    paddle.save(network.state_dict(), str(tmp_path / "x.pdparams"))
    match = load_into_network(Network(), load_weights(str(tmp_path / "x.pdparams"), "TSN"))
    assert str(match) == "4 matched, 0 missing, 0 unexpected, 0 mismatched"


def test_weights_that_do_not_fit_are_named_with_both_shapes():
    weights = network_arrays(Network(7))
    del weights["first.bias"]
    weights["extra"] = np.zeros(1)
    message = error_of(load_into_network, Network(4), own_file("w", weights))
    assert message == (
        "w does not fit this network: 1 matched, 1 missing (first.bias), 1 unexpected (extra), "
        "2 mismatched (last.weight [5, 7] for [5, 4], last.bias [7] for [4])"
    )


def test_no_match_at_all_is_an_error():
    assert "no weight fits this network" in error_of(load_into_network, Network(), own_file("w", {"a": np.zeros(1)}))


def test_another_number_of_classes_skips_the_classifier_only_when_fine_tuning():
    source, target = Network(7), Network(4)
    match = load_into_network(target, own_file("w", network_arrays(source)), fine_tune=True)
    assert match.matched == ["first.weight", "first.bias"]
    assert match.notes == ["newly initialised, classifier: last.weight [5, 7] for [5, 4], last.bias [7] for [4]"]
    np.testing.assert_array_equal(target.first.weight.numpy(), source.first.weight.numpy())
    wrong = network_arrays(source) | {"first.bias": np.zeros(9, np.float32)}
    assert "first.bias [9] for [5]" in error_of(load_into_network, target, own_file("w", wrong), fine_tune=True)


def test_weights_that_are_not_finite_or_not_numbers_are_refused(tmp_path):
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"first.bias": np.array([np.nan], np.float32)}))
    assert "first.bias holds values that are not finite" in error_of(load_weights, str(path), "TSN")
    network = Network()
    whole = network_arrays(network)
    message = error_of(load_into_network, network, own_file("w", whole | {"first.bias": np.zeros(5, np.int64)}))
    assert message == "w: first.bias holds int64, expected float32"
    load_into_network(network, own_file("w", {name: value.astype(np.float64) for name, value in whole.items()}))
