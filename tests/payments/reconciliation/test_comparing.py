"""Random days: rows made from our own books differ in nothing; whatever is changed in them is exactly what differs."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from payments.providers.bills import BillRow
from payments.reconciliation.comparing import Books, OurPosting, OurRefund, OurTrade, Told, compare

RATE = Decimal("0.006")
AT = datetime(2026, 11, 22, 4, tzinfo=UTC)
_FEN = st.integers(1, 10**9)
_OF_DAY = st.booleans()
_MUTATIONS = {
    "drop": {"missing_at_provider", "refund_missing_at_provider", "paid_not_posted"},
    "twice": {"twice"},
    "amount": {"amount_differs"},
    "number": {"number_differs"},
    "rename": {"missing_here", "refund_missing_here", "posted_not_paid"},
}


@st.composite
def days(draw: st.DrawFn) -> tuple[Books, list[BillRow]]:
    """Our books of a day, and the rows a flawless counterpart writes about it."""
    trades: list[OurTrade] = []
    refunds: list[OurRefund] = []
    postings: list[OurPosting] = []
    rows: list[BillRow] = []
    for place, fen in enumerate(draw(st.lists(_FEN, max_size=12))):
        part, number = UUID(int=place + 1), f"T{place:05}"
        trades.append(OurTrade(number, part, fen, f"4200{place}", draw(_OF_DAY)))
        rows.append(BillRow("trade", number, f"4200{place}", fen, AT, fee_millifen=fen * 6))
        if draw(st.booleans()):
            state = draw(st.sampled_from(["success", "processing"]))
            status = "succeeded" if state == "success" else draw(st.sampled_from(["processing", "succeeded"]))
            refunds.append(
                OurRefund(f"R{place:05}", part, part, number, fen, status, f"5030{place}", status == "succeeded")
            )
            rows.append(BillRow("refund", f"R{place:05}", f"5030{place}", fen, AT, state, number))
        else:
            postings.append(OurPosting(str(part), part, part, fen, "posted", f"WS{place}", draw(_OF_DAY)))
            rows.append(BillRow("posting", str(part), f"WS{place}", fen, AT, "posted"))
    return Books(trades, refunds, postings), draw(st.permutations(rows))


@given(days())
def test_a_flawless_file_differs_in_nothing(day: tuple[Books, list[BillRow]]) -> None:
    books, rows = day
    assert compare(rows, books, RATE) == []


@given(days(), st.data())
def test_exactly_what_was_changed_differs(day: tuple[Books, list[BillRow]], data: st.DataObject) -> None:
    books, rows = day
    chosen = data.draw(
        st.dictionaries(st.integers(0, max(0, len(rows) - 1)), st.sampled_from(list(_MUTATIONS)), max_size=6)
    )
    due = {t.number for t in books.trades if t.of_day} | {r.number for r in books.refunds if r.of_day}
    due |= {p.number for p in books.postings if p.of_day}
    told: list[BillRow] = []
    wanted: set[tuple[str, str]] = set()
    for place, row in enumerate(rows):
        match chosen.get(place):
            case "drop":
                wanted |= {("drop", row.number)} if row.number in due else set()
            case "twice":
                told += [row, row]
                wanted.add(("twice", row.number))
            case "amount":
                told.append(replace(row, amount_fen=row.amount_fen + 1))
                wanted.add(("amount", row.number))
            case "number":
                told.append(replace(row, other_number="another"))
                wanted.add(("number", row.number))
            case "rename":
                told.append(replace(row, number=f"{row.number}x"))
                wanted.add(("rename", f"{row.number}x"))
                wanted |= {("drop", row.number)} if row.number in due else set()
            case _:
                told.append(row)
    found = {
        (next(name for name, kinds in _MUTATIONS.items() if one.kind in kinds), one.number)
        for one in compare(told, books, RATE)
    }
    assert found == wanted


@given(days(), st.randoms())
def test_the_order_of_rows_means_nothing(day: tuple[Books, list[BillRow]], random: object) -> None:
    books, rows = day
    shuffled = sorted(rows, key=lambda row: hash((row.number, id(random))))
    assert compare(shuffled, books, RATE) == compare(rows, books, RATE)


@given(days())
def test_what_another_days_file_tells_is_not_missing_and_telling_it_again_is_twice(
    day: tuple[Books, list[BillRow]],
) -> None:
    books, rows = day
    everything = frozenset(Told(row.kind, row.number) for row in rows)
    assert compare([], replace(books, told_elsewhere=everything), RATE) == []
    again = compare(rows, replace(books, told_before=everything, told_elsewhere=everything), RATE)
    assert {(one.kind, one.number) for one in again} == {("twice", row.number) for row in rows}


def test_a_refund_that_ended_otherwise_contradicts_and_one_still_under_way_does_not() -> None:
    part = UUID(int=1)

    def kinds(ours: str, theirs: str) -> list[str]:
        refund = OurRefund("R1", part, part, "T1", 100, ours, None, of_day=False)
        row = BillRow("refund", "R1", "5030", 100, AT, theirs, "T1")
        return [str(one.kind) for one in compare([row], Books(refunds=[refund]), RATE)]

    assert kinds("processing", "processing") == kinds("succeeded", "processing") == kinds("abnormal", "abnormal") == []
    assert kinds("closed", "failed") == kinds("succeeded", "success") == []
    assert kinds("processing", "success") == kinds("closed", "success") == ["state_differs"]
    assert kinds("succeeded", "failed") == kinds("succeeded", "unknown") == ["state_differs"]
