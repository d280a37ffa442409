"""One comparison at a time for each visitor, and so much in an hour."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from adapters.decoding.visitors import DISK, SHARED, TOKENS, UPLOADS, XRAYS, Allowance, OneEach, Visitor
from adapters.methods import UserError

ME, YOU = Visitor("me", "1.2.3.0/24", True), Visitor("you", "1.2.3.0/24", True)


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


def nobody() -> None:
    return None


def use(allowance: Allowance, amount: int, visitor: Visitor = ME, what: str = TOKENS) -> None:
    with allowance.spend(what, amount, visitor):
        pass


def test_a_visitor_may_use_an_hours_worth_and_is_told_when_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    allowance, now = Allowance({TOKENS: 100}, nobody), time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    use(allowance, 60)
    now += 48 * 60
    use(allowance, 40)
    with pytest.raises(UserError, match="You have used 100 of 100 tokens of this hour, and this takes 1: again in 12"):
        use(allowance, 1)
    now += 12 * 60 + 1
    use(allowance, 100)


def test_what_never_fits_is_told_so() -> None:
    with pytest.raises(UserError, match="This takes 1,001 tokens, and 1,000 are allowed in an hour: ask for less"):
        use(Allowance({TOKENS: 1000}, nobody), 1001)


def test_what_is_refused_for_another_reason_is_given_back() -> None:
    allowance = Allowance({TOKENS: 100, UPLOADS: 1}, nobody)
    with pytest.raises(UserError, match="bad"), allowance.spend(TOKENS, 100, ME):
        raise UserError("bad")
    use(allowance, 100)
    with suppress(ZeroDivisionError), allowance.spend(UPLOADS, 1, ME):
        raise ZeroDivisionError  # a fault of ours: what was asked for may have been done
    with pytest.raises(UserError, match="1 of 1 uploads"):
        use(allowance, 1, what=UPLOADS)


def test_each_kind_and_each_visitor_counts_alone() -> None:
    allowance = Allowance({TOKENS: 10, UPLOADS: 1}, nobody)
    use(allowance, 10)
    use(allowance, 1, what=UPLOADS)
    use(allowance, 10, YOU)
    with pytest.raises(UserError, match="1 of 1 uploads"):
        use(allowance, 1, what=UPLOADS)


def test_new_cookies_do_not_help_for_ever() -> None:
    allowance = Allowance({TOKENS: 10}, nobody)
    for number in range(SHARED):
        use(allowance, 10, Visitor(str(number), "1.2.3.0/24", True))
    with pytest.raises(UserError, match="Everybody in your network together has used 300 of 300 tokens"):
        use(allowance, 1, Visitor("new", "1.2.3.0/24", True))
    use(allowance, 10, Visitor("new", "1.2.4.0/24", True))


def test_without_a_limit_or_a_visitor_everything_may_be_used() -> None:
    for allowance in (Allowance({}, nobody), Allowance({TOKENS: 0}, nobody)):
        use(allowance, 10**9)
    with Allowance({TOKENS: 1}, nobody).spend(TOKENS, 10**9):
        pass


def test_many_at_once_get_no_more_than_one_after_the_other() -> None:
    allowance = Allowance({TOKENS: 100}, nobody)

    def took(_: int) -> bool:
        try:
            use(allowance, 7)
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(took, range(200))) == 14


def test_whoever_asks_is_counted() -> None:
    allowance = Allowance({XRAYS: 1}, lambda: ME)
    with allowance.spend(XRAYS):
        pass
    with pytest.raises(UserError, match="You have used 1 of 1 X-rays"), allowance.spend(XRAYS):
        pass
    with pytest.raises(UserError, match="Without a cookie: your address has used 1 of 1 X-rays"):
        use(allowance, 1, ME._replace(cookie=False), XRAYS)


def test_bytes_are_counted_and_megabytes_told() -> None:
    allowance = Allowance({DISK: 2_000_000}, nobody)
    use(allowance, 1_234_567, what=DISK)
    with pytest.raises(UserError, match="You have used 1.23 of 2 MB of this hour, and this takes 0.9: again in 60 min"):
        use(allowance, 900_000, what=DISK)
