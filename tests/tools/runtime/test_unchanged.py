"""What is made of weights is made once for as long as they are unchanged, and no longer."""

import pytest

from tools.runtime.unchanged import are_unchanged, make_once, unchanged_weights


def test_things_are_made_once_in_all_stretches_of_the_same_weights():
    first, second = {}, {}
    for made in (first, first, second, first):
        with unchanged_weights(made):
            assert are_unchanged()
            found = make_once("a", object)
            assert make_once("a", object) is found
            assert make_once("b", object) is not found
        assert made["a"] is found
    assert first["a"] is not second["a"]


def test_outside_of_them_everything_is_made_anew():
    assert not are_unchanged()
    assert make_once("a", object) is not make_once("a", object)
    with pytest.raises(KeyError), unchanged_weights({}):
        raise KeyError
    assert not are_unchanged()
