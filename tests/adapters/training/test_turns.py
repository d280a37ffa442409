"""Whose training is next: by hand, with arrivals and lengths in seconds."""

from collections.abc import Callable, Sequence

import pytest

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.job_folder import History, Job, in_turn
from adapters.training.order import Times, TrainOrder, TrainSettings

ORDER = TrainOrder("name", TrainSettings(LoraSettings()), "poetry")
QUICK, NORMAL = 70.0, 600.0


def turns(asked: Sequence[tuple[float, str, float]], states: dict[int, str] | None = None) -> list[int]:
    """Numbers of jobs (asked at, visitor, expected seconds) in the order of their turn."""
    ids = [f"{int(at * 1e9):020d}-{number:08x}" for number, (at, _, _) in enumerate(asked)]
    jobs = {
        id: Job(ORDER, "base", owner, times=Times(0, takes, 0))
        for id, (_, owner, takes) in zip(ids, asked, strict=True)
    }
    histories = {id: History(state=(states or {}).get(number, "waiting")) for number, id in enumerate(ids)}  # type: ignore[arg-type]
    return [ids.index(id) for id in in_turn(histories, jobs.__getitem__)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([(0, "a", QUICK), (1, "b", QUICK)], [0, 1]),
        ([(0, "a", NORMAL), (10, "b", QUICK)], [1, 0]),  # would be done at 80, not at 600
        ([(0, "a", NORMAL), (560, "b", QUICK)], [0, 1]),  # a long one is not overtaken for ever
        ([(0, "a", QUICK), (1, "a", QUICK), (2, "a", QUICK), (3, "b", QUICK)], [0, 3, 1, 2]),
        ([(0, "a", QUICK), (1, "a", QUICK), (65, "b", QUICK), (80, "c", QUICK)], [0, 2, 1, 3]),
    ],
)
def test_short_ones_and_first_ones_go_first(asked: list[tuple[float, str, float]], expected: list[int]) -> None:
    assert turns(asked) == expected


def test_what_has_begun_is_not_overtaken_and_what_has_ended_has_no_turn() -> None:
    asked = [(0.0, "a", QUICK), (1.0, "b", NORMAL), (2.0, "c", QUICK)]
    assert turns(asked, {0: "done", 1: "running"}) == [1, 2]


def test_an_order_that_cannot_be_read_is_taken_at_once_and_fails_then() -> None:
    def read(id: str) -> Job:
        raise UserError("damaged")

    reader: Callable[[str], Job] = read
    assert in_turn({f"{0:020d}-{0:08x}": History()}, reader) == [f"{0:020d}-{0:08x}"]
