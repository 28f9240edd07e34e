"""The names of Kinetics-400's classes that ship with the project."""

import hashlib

from datareader.class_names import load_class_names
from tools.weights.released_names import KINETICS_NAMES

SUM = "e9f2806fe9109b851a80a74841244f6f8c9d10917fa0229cd82bab67f2f8e28f"
KNOWN = {
    0: "abseiling",
    1: "air drumming",
    99: "dribbling basketball",
    161: "hurling (sport)",
    196: "massaging person's head",
    208: "passing American football (in game)",
    209: "passing American football (not in game)",
    308: "skiing (not slalom or crosscountry)",
    369: "tying knot (not on a tie)",
    399: "zumba",
}


def test_kinetics_400_has_400_names_in_alphabetical_order():
    names = load_class_names(str(KINETICS_NAMES), 400)
    assert len(set(names)) == 400
    assert names == sorted(names)
    assert {class_id: names[class_id] for class_id in KNOWN} == KNOWN


def test_not_a_byte_of_the_names_has_changed():
    assert hashlib.sha256(KINETICS_NAMES.read_bytes()).hexdigest() == SUM
