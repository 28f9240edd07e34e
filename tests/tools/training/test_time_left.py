"""How long a run is said to take."""

import pytest

from tools.training.time_left import TimeLeft, describe_left


def test_nothing_is_said_before_the_first_step():
    assert describe_left(TimeLeft(10, 3, 1).estimate(0, 0)) == []


def test_steps_checkpoints_and_validations_to_come_are_counted_as_on_average():
    left = TimeLeft(steps_per_epoch=10, epochs=3, valid_interval=1)
    left.add("step", 1.0)
    left.add("step", 3.0)
    assert left.estimate(0, 2) == pytest.approx(28 * 2)  # of 30 steps two are done
    left.add("save", 5.0)
    left.add("validation", 30.0)
    assert left.estimate(1, 0) == pytest.approx(20 * 2 + 2 * 5 + 2 * 30)
    assert left.estimate(2, 9) == pytest.approx(2 + 5 + 30)
    assert left.estimate(3, 0) == 0
    assert describe_left(left.estimate(1, 0)) == ["01:50 left"]
    assert describe_left(3 * 3600.0) == ["3:00:00 left"]


@pytest.mark.parametrize(("interval", "validations"), [(0, 0), (1, 4), (2, 2), (3, 2), (7, 0)])
def test_only_validations_that_are_due_are_counted(interval, validations):
    left = TimeLeft(1, 6, interval)
    left.add("step", 0.0)
    left.add("validation", 1.0)
    assert left.estimate(2, 0) == validations  # epochs 2 to 5 are to come, and are scored after 2, 3, 4, 5 or fewer
