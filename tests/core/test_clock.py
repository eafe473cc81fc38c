"""One source of now, that travels only when told."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from core import clock

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.follow(None)


def _shown(offset: timedelta) -> bool:
    return abs(clock.now() - datetime.now(UTC) - offset) < SECOND


def test_now_is_aware_real_and_utc() -> None:
    assert clock.is_real()
    assert clock.now().tzinfo is UTC
    assert _shown(timedelta())
    assert abs(clock.timestamp() - time.time()) < 1


def test_travel_moves_everything_but_durations() -> None:
    before = clock.monotonic()
    clock.travel(timedelta(days=3))
    assert not clock.is_real()
    assert _shown(timedelta(days=3))
    assert abs(clock.timestamp() - time.time() - 3 * 86400) < 1
    assert 0 <= clock.monotonic() - before < 1
    clock.travel(timedelta())
    assert clock.is_real()


def test_to_real_says_when_the_travelled_clock_will_show_a_moment() -> None:
    clock.travel(timedelta(hours=2))
    moment = clock.now() + timedelta(minutes=5)
    assert abs(clock.to_real(moment) - datetime.now(UTC) - timedelta(minutes=5)) < SECOND


def test_a_followed_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock.follow(file)
    assert not clock.is_real()
    assert _shown(timedelta()), "a missing file means no offset"
    file.write_text("3600")
    assert _shown(timedelta(hours=1))
    file.write_text("-60.5\n")
    assert _shown(timedelta(seconds=-60.5))
    file.write_text("12x")
    assert _shown(timedelta(seconds=-60.5)), "half-written: the last offset stays"
    file.write_text("")
    assert _shown(timedelta())
    file.write_text("7200")
    assert _shown(timedelta(hours=2))
    file.unlink()
    assert _shown(timedelta())


def test_a_change_of_the_same_length_is_seen_by_its_time(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_text("100")
    clock.follow(file)
    assert _shown(timedelta(seconds=100))
    file.write_text("200")
    os.utime(file, ns=(1, 1))
    assert _shown(timedelta(seconds=200))


def test_no_longer_following_is_real_again(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("3600")
    clock.follow(tmp_path / "clock")
    assert _shown(timedelta(hours=1))
    clock.follow(None)
    assert clock.is_real()
    assert _shown(timedelta())


def test_today_is_the_day_in_ezhou() -> None:
    almost_midnight = datetime(2026, 11, 23, 15, 59, 30, tzinfo=UTC)
    clock.travel(almost_midnight - datetime.now(UTC))
    assert clock.today() == date(2026, 11, 23)
    clock.travel(almost_midnight + timedelta(minutes=1) - datetime.now(UTC))
    assert clock.today() == date(2026, 11, 24)
