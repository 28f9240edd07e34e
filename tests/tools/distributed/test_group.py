"""What the processes of a group tell one another, whatever happens to any of them."""

import traceback
from multiprocessing import Pipe

import pytest

from tests.tools.distributed.threads import together
from tools.distributed import group as group_module
from tools.distributed.group import ProcessGroup
from tools.errors import ConfigError, DataError, PeerError


@pytest.mark.parametrize("world", [1, 2, 4])
def test_values_are_gathered_in_the_order_of_ranks_and_those_of_the_first_reach_all(world):
    ranks = list(range(world))
    assert together(world, lambda group: group.gather(group.rank)) == [ranks, *[None] * (world - 1)]
    assert together(world, lambda group: group.all_gather(group.rank)) == [ranks] * world
    made = together(world, lambda group: group.broadcast(lambda: f"made by {group.rank}"))
    assert made == ["made by 0"] * world


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_an_error_of_one_reaches_all_others_in_its_own_words(rank):
    def act(group):
        if group.rank == rank:
            raise DataError("clip 7 is broken")
        for _ in range(3):
            group.all_gather(None)

    errors = together(3, act)
    assert [type(error) for error in errors] == [DataError if other == rank else PeerError for other in range(3)]
    assert {str(error) for error in errors} == {"clip 7 is broken", f"rank {rank} of 3: clip 7 is broken"}


def test_an_error_that_is_not_for_users_is_named_with_its_type():
    errors = together(2, lambda group: [][group.rank] if group.rank else group.gather(0))
    assert str(errors[0]) == "rank 1 of 2: IndexError: list index out of range"


def test_a_process_that_ends_without_a_word_is_named():
    mine, other = Pipe()
    other.close()
    for act in (lambda group: group.gather(0), lambda group: group.broadcast(lambda: 0)):
        with pytest.raises(PeerError, match="rank 1 of 2 exited unexpectedly"):
            act(ProcessGroup(0, 2, {1: mine}))


def test_processes_that_do_not_have_the_same_are_named_with_what_differs():
    errors = together(3, lambda group: group.require_same(config="same", data=group.rank == 2))
    assert "rank 2 of 3 and rank 0 do not have the same data" in str(errors[0])
    assert all(isinstance(error, ConfigError | PeerError) for error in errors)


@pytest.mark.parametrize("talk", [lambda group: group.gather("x" * 100), lambda group: group.all_gather(0)])
def test_no_error_of_a_lost_process_holds_a_view_of_a_buffer(talk):
    """In a reference cycle such a view ends Python 3.12.1 by SIGSEGV, and makes 3.13.0 report a BufferError."""
    mine, other = Pipe()
    group = ProcessGroup(1, 2, {0: mine})
    other.close()
    with pytest.raises(PeerError, match="rank 0 of 2 exited unexpectedly") as caught:
        talk(group)
    error, frames = caught.value, []
    while error:
        frames += [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        error = error.__context__
    views = [value for frame in frames for value in frame.f_locals.values() if isinstance(value, memoryview)]
    assert len(frames) > 4
    assert all(type(view.obj) is bytes for view in views)


@pytest.mark.parametrize(("device", "here", "overlaps"), [("cpu", 1, True), ("cpu", 2, False), ("gpu", 1, False)])
def test_gradients_travel_during_backward_between_machines_without_gpus(device, here, overlaps, monkeypatch):
    for name, value in (("PADDLE_TRAINERS_NUM", 2), ("PADDLE_TRAINER_ID", 0), ("PADDLE_LOCAL_SIZE", here)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(group_module.rendezvous, "address_of_first", lambda: ("10.0.0.1", 6170))
    monkeypatch.setattr(group_module.rendezvous, "await_others", lambda *_: {})
    monkeypatch.setattr(group_module, "take_key", lambda: b"")
    monkeypatch.setattr(group_module, "connect_paddle", lambda *_: None)
    assert group_module.connect(device).exchange_of([]).overlaps == overlaps
