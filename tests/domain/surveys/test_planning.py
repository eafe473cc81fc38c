"""The first common time is the earliest that suits everybody, whatever the windows and the crews' free times."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.surveys.planning import Slot, Window, first_common

DAY = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def slot(number: int, begin: float, end: float) -> Slot:
    return Slot(UUID(int=number), at(begin), at(end))


def test_the_first_time_in_a_window_and_in_a_slot_of_each_is_found() -> None:
    free = {"water": [slot(1, 8, 10), slot(2, 14, 16)], "power": [slot(3, 15, 17)], "gas": [slot(4, 9, 18)]}
    found = first_common([Window(at(9), at(12)), Window(at(13), at(18))], free, HOUR, DAY)
    assert found is not None
    assert (found.starts_at, found.ends_at) == (at(15), at(16))
    assert found.slots == {"water": UUID(int=2), "power": UUID(int=3), "gas": UUID(int=4)}


def test_a_company_without_a_free_time_leaves_no_time_for_anybody() -> None:
    assert first_common([Window(at(9), at(12))], {"water": [slot(1, 8, 12)], "gas": []}, HOUR, DAY) is None


def test_the_shortest_slot_that_fits_is_taken() -> None:
    found = first_common([Window(at(9), at(12))], {"water": [slot(1, 8, 18), slot(2, 9, 10)]}, HOUR, DAY)
    assert found is not None
    assert found.slots == {"water": UUID(int=2)}


quarters = st.integers(0, 60).map(lambda quarter: quarter / 4)
spans = st.lists(st.tuples(quarters, quarters).filter(lambda pair: pair[0] < pair[1]), max_size=4)


@given(windows=spans, crews=st.lists(spans, min_size=1, max_size=3), not_before=quarters)
def test_no_earlier_time_suits_everybody(
    windows: list[tuple[float, float]], crews: list[list[tuple[float, float]]], not_before: float
) -> None:
    free = {
        f"c{index}": [slot(index * 10 + number, *span) for number, span in enumerate(crew)]
        for index, crew in enumerate(crews)
    }
    found = first_common([Window(at(a), at(b)) for a, b in windows], free, HOUR, at(not_before))
    suits = [
        start / 4
        for start in range(int(not_before * 4), 61)
        if any(a <= start / 4 and start / 4 + 1 <= b for a, b in windows)
        and all(any(a <= start / 4 and start / 4 + 1 <= b for a, b in crew) for crew in crews)
    ]
    assert (None if found is None else found.starts_at) == (at(min(suits)) if suits else None)
    if found is not None:
        for company, slot_id in found.slots.items():
            chosen = next(one for one in free[company] if one.id == slot_id)
            assert chosen.starts_at <= found.starts_at
            assert found.ends_at <= chosen.ends_at
