"""Places in a drawing, by hand."""

from math import nan

import pytest

from adapters.scatter import Dot, label, scatter, ticks


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([2.9, 13.3], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]),
        ([120.0, 2_700.0], [0.0, 500.0, 1_000.0, 1_500.0, 2_000.0, 2_500.0, 3_000.0]),
        ([-1.0, 1.0], [-1.0, -0.5, 0.0, 0.5, 1.0]),
        ([0.8], [0.8, 1.0]),
        ([0.0], [0.0, 0.2]),
    ],
)
def test_ticks_are_round_and_hold_all_values(values: list[float], expected: list[float]) -> None:
    assert ticks(values) == pytest.approx(expected)


def test_labels_are_free_of_noise() -> None:
    assert [label(value) for value in (0.1 + 0.2, 1_500.0, 2.5e7)] == ["0.3", "1,500", "2.5e+07"]


def test_points_and_intervals_have_their_places() -> None:
    drawing = scatter(
        [
            Dot("1", "a", "base", (0.5, 0.0, 1.0), (10.0, 0.0, 20.0)),
            Dot("2", "b", "lora", (1.0, nan, nan), (5.0, nan, nan)),
        ]
    )
    first, second = drawing.marks
    middle = (drawing.left + drawing.right) / 2
    assert first.x_ends == (drawing.left, drawing.right)
    assert first.y_ends == (drawing.bottom, drawing.top)  # the smaller value is further down
    assert (first.x, first.y) == (middle, (drawing.top + drawing.bottom) / 2)
    assert second.x_ends == (second.x, second.x) == (drawing.right, drawing.right)
    assert second.y == pytest.approx(drawing.bottom - (drawing.bottom - drawing.top) / 4, abs=0.1)
