"""One comparison at a time for each visitor."""

import threading

import pytest

from adapters.decoding.visitors import OneEach
from adapters.methods import UserError


def test_a_visitor_has_one_at_a_time_and_others_do_not_wait() -> None:
    each = OneEach()
    with each.hold("mine"), each.hold("yours"):
        with pytest.raises(UserError, match="another tab"), each.hold("mine", patience=0.01):
            pass
        with each.hold("theirs"):
            pass
    with each.hold("mine", patience=0):
        pass


def test_one_that_is_just_ending_is_waited_for() -> None:
    each, done = OneEach(), threading.Event()

    def first() -> None:
        with each.hold("mine"):
            done.wait()

    thread = threading.Thread(target=first)
    thread.start()
    threading.Timer(0.05, done.set).start()
    with each.hold("mine", patience=5):
        assert done.is_set()
    thread.join()


def test_who_cannot_be_told_apart_is_not_held_up() -> None:
    each = OneEach()
    with each.hold(None), each.hold(None, patience=0):
        pass
