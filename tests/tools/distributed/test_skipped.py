"""Records that any of several processes skipped."""

from types import SimpleNamespace

from tests.tools.distributed.threads import together
from tools.distributed.group import ProcessGroup
from tools.distributed.skipped import gather_broken


def broken_set(texts, told=None):
    return SimpleNamespace(broken=texts, name="clips.list", on_broken=[].append if told is None else told.append)


def test_what_any_process_left_out_is_counted_once_and_told_by_the_first():
    told = []
    sets = [broken_set(["line 1", "line 4"], told), broken_set(["line 4", "line 6"])]
    found = together(2, lambda group: gather_broken(group, sets[group.rank], skip_broken=3))
    assert found[0] == ["line 1", "line 4", "line 6"]
    assert told == ["line 1", "line 4", "line 6"]
    errors = together(2, lambda group: gather_broken(group, sets[group.rank], skip_broken=2))
    assert "3 records of clips.list are broken, in all processes together, and --skip-broken 2" in str(errors[0])
    twice = broken_set(["a.pkl record 0"] * 2)  # a list may name a file twice
    assert gather_broken(ProcessGroup(), twice, skip_broken=2) == ["a.pkl record 0"] * 2
