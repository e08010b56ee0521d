"""What a sweep does when it is told to end."""

import signal
import threading

import pytest

from pipeline import chores
from pipeline.management.commands import sweep


@pytest.fixture
def handlers_kept():
    """The handlers of this process are its own again afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_handler_takes_no_lock_for_a_second_signal_would_wait_for_itself(number, monkeypatch, handlers_kept):
    events, is_handling = [], []

    class Watched(threading.Event):
        def set(self):
            assert not is_handling, "the handler takes the event's lock"
            events.append(self)
            super().set()

    def handled(is_over):
        assert not is_over()
        is_handling.append(True)
        signal.getsignal(number)(number, None)
        is_handling.clear()
        assert is_over()

    monkeypatch.setattr(sweep.threading, "Event", Watched)
    monkeypatch.setattr(chores, "start", lambda over: [])
    monkeypatch.setattr(sweep, "go_by_index", lambda: None)
    monkeypatch.setattr(sweep, "sweep_for_ever", handled)
    sweep.Command().handle(once=False, parent=None)
    assert [event.is_set() for event in events] == [True], "the chores are told, too"
