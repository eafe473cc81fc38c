"""A daily file is taken whole or not at all: whatever is lost, doubled, altered or moved in it, the trailer tells."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.strict_json import JsonRefused
from gateways.company_answers import read_bill_file
from gateways.company_types import ContentWrong

DAY = date(2026, 11, 22)
amounts = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)), min_size=1, max_size=12)


def line(number: int, principal_fen: int, late_fee_fen: int) -> dict[str, Any]:
    return {
        "account_number": f"02030{number:05}", "bill_no": f"W{number}", "period": "2026-10", "issued_on": "2026-11-01", "due_on": "2026-11-30",
        "status": "open", "principal_fen": principal_fen, "late_fee_fen": late_fee_fen, "payable_fen": principal_fen + late_fee_fen,
        "lines": [{"name": "水费", "amount_fen": principal_fen}],
    }  # fmt: skip


def lines_of(fens: list[tuple[int, int]], **trailer: Any) -> list[bytes]:
    found = [line(number, *fen) for number, fen in enumerate(fens)]
    total = sum(one["payable_fen"] for one in found)
    end = {"trailer": {"date": str(DAY), "count": len(found), "payable_fen": total} | trailer}
    return [json.dumps(one).encode() for one in [*found, end]]


def file(lines: list[bytes]) -> bytes:
    return b"".join(one + b"\n" for one in lines)


@given(amounts)
def test_a_file_that_adds_up_is_read_whole(fens: list[tuple[int, int]]) -> None:
    found = read_bill_file(file(lines_of(fens)), DAY)
    assert [bill.payable_fen for bill in found.bills] == [sum(fen) for fen in fens]
    assert found.payable_fen == sum(map(sum, fens))


@given(amounts, st.data())
def test_a_line_lost_doubled_or_moved_behind_the_end_is_refused(
    fens: list[tuple[int, int]], data: st.DataObject
) -> None:
    lines = lines_of(fens)
    place = data.draw(st.integers(0, len(fens) - 1))
    for spoiled in (
        lines[:place] + lines[place + 1 :],
        [*lines[: place + 1], *lines[place:]],
        [*lines[:place], *lines[place + 1 :], lines[place]],
        lines[:-1],
    ):
        with pytest.raises((ContentWrong, JsonRefused)):
            read_bill_file(file(spoiled), DAY)


@given(amounts, st.data())
def test_a_file_cut_anywhere_is_refused(fens: list[tuple[int, int]], data: st.DataObject) -> None:
    whole = file(lines_of(fens))
    cut = data.draw(st.integers(0, len(whole) - 2))
    with pytest.raises((ContentWrong, JsonRefused)):
        read_bill_file(whole[:cut], DAY)


@given(amounts, st.integers(-3, 3), st.integers(-100, 100), st.integers(-1, 1))
def test_a_trailer_that_says_otherwise_is_refused(fens: list[tuple[int, int]], count: int, fen: int, day: int) -> None:
    assume((count, fen, day) != (0, 0, 0))
    total = sum(map(sum, fens))
    other = {"count": len(fens) + count, "payable_fen": total + fen, "date": f"2026-11-{22 + day}"}
    with pytest.raises((ContentWrong, JsonRefused)):
        read_bill_file(file(lines_of(fens, **other)), DAY)


@given(amounts, st.data())
def test_an_amount_altered_alone_is_refused(fens: list[tuple[int, int]], data: st.DataObject) -> None:
    place, name = (
        data.draw(st.integers(0, len(fens) - 1)),
        data.draw(st.sampled_from(["principal_fen", "late_fee_fen", "payable_fen"])),
    )
    lines = lines_of(fens)
    altered = json.loads(lines[place])
    altered[name] += data.draw(st.integers(1, 1000))
    lines[place] = json.dumps(altered).encode()
    with pytest.raises((ContentWrong, JsonRefused)):
        read_bill_file(file(lines), DAY)
