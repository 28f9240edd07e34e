"""Stopping on a signal."""

import signal

import pytest

from tools.runtime.signals import StopRequest


def test_a_stop_that_another_process_heard_first_is_not_taken_for_a_second_one():
    with StopRequest() as stop:
        stop.signal = signal.SIGINT  # what Training.agree_to_stop does
        signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
