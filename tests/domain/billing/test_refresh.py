"""Whose word about bills counts: the one asked for last, whatever arrives when."""

from datetime import date, timedelta
from typing import Literal

import pytest

from core import clock
from gateways.companies import BillFile, Bills, CompanyGateway
from models.bill import Bill
from tests.harness.spine import WATER, Citizen, Spine

FEN = 4199


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


async def test_yesterdays_file_does_not_open_again_what_was_paid_since(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await spine.account()
    await spine.qr(number)
    today = clock.today()
    bill_no = await spine.bill(number, FEN, issued_on=today.isoformat())
    await spine.travel(timedelta(days=1))
    gateway = spine.services.companies.get(WATER).gateway
    assert isinstance(gateway, CompanyGateway)
    file = await gateway.bill_file(today)
    assert [str(bill.status) for bill in file.bills] == ["open"]

    async def as_of_yesterday(_day: date) -> BillFile:
        return file

    monkeypatch.setattr(gateway, "bill_file", as_of_yesterday)
    await spine.bill(number, FEN, bill_no=bill_no, issued_on=today.isoformat(), status="paid")
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    assert await spine.services.refresher.take_file(WATER, today) == 0
    assert not await Bill.filter(status="open").exists()


async def test_an_answer_that_was_overtaken_changes_nothing(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await spine.account(FEN)
    await spine.qr(number)
    gateway = spine.services.companies.get(WATER).gateway
    ask = gateway.query_bills

    async def overtaken(account_number: str, purpose: Literal["view", "quote"]) -> Bills:
        answer = await ask(account_number, purpose)
        monkeypatch.undo()
        await spine.bill(number, FEN + 1)
        await spine.services.refresher.refresh(await spine.row_of(number), "view")
        return answer

    monkeypatch.setattr(gateway, "query_bills", overtaken)
    await spine.services.refresher.refresh(await spine.row_of(number), "view")
    assert [bill.status for bill in await Bill.all()] == ["open", "open"]


async def test_who_reloads_a_page_does_not_wear_out_a_company_in_need(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN)
    token = await spine.qr(number)
    await spine.fault("company:water", "query_bills", "error", times=None, status=503)
    seen = [await spine.services.quotes.scan(token) for _ in range(9)]
    assert {owed.total_fen for owed in seen} == {None}, "unknown, whether it was asked or not"
    assert await spine.calls("company:water", "query_bills") == {number: 6}
    await spine.all_well()
    assert (await spine.quote(citizen, number)).quote.total_fen == FEN, "who pays is not held up"


async def test_a_new_holder_is_shown_to_who_scans(spine: Spine, citizen: Citizen) -> None:
    number = await spine.account(FEN, holder="张三")
    token = await spine.qr(number)
    assert (await spine.services.quotes.scan(token)).holder_masked == "张*"
    await spine.control("POST", f"/companies/{WATER}/accounts", {"number": number, "holder_name": "李四"})
    await spine.travel(timedelta(minutes=6))
    assert (await spine.services.quotes.scan(token)).holder_masked == "李*"
