import pytest

from edge.intervals import wilson_interval


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0)), (950, 1000, (0.9347, 0.9619))],
)
def test_the_interval_is_wilsons(hits: int, count: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(hits, count) == pytest.approx(expected, abs=2e-4)


def test_nothing_seen_tells_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
