"""The long run, in short: that it runs, and that it would tell growth."""

import pytest

from scripts.soak import Look, growth, main


def look(number: int, **changes: float) -> Look:
    return Look(at_s=5.0 * number, **({"rss_mb": 100.0, "threads": 9, "files": 20} | changes))  # type: ignore[arg-type]


def test_what_stays_the_same_has_not_grown() -> None:
    assert growth([look(n, rss_mb=100 + n % 3) for n in range(40)]) == []
    assert growth([look(n, rss_mb=60.0 if n < 8 else 100.0) for n in range(40)]) == [], "it may warm up"


@pytest.mark.parametrize(
    ("name", "rate", "told"),
    [
        ("rss_mb", 0.5, "memory grew from 107.0 to 117.2 MB"),
        ("threads", 0.1, "threads grew from 1 to 3"),
        ("files", 1, "files grew from 19 to 39"),
    ],
)
def test_what_grows_is_told(name: str, rate: float, told: str) -> None:
    base = 100 if name == "rss_mb" else 0
    looks = [look(n, **{name: (base + rate * n) if name == "rss_mb" else int(rate * n)}) for n in range(40)]
    assert growth(looks)[0].split()[0] == told.split()[0]


@pytest.mark.long
def test_a_few_seconds_run_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--minutes", "0.1", "--every-s", "0.25", "--allowed-mb", "15"]) == 0, "it still warms up"
    assert capsys.readouterr().out.rstrip().endswith("nothing grew")
