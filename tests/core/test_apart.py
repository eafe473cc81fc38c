"""One that fails keeps no other waiting, and is heard of in the end."""

import asyncpg
import pytest

from core.apart import Apart


def _round(*failures: Exception | None) -> list[int]:
    """What was reached of a round in which each does what `failures` says."""
    reached: list[int] = []
    apart = Apart("round.failed")
    try:
        for place, failure in enumerate(failures):
            with apart.one(place=str(place)):
                reached.append(place)
                if failure is not None:
                    raise failure
        apart.end()
    except (ValueError, KeyError, asyncpg.CannotConnectNowError):
        reached.append(-1)
    return reached


def test_what_fails_keeps_no_other_waiting_and_is_raised_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert _round(None, ValueError("bad"), KeyError("worse"), None) == [0, 1, 2, 3, -1]
    assert capsys.readouterr().out.count("round.failed") == 2


def test_a_round_without_failures_ends_in_silence() -> None:
    assert _round(None, None) == [0, 1]


def test_a_database_that_is_away_ends_the_round() -> None:
    assert _round(asyncpg.CannotConnectNowError("starting up"), None) == [0, -1]
