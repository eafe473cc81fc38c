"""A company's record without HTTP: what it answers, what it refuses, what it never forgets."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox import companies_operations as operations
from sandbox import companies_postings as postings
from sandbox.clock import Clock
from sandbox.companies_book import SCHEMA, Book, Company
from sandbox.companies_codes import CODES, FINAL_FOR_POSTING, Refusal, read_object
from sandbox.state import State
from tests.sandbox.companies_support import NUMBER, configuration, posting


class Town:
    """The books of water and gas over one state file, with a clock that can travel."""

    def __init__(self, folder: Path) -> None:
        self.config = configuration(folder)
        self.clock_file = Path(self.config["clock_file"])
        self.offset_s = 0.0
        self.clock = Clock(self.clock_file)
        self.state = State(Path(self.config["state_file"]))
        self.state.define(SCHEMA)
        self.water, self.gas = (
            Book(Company.read(company), self.state, self.clock) for company in self.config["companies"]
        )
        self.water.load()
        self.gas.load()

    def travel(self, by: timedelta) -> None:
        self.offset_s += by.total_seconds()
        self.clock_file.write_text(f"{self.offset_s:.3f}")

    def quote(self) -> str:
        return query(self.water, "quote")["quote"]["quote_id"]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.state.close()


def query(book: Book, purpose: str, number: str = NUMBER) -> dict[str, Any]:
    return operations.query_bills(book, {"account_number": number, "purpose": purpose})


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    return caught.value.code


def statuses(book: Book) -> dict[str, str]:
    return {bill["bill_no"]: bill["status"] for bill in book.bills(NUMBER)}


def test_name_and_address_are_told_only_after_a_right_proof(town: Town) -> None:
    bare = operations.find_account(town.water, {"account_number": NUMBER})["account"]
    assert bare == {"number": NUMBER, "service": "water", "status": "open", "holder_masked": "王*",
                    "address_masked": "鄂城区凤凰街道***"}  # fmt: skip
    proof = {"kind": "holder_id_last4", "value": "002x"}
    proven = operations.find_account(town.water, {"account_number": NUMBER, "proof": proof})["account"]
    assert proven == bare | {"holder_name": "王小明", "address": "鄂城区凤凰街道滨湖路8号"}


def test_a_wrong_proof_is_refused_and_one_of_another_kind_is_an_error(town: Town) -> None:
    def find(book: Book, kind: str, value: object) -> str:
        body = {"account_number": NUMBER, "proof": {"kind": kind, "value": value}}
        return refused(operations.find_account, book, body)

    assert find(town.water, "holder_id_last4", "0021") == "EB0001"
    assert find(town.water, "holder_name", "王小明") == "EQ0001"
    assert find(town.water, "holder_id_last4", 21) == "EQ0001"
    assert find(town.gas, "last_bill_fen", "7701") == "EB0001"
    right = {"account_number": NUMBER, "proof": {"kind": "last_bill_fen", "value": "7700"}}
    assert operations.find_account(town.gas, right)["account"]["holder_name"] == "王小明"


def test_an_account_whose_proof_is_not_on_record_proves_nothing(town: Town) -> None:
    town.water.put_account({"number": NUMBER, "holder_id_last4": ""})
    body = {"account_number": NUMBER, "proof": {"kind": "holder_id_last4", "value": " "}}
    assert refused(operations.find_account, town.water, body) == "EB0001"


def test_an_unknown_account_is_refused_everywhere(town: Town) -> None:
    assert refused(operations.find_account, town.water, {"account_number": "9"}) == "EQ0006"
    assert refused(query, town.water, "view", "9") == "EQ0006"


def test_bills_are_the_open_ones_and_those_of_24_months(town: Town) -> None:
    assert [bill["bill_no"] for bill in query(town.water, "view")["bills"]] == ["W202610-1", "W202609-1"]
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202401-1", "status": "open"})
    assert [bill["bill_no"] for bill in query(town.water, "view")["bills"]] == ["W202610-1", "W202609-1", "W202401-1"]


def test_payable_is_principal_and_late_fee_and_lines_add_up(town: Town) -> None:
    for bill in query(town.water, "view")["bills"]:
        assert bill["payable_fen"] == bill["principal_fen"] + bill["late_fee_fen"]
        assert sum(line["amount_fen"] for line in bill["lines"]) == bill["principal_fen"]


def test_a_quote_fixes_all_open_bills_for_ten_minutes(town: Town) -> None:
    before_s = int(town.clock.timestamp())
    answer = query(town.water, "quote")
    assert answer["quote"]["total_fen"] == 4660 + 3015
    row = town.state.one("SELECT * FROM company_quote WHERE quote_id = ?", (answer["quote"]["quote_id"],))
    assert row is not None
    assert json.loads(row["bills"]) == {"W202610-1": 4660, "W202609-1": 3015}
    assert row["expires_at"] - before_s in (600, 601)
    assert answer["quote"]["expires_at"] == town.clock.iso(row["expires_at"])


def test_there_is_no_quote_to_look_or_when_nothing_is_owed(town: Town) -> None:
    assert "quote" not in query(town.water, "view")
    for bill_no in ("W202610-1", "W202609-1"):
        town.water.put_bill({"account_number": NUMBER, "bill_no": bill_no, "status": "void"})
    assert "quote" not in query(town.water, "quote")


def test_a_posting_pays_its_bills_once_for_ever(town: Town) -> None:
    quote_id = town.quote()
    first = postings.post_payment(town.water, posting(quote_id))
    assert first["status"] == "posted"
    assert statuses(town.water) == {"W202610-1": "paid", "W202609-1": "open", "W202401-1": "paid"}
    town.travel(timedelta(days=400))
    assert postings.post_payment(town.water, posting(quote_id)) == first
    assert postings.query_posting(town.water, "p-1") == first
    assert town.water.setting("last_serial", "") == "1"


@pytest.mark.parametrize(
    "change",
    [
        {"account_number": "1"},
        {"quote_id": "Q-other"},
        {"total_fen": 1},
        {"bills": [{"bill_no": "W202609-1", "amount_fen": 3015}]},
        {"paid_at": "2026-01-01T10:02:12+08:00"},
        {"provider": "alipay"},
        {"merchant": "1900000102"},
        {"provider_transaction": "4"},
    ],
)
def test_the_same_posting_id_with_another_content_is_a_conflict(town: Town, change: dict[str, Any]) -> None:
    quote_id = town.quote()
    postings.post_payment(town.water, posting(quote_id))
    assert refused(postings.post_payment, town.water, posting(quote_id, **change)) == "EP0005"


def test_the_same_content_spelled_otherwise_is_the_same(town: Town) -> None:
    quote_id = town.quote()
    bills = [{"bill_no": "W202610-1", "amount_fen": 4660}, {"bill_no": "W202609-1", "amount_fen": 3015}]
    first = postings.post_payment(town.water, posting(quote_id, total_fen=7675, bills=bills))
    again = posting(quote_id, total_fen=7675, bills=bills[::-1], paid_at="2026-01-01T02:02:11.000Z", unknown_member=1)
    assert postings.post_payment(town.water, again) == first


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quote_id": "Q-unknown"}, "EP0001"),
        ({"total_fen": 4661}, "EP0002"),
        ({"bills": [{"bill_no": "W202610-1", "amount_fen": 4661}], "total_fen": 4661}, "EP0002"),
        ({"bills": [{"bill_no": "G1", "amount_fen": 7700}], "total_fen": 7700}, "EP0002"),
        ({"bills": [{"bill_no": "W202610-1", "amount_fen": 4660}] * 2, "total_fen": 9320}, "EP0002"),
        ({"bills": [{"bill_no": "W202610-1", "amount_fen": 4660}] * 2}, "EP0002"),
        ({"account_number": "9"}, "EQ0006"),
    ],
)
def test_a_wrong_posting_stays_refused_for_ever(town: Town, change: dict[str, Any], code: str) -> None:
    wanted = posting(town.quote(), **change)
    assert refused(postings.post_payment, town.water, wanted) == code
    assert refused(postings.post_payment, town.water, wanted) == code
    asked = postings.query_posting(town.water, "p-1")
    assert asked == {"posting_id": "p-1", "status": "refused", "code": code, "message": CODES[code][1]}
    assert statuses(town.water)["W202610-1"] == "open"


def test_all_bills_of_a_posting_or_none(town: Town) -> None:
    quote_id = town.quote()
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202609-1", "status": "paid"})
    both = [{"bill_no": "W202610-1", "amount_fen": 4660}, {"bill_no": "W202609-1", "amount_fen": 3015}]
    assert refused(postings.post_payment, town.water, posting(quote_id, bills=both, total_fen=7675)) == "EP0003"
    assert statuses(town.water)["W202610-1"] == "open"


def test_a_bill_is_paid_once_whatever_the_posting(town: Town) -> None:
    one, other = town.quote(), town.quote()
    assert postings.post_payment(town.water, posting(one, "p-1"))["status"] == "posted"
    assert refused(postings.post_payment, town.water, posting(other, "p-2")) == "EP0003"


def test_a_quote_of_another_account_or_company_is_unknown(town: Town) -> None:
    town.water.put_account({"number": "2", "holder_name": "李四"})
    town.water.put_bill({"account_number": "2", "bill_no": "W2", "period": "2026-10", "principal_fen": 100})
    other = query(town.water, "quote", "2")["quote"]["quote_id"]
    of_gas = query(town.gas, "quote")["quote"]["quote_id"]
    assert refused(postings.post_payment, town.water, posting(other, "p-1")) == "EP0001"
    assert refused(postings.post_payment, town.water, posting(of_gas, "p-2")) == "EP0001"


def test_what_counts_is_when_the_payer_paid_not_when_the_posting_arrives(town: Town) -> None:
    answer = query(town.water, "quote")["quote"]
    town.travel(timedelta(days=3))
    row = town.state.one("SELECT expires_at FROM company_quote")
    assert row is not None
    late = posting(answer["quote_id"], "p-late", paid_at=town.clock.iso(row["expires_at"] + 1))
    assert refused(postings.post_payment, town.water, late) == "EP0001"
    in_time = posting(answer["quote_id"], "p-in-time", paid_at=answer["expires_at"])
    assert postings.post_payment(town.water, in_time)["status"] == "posted"


def test_a_quoted_amount_is_taken_although_the_bill_has_changed(town: Town) -> None:
    quote_id = town.quote()
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202610-1", "late_fee_fen": 500})
    assert postings.post_payment(town.water, posting(quote_id))["status"] == "posted"


@pytest.mark.parametrize("status", ["frozen", "closed"])
def test_an_account_that_is_not_open_takes_no_money(town: Town, status: str) -> None:
    quote_id = town.quote()
    town.water.put_account({"number": NUMBER, "status": status})
    assert query(town.water, "view")["account"]["status"] == status
    assert refused(query, town.water, "quote") == "EQ0009"
    assert refused(postings.post_payment, town.water, posting(quote_id)) == "EP0004"


@pytest.mark.parametrize("code", sorted(CODES.keys() - FINAL_FOR_POSTING))
def test_a_refusal_that_may_pass_leaves_no_trace(town: Town, code: str) -> None:
    wanted = posting(town.quote())
    town.water.refuse_postings(NUMBER, code)
    assert refused(postings.post_payment, town.water, wanted) == code
    assert refused(postings.query_posting, town.water, "p-1") == "ES0001"
    town.water.refuse_postings(NUMBER, None)
    assert postings.post_payment(town.water, wanted)["status"] == "posted"


def test_a_refusal_can_be_a_status_instead_of_an_error(town: Town) -> None:
    wanted = posting(town.quote())
    town.water.refuse_postings(NUMBER, "EP0003", "status")
    answer = postings.post_payment(town.water, wanted)
    assert (answer["status"], answer["code"]) == ("refused", "EP0003")
    town.water.refuse_postings(NUMBER, None)
    assert postings.post_payment(town.water, wanted) == answer


def test_a_posting_in_processing_holds_its_bills_until_it_is_posted(town: Town) -> None:
    wanted = posting(town.quote())
    town.water.process_postings(NUMBER, 30.0)
    assert postings.post_payment(town.water, wanted) == {"posting_id": "p-1", "status": "processing"}
    assert refused(postings.post_payment, town.water, posting(town.quote(), "p-2")) == "EP0003"
    assert statuses(town.water)["W202610-1"] == "open"
    assert postings.settle_due(town.water) == []
    town.travel(timedelta(seconds=31))
    (settled,) = postings.settle_due(town.water)
    assert settled["status"] == "posted"
    assert postings.query_posting(town.water, "p-1") == postings.post_payment(town.water, wanted) == settled
    assert statuses(town.water)["W202610-1"] == "paid"
    assert not postings.has_processing(town.water)


def test_a_posting_refused_after_processing_lets_its_bills_go(town: Town) -> None:
    wanted = posting(town.quote())
    town.water.process_postings(NUMBER, 0.0, "EQ0012")
    postings.post_payment(town.water, wanted)
    (settled,) = postings.settle_due(town.water)
    assert (settled["status"], settled["code"]) == ("refused", "EQ0012")
    town.water.process_postings(NUMBER, None)
    assert postings.post_payment(town.water, posting(town.quote(), "p-2"))["status"] == "posted"


@pytest.mark.parametrize(
    "change",
    [
        {"posting_id": "a b"},
        {"posting_id": "x" * 65},
        {"total_fen": "4660"},
        {"total_fen": 46.6},
        {"total_fen": True},
        {"total_fen": -1},
        {"bills": []},
        {"bills": ["W202610-1"]},
        {"bills": [{"bill_no": "W202610-1"}]},
        {"paid_at": "2026-01-01T10:02:11"},
        {"paid_at": "2026-13-01T10:02:11Z"},
        {"paid_at": 1},
        {"provider": None},
    ],
)
def test_a_posting_that_cannot_be_read_never_arrived(town: Town, change: dict[str, Any]) -> None:
    assert refused(postings.post_payment, town.water, posting(town.quote(), **change)) == "EQ0001"
    assert refused(postings.query_posting, town.water, "p-1") == "ES0001"


def test_the_file_of_a_day_is_ready_at_two_of_the_next(town: Town) -> None:
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202611-1", "period": "2026-11", "principal_fen": 500})
    today = town.clock.now()
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    town.travel(midnight + timedelta(days=1, hours=1, minutes=59) - today)
    assert refused(operations.bill_file, town.water, today.date().isoformat()) == "EF0001"
    town.travel(timedelta(minutes=2))
    lines = [json.loads(line) for line in operations.bill_file(town.water, today.date().isoformat()).splitlines()]
    assert (lines[0]["account_number"], lines[0]["bill_no"]) == (NUMBER, "W202611-1")
    assert lines[-1] == {"trailer": {"date": today.date().isoformat(), "count": 1, "payable_fen": 500}}


def test_the_file_shows_a_bill_as_it_stood_that_day(town: Town) -> None:
    def file() -> list[dict[str, Any]]:
        return [json.loads(line) for line in operations.bill_file(town.water, "2026-10-28").splitlines()]

    assert [line.get("status") for line in file()] == ["open", None]
    before = file()
    postings.post_payment(town.water, posting(town.quote()))
    assert file() == before
    town.travel(timedelta(days=2))
    paid_on = (town.clock.now() - timedelta(days=2)).date().isoformat()
    paid, trailer = operations.bill_file(town.water, paid_on).splitlines()
    assert (json.loads(paid)["status"], json.loads(trailer)["trailer"]["count"]) == ("paid", 1)


def test_a_bill_that_is_changed_is_in_the_file_of_the_day_of_the_change(town: Town) -> None:
    changed_on = town.clock.now().date().isoformat()
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202610-1", "late_fee_fen": 40})
    town.travel(timedelta(days=2))
    bill, _ = operations.bill_file(town.water, changed_on).splitlines()
    assert json.loads(bill)["payable_fen"] == 4700


def test_a_day_without_bills_has_a_file_and_a_day_that_is_none_has_not(town: Town) -> None:
    assert operations.bill_file(town.water, "2020-02-29").count(b"\n") == 1
    for date in ("2021-02-29", "2021-2-1", "20210201", "tomorrow"):
        assert refused(operations.bill_file, town.water, date) == "EQ0001"


def test_a_notice_reaches_the_holder_once(town: Town) -> None:
    notice = {"notice_id": "n-1", "account_number": NUMBER, "kind": "binding_created", "binding_ref": "B7K2-M9QD",
              "at": "2026-11-23T10:00:00+08:00"}  # fmt: skip
    for _ in range(2):
        assert operations.holder_notice(town.water, notice) == {"notice_id": "n-1", "accepted": True}
    (row,) = town.state.all("SELECT * FROM company_notice")
    assert row["sent_to"] == "13800000001"
    assert refused(operations.holder_notice, town.water, notice | {"binding_ref": "other"}) == "EP0005"
    assert (
        refused(operations.holder_notice, town.water, notice | {"notice_id": "n-2", "account_number": "9"}) == "EQ0006"
    )


def test_a_nonce_is_used_once_in_600_seconds(town: Town) -> None:
    assert town.water.use_nonce("k", "n")
    assert town.gas.use_nonce("k", "n")
    assert town.water.use_nonce("k2", "n")
    town.travel(timedelta(seconds=599))
    assert not town.water.use_nonce("k", "n")
    town.travel(timedelta(seconds=2))
    assert town.water.use_nonce("k", "n")


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{"name": "a", "amount_fen": 1}]},
        {"status": "lost"},
        {"due_on": "2026-02-30"},
        {"late_fee_fen": -1},
        {"usage": 17},
        {"account_number": "9"},
    ],
)
def test_the_company_issues_no_bill_that_is_none(town: Town, change: dict[str, Any]) -> None:
    before = town.water.bill("W202610-1")
    wanted = {"account_number": NUMBER, "bill_no": "W202610-1", "principal_fen": 4660} | change
    refused(town.water.put_bill, wanted)
    assert town.water.bill("W202610-1") == before


def test_a_payment_taken_back_opens_the_bill_again(town: Town) -> None:
    postings.post_payment(town.water, posting(town.quote()))
    town.water.put_bill({"account_number": NUMBER, "bill_no": "W202610-1", "status": "open"})
    assert postings.post_payment(town.water, posting(town.quote(), "p-2"))["status"] == "posted"


def test_what_is_loaded_once_is_not_loaded_again(town: Town) -> None:
    postings.post_payment(town.water, posting(town.quote()))
    town.water.load()
    assert statuses(town.water)["W202610-1"] == "paid"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": 1, "a": 1}', b'{"a": {"b": 1, "b": 2}}', b'{"a": NaN}',
                                  b'{"a": "\xff"}', b"\xef\xbb\xbf{}"])  # fmt: skip
def test_a_body_that_is_not_one_plain_object_is_an_error(body: bytes) -> None:
    assert refused(read_object, body) == "EQ0001"


def test_a_configuration_without_keys_or_with_a_strange_proof_is_refused(tmp_path: Path) -> None:
    water = configuration(tmp_path)["companies"][0]
    with pytest.raises(ValueError, match="private key"):
        Company.read(water | {"private_keys": []})
    with pytest.raises(ValueError, match="proof_kind"):
        Company.read(water | {"proof_kind": "face"})
