"""Which packets are decoded for a few frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips.packets import Packets, plan_runs


def packets_of(text):
    """ "0k 3 1h": pictures shown at 0, 3 and 1; the first a key picture, the last never given out."""
    words = text.split()
    return make_packets([int(word.rstrip("kh")) for word in words], ["k" in word for word in words], text)


def make_packets(pts, is_key, text=""):
    hidden = ["h" in word for word in text.split()] or np.zeros(len(pts), bool)
    return Packets(np.array(pts), np.array(is_key), ~np.array(hidden))


@pytest.mark.parametrize(
    ("text", "wanted", "runs"),
    [
        ("0k 1 2 3k 4 5", {4}, [range(3, 5)]),
        ("0k 1 2 3k 4 5", {0, 5}, [range(1), range(3, 6)]),
        ("0k 3 1 2 4k 5", {2, 4}, [range(4), range(4, 5)]),
        ("0k 1 4k 2 3 5 6k", {3}, [range(5)]),  # open: 2 and 3 may refer to 1
        ("0k 1 4k 2 3 5 6k", {0, 4, 3, 5}, [range(6)]),
        ("0k 1 4k 2 3 5 6k", {5, 6}, [range(2, 6), range(6, 7)]),
        ("0k 2k 1 4k 3", {1, 2, 3, 4}, [range(5)]),  # every group needs the one before
        ("0k 1h 1 2", {1}, [range(3)]),
        ("0k 1 2", set(), []),
    ],
)
def test_runs_begin_with_a_key_packet_and_end_with_a_wanted_one(text, wanted, runs):
    assert plan_runs(packets_of(text), np.array(sorted(wanted), int)) == runs


@given(st.data())
def test_runs_cover_every_wanted_packet_and_do_not_overlap(data):
    num_packets = data.draw(st.integers(1, 30))
    order = data.draw(st.permutations(range(num_packets)))
    keys = {0} | data.draw(st.sets(st.integers(0, num_packets - 1)))
    packets = make_packets(order, [i in keys for i in range(num_packets)])
    wanted = data.draw(st.sets(st.integers(0, num_packets - 1)))
    runs = plan_runs(packets, np.array(sorted(wanted), int))
    covered = [i for run in runs for i in run]
    assert covered == sorted(set(covered))
    assert wanted <= {order[i] for i in covered}
    assert all(packets.is_key[run.start] and order[run.stop - 1] in wanted for run in runs)
