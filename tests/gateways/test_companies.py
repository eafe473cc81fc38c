"""What a company says becomes a typed value, a refusal, or nothing at all, and never something else."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core import clock
from core.outbound import Counterpart, FailureKind, MalformedAnswer, NotSent, OutcomeUnknown
from gateways.companies import (
    AccountStatus,
    BillsChanged,
    BindingRevoked,
    CompanyGateway,
    CompanyRefusal,
    EventRefused,
    HolderNotice,
    OtherCompanyEvent,
    Posted,
    Posting,
    PostingBill,
    Processing,
    Proof,
    Refused,
    SigningKey,
    parse_event,
)
from tests.core.wire import drop, nobody_listens, wire
from tests.gateways.company import NUMBER, FakeCompany, Reply, account, bill, json_reply

PAID_AT = datetime(2026, 11, 23, 2, 2, 11, tzinfo=UTC)
POSTING = Posting(
    "019ab0c2-1",
    NUMBER,
    "Q-7f",
    4660,
    (PostingBill("W202610-0001", 4660),),
    PAID_AT,
    "wechat_pay",
    "1900000101",
    "4200002026",
)
POSTED = {
    "posting_id": POSTING.posting_id,
    "status": "posted",
    "serial": "WS20261123000017",
    "posted_at": "2026-11-23T10:02:13+08:00",
}
DAY = date(2026, 11, 22)


@pytest.fixture
def company() -> FakeCompany:
    return FakeCompany()


def bills_reply(*bills: dict[str, Any], **more: Any) -> Reply:
    return json_reply(200, {"account": account(), "bills": list(bills)} | more)


def quote(total_fen: int = 4660, minutes: float = 15, **more: Any) -> dict[str, Any]:
    expires = clock.now() + timedelta(minutes=minutes)
    return {"quote_id": "Q-7f", "expires_at": expires.isoformat(), "total_fen": total_fen} | more


class TestFindingAnAccount:
    async def test_without_a_proof_nothing_but_masks_comes_back(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"account": account(holder_name="王小明", address="滨湖路8号")}))
        found = await company.gateway().find_account(NUMBER)
        assert (found.status, found.holder_masked) == (AccountStatus.OPEN, "王*")
        assert (found.holder_name, found.address) == (None, None), "what nobody asked for is dropped"
        assert company.seen == [("POST", "/v1/accounts/find", {"account_number": NUMBER})]

    async def test_a_right_proof_brings_name_and_address(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"account": account(holder_name="王小明", address="滨湖路8号")}))
        found = await company.gateway().find_account(NUMBER, Proof("holder_id_last4", "002X"))
        assert (found.holder_name, found.address) == ("王小明", "滨湖路8号")
        assert company.seen[0][2]["proof"] == {"kind": "holder_id_last4", "value": "002X"}

    async def test_an_answer_to_a_proof_without_a_name_did_not_check_it(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"account": account()}))
        await malformed(company.gateway().find_account(NUMBER, Proof("holder_id_last4", "002X")), "proof_not_checked")

    async def test_a_wrong_proof_is_a_permanent_refusal(self, company: FakeCompany) -> None:
        company.replies(json_reply(422, {"code": "EB0001", "message": "证件号码不符"}))
        with pytest.raises(CompanyRefusal) as caught:
            await company.gateway().find_account(NUMBER, Proof("holder_id_last4", "0000"))
        assert (caught.value.company_code, caught.value.kind) == ("EB0001", FailureKind.PERMANENT)
        assert caught.value.company_message == "证件号码不符"

    async def test_another_account_is_no_answer(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"account": account(number="0203009999")}))
        await malformed(company.gateway().find_account(NUMBER), "other_account")


class TestQueryingBills:
    async def test_a_quote_fixes_what_all_open_bills_come_to(self, company: FakeCompany) -> None:
        paid = bill(bill_no="W202609-1", status="paid")
        late = bill(bill_no="W202608-1", late_fee_fen=40, payable_fen=4700)
        company.replies(bills_reply(bill(), paid, late, quote=quote(9360)))
        found = await company.gateway().query_bills(NUMBER, "quote")
        assert [b.payable_fen for b in found.bills] == [4660, 4660, 4700]
        assert found.quote is not None
        assert found.quote.total_fen == 9360
        assert company.seen[0][2] == {"account_number": NUMBER, "purpose": "quote"}

    async def test_no_open_bill_needs_no_quote_and_a_view_has_none(self, company: FakeCompany) -> None:
        company.replies(bills_reply(bill(status="paid")))
        assert (await company.gateway().query_bills(NUMBER, "quote")).quote is None
        company.replies(bills_reply(bill(), quote=quote()))
        assert (await company.gateway().query_bills(NUMBER, "view")).quote is None

    async def test_a_bill_may_say_what_it_was_made_from(self, company: FakeCompany) -> None:
        said = {
            "readings": {"last": "412.00", "this": "429.00", "read_on": "2026-10-30", "estimated": False},
            "household_size": 3,
            "annual_usage_before": "186.00",
            "class": "resident",
            "late_fee_through": "2026-11-22",
        }
        company.replies(
            bills_reply(bill(**said), bill(bill_no="W202609-1"), bill(bill_no="W202608-1", household_size=2))
        )
        first, second, third = (await company.gateway().query_bills(NUMBER, "view")).bills
        assert msgspec.to_builtins(first.basis) == said
        assert second.basis is None
        assert msgspec.to_builtins(third.basis) == {"household_size": 2}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"household_size": 0},
            {"annual_usage_before": "-1"},
            {"annual_usage_before": "１８６"},
            {"readings": {"this": "429\n"}},
            {"readings": {"read_on": "2026-02-30"}},
            {"class": ""},
            {"late_fee_through": "yesterday"},
        ],
    )
    async def test_what_it_says_of_them_has_the_right_shape(self, company: FakeCompany, wrong: dict[str, Any]) -> None:
        company.replies(bills_reply(bill(**wrong), quote=quote()))
        await malformed(company.gateway().query_bills(NUMBER, "quote"), "wrong_shape")

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (lambda: bills_reply(bill()), "quote_missing"),
            (lambda: bills_reply(bill(), quote=quote(4659)), "quote_total"),
            (lambda: bills_reply(bill(), quote=quote(minutes=-1)), "quote_life"),
            (lambda: bills_reply(bill(), quote=quote(minutes=36)), "quote_life"),
            (lambda: bills_reply(bill(), bill(), quote=quote(9320)), "bill_twice"),
            (lambda: bills_reply(bill(payable_fen=4661), quote=quote(4661)), "payable_sum"),
            (lambda: bills_reply(bill(principal_fen=4661, payable_fen=4661), quote=quote(4661)), "lines_sum"),
            (lambda: bills_reply(bill(late_fee_fen=-1, payable_fen=4659), quote=quote(4659)), "wrong_shape"),
            (lambda: bills_reply(bill(payable_fen=4660.0), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(payable_fen="4660"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(payable_fen=True), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(bill_no="W/1"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(bill_no="W-1\n"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(period="2026-13"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(period="２０２６-10"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(usage="1e3"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(status="overdue"), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(lines=[]), quote=quote()), "wrong_shape"),
            (lambda: bills_reply(bill(), quote=quote(quote_id="Q 7")), "wrong_shape"),
            (lambda: bills_reply(bill(), quote=quote(expires_at="2026-11-23T10:15:00")), "wrong_shape"),
            (lambda: json_reply(200, {"code": "EQ0007", "message": "批扣中"}), "error_in_success"),
            (lambda: bills_reply(bill(), quote=quote(), code="EQ0011"), "error_in_success"),
            (lambda: Reply(200, b'{"account": {}, "account": {}}'), "duplicate_key"),
            (lambda: Reply(200, b"<html>"), "not_json"),
            (lambda: Reply(200, b"{}", content_type="text/html"), "media_type"),
        ],
    )
    async def test_an_answer_that_contradicts_itself_or_its_shape_is_worthless(
        self, company: FakeCompany, reply: Callable[[], Reply], reason: str
    ) -> None:
        company.replies(reply())
        await malformed(company.gateway().query_bills(NUMBER, "quote"), reason)


class TestAnswersAreProvenToBeAnswers:
    @pytest.mark.parametrize(
        ("bent", "reason"),
        [
            ({"signed": False}, "signature.signature_input"),
            ({"keyid": "stranger"}, "signature.keyid"),
            ({"age_s": 302}, "signature.created"),
            ({"age_s": -302}, "signature.created"),
            ({"other_request": True}, "signature.signature"),
            ({"headers": {"Content-Digest": ""}}, "signature.content_digest"),
            ({"headers": {"Content-Type": "application/json; v=2"}}, "signature.signature"),
        ],
    )
    async def test_a_200_without_the_right_signature_is_no_fact(
        self, company: FakeCompany, bent: dict[str, Any], reason: str
    ) -> None:
        if "age_s" in bent:
            bent = {"created": int(clock.timestamp()) - bent["age_s"]}
        company.replies(json_reply(200, {"account": account(), "bills": []}, **bent))
        await malformed(company.gateway().query_bills(NUMBER, "view"), reason)

    async def test_an_unsigned_404_says_nothing_about_an_account(self, company: FakeCompany) -> None:
        company.replies(json_reply(404, {"code": "EQ0006"}, signed=False))
        await malformed(company.gateway().find_account(NUMBER), "signature.signature_input")

    async def test_either_live_key_signs(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"account": account()}, keyid="water-2026b"))
        assert (await company.gateway().find_account(NUMBER)).number == NUMBER

    @pytest.mark.parametrize("count", [0, 3])
    def test_a_company_has_one_or_two_live_keys(self, count: int) -> None:
        key = Ed25519PrivateKey.generate()
        keys = {str(n): key.public_key() for n in range(count)}
        with pytest.raises(ValueError, match="keys"):
            CompanyGateway("water", Counterpart("x", "https://x"), "x", SigningKey("a", key), keys)


class TestPosting:
    async def test_posted_refused_and_processing(self, company: FakeCompany) -> None:
        gateway = company.gateway()
        company.replies(json_reply(200, POSTED))
        posted = await gateway.post_payment(POSTING)
        assert posted == Posted(POSTING.posting_id, "WS20261123000017", datetime(2026, 11, 23, 2, 2, 13, tzinfo=UTC))
        company.replies(json_reply(200, {"posting_id": POSTING.posting_id, "status": "processing"}))
        assert await gateway.post_payment(POSTING) == Processing(POSTING.posting_id)
        refused = {"posting_id": POSTING.posting_id, "status": "refused", "code": "EP0003", "message": "已缴"}
        company.replies(json_reply(200, refused))
        by_status = await gateway.post_payment(POSTING)
        company.replies(json_reply(422, {"code": "EP0003", "message": "已缴"}))
        by_error = await gateway.post_payment(POSTING)
        assert by_status == by_error == Refused(POSTING.posting_id, "EP0003", FailureKind.PERMANENT, "已缴")

    async def test_the_same_posting_is_the_same_bytes(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, POSTED))
        for _ in range(2):
            await company.gateway().post_payment(POSTING)
        assert company.seen[0] == company.seen[1]
        assert company.seen[0][2]["total_fen"] == 4660
        assert company.seen[0][2]["bills"] == [{"bill_no": "W202610-0001", "amount_fen": 4660}]
        assert datetime.fromisoformat(company.seen[0][2]["paid_at"]) == PAID_AT

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (POSTED | {"posting_id": "another"}, "other_posting"),
            (POSTED | {"code": "EP0003"}, "error_in_success"),
            (POSTED | {"serial": None}, "posted_without_serial"),
            (POSTED | {"status": "ok"}, "wrong_shape"),
            ({"posting_id": POSTING.posting_id, "status": "refused"}, "refused"),
            (POSTED | {"status": "refused", "code": "EP0003"}, "refused"),
            ({"code": "EP0003", "message": "已缴"}, "wrong_shape"),
        ],
    )
    async def test_a_200_that_is_not_plainly_one_of_the_three_is_unknown(
        self, company: FakeCompany, value: dict[str, Any], reason: str
    ) -> None:
        company.replies(json_reply(200, value))
        await malformed(company.gateway().post_payment(POSTING), reason)

    @pytest.mark.parametrize("reply", [json_reply(422, {"code": "EP9999"}), json_reply(404, {"code": "EQ0005"})])
    async def test_an_unknown_code_is_loud_and_its_outcome_unknown(self, company: FakeCompany, reply: Reply) -> None:
        company.replies(reply)
        with structlog.testing.capture_logs() as logs, pytest.raises(OutcomeUnknown) as caught:
            await company.gateway().post_payment(POSTING)
        assert caught.value.reason == "code_unknown"
        assert [entry["log_level"] for entry in logs if entry["event"] == "company.code_unknown"] == ["error"]

    async def test_an_unknown_code_inside_a_refusal_is_unknown_too(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"posting_id": POSTING.posting_id, "status": "refused", "code": "EP9999"}))
        with pytest.raises(OutcomeUnknown):
            await company.gateway().post_payment(POSTING)

    async def test_a_known_code_with_a_foreign_status_is_malformed(self, company: FakeCompany) -> None:
        company.replies(json_reply(404, {"code": "EP0003"}))
        await malformed(company.gateway().post_payment(POSTING), "code_status")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, FailureKind.TECHNICAL),
            (401, FailureKind.TECHNICAL),
            (403, FailureKind.TECHNICAL),
            (429, FailureKind.TEMPORARY),
        ],
    )
    async def test_an_unsigned_error_never_refuses_a_posting(
        self, company: FakeCompany, status: int, kind: FailureKind
    ) -> None:
        company.replies(json_reply(status, {"code": "EP0003", "message": "已缴"}, signed=False))
        with pytest.raises(CompanyRefusal) as caught:
            await company.gateway().post_payment(POSTING)
        assert caught.value.kind is kind
        assert caught.value.company_code != "EP0003", "an unsigned body is not read"

    @pytest.mark.parametrize("status", [500, 502, 504])
    async def test_a_5xx_is_unknown(self, company: FakeCompany, status: int) -> None:
        company.replies(json_reply(status, {"code": "EQ0011"}))
        with pytest.raises(OutcomeUnknown):
            await company.gateway().post_payment(POSTING)

    @pytest.mark.parametrize("status", [201, 202, 204, 301, 405])
    async def test_any_other_status_is_unknown(self, company: FakeCompany, status: int) -> None:
        company.replies(json_reply(status, POSTED))
        await malformed(company.gateway().post_payment(POSTING), "status")

    @pytest.mark.parametrize(
        "change",
        [
            {"total_fen": 4661},
            {"bills": ()},
            {"bills": (PostingBill("A", 2330), PostingBill("A", 2330))},
            {"bills": (PostingBill("A", 4661), PostingBill("B", -1))},
            {"paid_at": datetime(2026, 11, 23)},  # noqa: DTZ001
            {"posting_id": "../x"},
        ],
    )
    async def test_a_posting_of_ours_that_does_not_add_up_never_leaves(
        self, company: FakeCompany, change: dict[str, Any]
    ) -> None:
        values = {name: getattr(POSTING, name) for name in Posting.__struct_fields__}
        with pytest.raises(ValueError, match=r"posting|paid_at"):
            await company.gateway().post_payment(Posting(**(values | change)))
        assert company.seen == []

    async def test_a_query_finds_it_or_says_that_it_never_arrived(self, company: FakeCompany) -> None:
        gateway = company.gateway()
        company.replies(json_reply(200, POSTED))
        assert isinstance(await gateway.query_posting(POSTING.posting_id), Posted)
        company.replies(json_reply(404, {"code": "ES0001"}))
        assert await gateway.query_posting(POSTING.posting_id) is None
        assert company.seen[-1] == ("GET", f"/v1/postings/{POSTING.posting_id}", None)
        company.replies(json_reply(404, {"code": "ES0001"}, signed=False))
        with pytest.raises(MalformedAnswer):
            await gateway.query_posting(POSTING.posting_id)

    async def test_a_broken_connection_is_unknown_and_a_refused_one_is_not_sent(self) -> None:
        key = Ed25519PrivateKey.generate()

        def gateway(url: str) -> CompanyGateway:
            counterpart = Counterpart("company:water", url, timeout=timedelta(seconds=2))
            authority = counterpart.authority
            return CompanyGateway("water", counterpart, authority, SigningKey("a", key), {"k": key.public_key()})

        async with wire(drop) as there:
            with pytest.raises(OutcomeUnknown):
                await gateway(there.url).post_payment(POSTING)
        with pytest.raises(NotSent):
            await gateway(await nobody_listens()).post_payment(POSTING)


class TestTheDailyFile:
    def file(self, *bills: dict[str, Any], **trailer: Any) -> Reply:
        total = sum(b["payable_fen"] for b in bills)
        last = {"trailer": {"date": DAY.isoformat(), "count": len(bills), "payable_fen": total} | trailer}
        lines = [json.dumps(line, ensure_ascii=False) for line in [*bills, last]]
        return Reply(200, ("\n".join(lines) + "\n").encode(), content_type="application/x-ndjson")

    async def test_a_file_with_a_right_trailer_is_read_whole(self, company: FakeCompany) -> None:
        company.replies(self.file(bill(account_number=NUMBER), bill(account_number="1", bill_no="B")))
        found = await company.gateway().bill_file(DAY)
        assert (found.day, found.payable_fen, [b.account_number for b in found.bills]) == (DAY, 9320, [NUMBER, "1"])
        assert company.seen == [("GET", "/v1/bill-files/2026-11-22", None)]

    async def test_a_day_without_bills_is_a_trailer_alone(self, company: FakeCompany) -> None:
        company.replies(self.file())
        assert (await company.gateway().bill_file(DAY)).bills == ()

    @pytest.mark.parametrize("trailer", [{"count": 2}, {"payable_fen": 4661}, {"date": "2026-11-21"}])
    async def test_a_wrong_trailer_changes_nothing(self, company: FakeCompany, trailer: dict[str, Any]) -> None:
        company.replies(self.file(bill(account_number=NUMBER), **trailer))
        await malformed(company.gateway().bill_file(DAY), "trailer")

    async def test_a_file_cut_off_or_with_a_bill_twice_changes_nothing(self, company: FakeCompany) -> None:
        whole = self.file(bill(account_number=NUMBER))
        for body in (whole.body.split(b"\n")[0], b"", b"\n" + whole.body):
            company.replies(Reply(200, body, content_type="application/x-ndjson"))
            with pytest.raises(MalformedAnswer):
                await company.gateway().bill_file(DAY)
        company.replies(self.file(bill(account_number=NUMBER), bill(account_number=NUMBER)))
        await malformed(company.gateway().bill_file(DAY), "bill_twice")

    async def test_a_file_larger_than_other_answers_passes(self, company: FakeCompany) -> None:
        company.replies(self.file(*(bill(account_number=NUMBER, bill_no=f"B{n}") for n in range(400))))
        assert len((await company.gateway().bill_file(DAY)).bills) == 400

    async def test_not_ready_is_temporary(self, company: FakeCompany) -> None:
        company.replies(json_reply(404, {"code": "EF0001"}))
        with pytest.raises(CompanyRefusal) as caught:
            await company.gateway().bill_file(DAY)
        assert caught.value.kind is FailureKind.TEMPORARY


class TestHolderNotices:
    NOTICE = HolderNotice("019ab0", NUMBER, "binding_created", "B7K2-M9QD", PAID_AT)

    async def test_an_accepted_notice_returns(self, company: FakeCompany) -> None:
        company.replies(json_reply(200, {"notice_id": "019ab0", "accepted": True}))
        await company.gateway().holder_notice(self.NOTICE)
        assert company.seen[0][2]["binding_ref"] == "B7K2-M9QD"

    @pytest.mark.parametrize(
        "value", [{"notice_id": "019ab0", "accepted": False}, {"notice_id": "x", "accepted": True}]
    )
    async def test_anything_else_is_not_accepted(self, company: FakeCompany, value: dict[str, Any]) -> None:
        company.replies(json_reply(200, value))
        await malformed(company.gateway().holder_notice(self.NOTICE), "notice_not_accepted")


class TestEvents:
    def event(self, type_: str, data: dict[str, Any], **more: Any) -> bytes:
        value = {"event_id": "e-1", "type": type_, "at": "2026-11-23T10:00:00+08:00", "data": data} | more
        return json.dumps(value).encode()

    def test_each_type_has_its_data(self) -> None:
        posted = parse_event(self.event("posting.answered", POSTED), "water").data
        assert isinstance(posted, Posted)
        changed = parse_event(self.event("bills.changed", {"account_number": NUMBER}), "water")
        assert (changed.event_id, changed.data) == ("e-1", BillsChanged(NUMBER))
        data = {"account_number": NUMBER, "binding_ref": "B7K2-M9QD"}
        assert parse_event(self.event("binding.revoked", data), "water").data == BindingRevoked(NUMBER, "B7K2-M9QD")

    def test_a_refusal_with_an_unknown_code_is_a_reason_to_ask(self) -> None:
        refused = {"posting_id": "p", "status": "refused", "code": "EP9999"}
        with structlog.testing.capture_logs() as logs:
            data = parse_event(self.event("posting.answered", refused), "water").data
        assert isinstance(data, Refused)
        assert data.kind is FailureKind.UNKNOWN
        assert logs

    def test_an_unknown_type_is_kept_and_loud(self) -> None:
        with structlog.testing.capture_logs() as logs:
            event = parse_event(self.event("meter.replaced", {}), "water")
        assert event.data == OtherCompanyEvent("meter.replaced")
        assert [entry["event"] for entry in logs] == ["company.event_unknown"]

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"[]",
            b"not json",
            b'{"event_id": "a", "event_id": "b"}',
            b'{"event_id": "e 1", "type": "bills.changed", "at": "2026-11-23T10:00:00+08:00", "data": {}}',
            b'{"event_id": "e", "type": "bills.changed", "at": "2026-11-23T10:00:00+08:00", "data": {}}',
            b'{"event_id": "e", "type": "bills.changed", "at": "2026-11-23T10:00:00", "data": {"account_number": "1"}}',
        ],
    )
    def test_what_is_no_event_is_refused(self, body: bytes) -> None:
        with pytest.raises(EventRefused):
            parse_event(body, "water")


async def test_two_gateways_do_not_disturb_each_other(company: FakeCompany) -> None:
    company.replies(json_reply(200, {"account": account()}))
    gateway = company.gateway()
    found = await asyncio.gather(*(gateway.find_account(NUMBER) for _ in range(5)))
    assert {one.number for one in found} == {NUMBER}


async def test_base_addresses_with_a_port_and_a_path_are_signed_as_sent(company: FakeCompany) -> None:
    company.replies(json_reply(200, {"account": account()}))
    await company.gateway("http://127.0.0.1:9102/water/v1").find_account(NUMBER)
    assert company.seen[0][1] == "/water/v1/accounts/find"


async def test_no_personal_value_reaches_the_log(company: FakeCompany) -> None:
    company.replies(json_reply(422, {"code": "EB0001", "message": "王小明的证件不符"}))
    with structlog.testing.capture_logs() as logs, pytest.raises(CompanyRefusal) as caught:
        await company.gateway().find_account(NUMBER, Proof("holder_id_last4", "002X"))
    for personal in ("002X", "王小明", NUMBER):
        assert personal not in str(logs)
        assert personal not in str(caught.value)


async def malformed(call: Awaitable[object], reason: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        await call
    assert caught.value.reason == reason
