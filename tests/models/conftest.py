"""Rows that the tests of tables start from: ``person``, ``bill``."""

import pytest

from core import clock, ids
from models.bill import BILL, Bill, BillStatus
from models.lifecycle import Actor, born
from models.person import Person
from models.utility_account import UtilityAccount

WATER = Actor("company", "water")


@pytest.fixture
async def person(database: None) -> Person:
    """Somebody."""
    return await Person.create(id=ids.new_id(), level=1, created_at=clock.now())


@pytest.fixture
async def bill(database: None) -> Bill:
    """An open bill, with its journal."""
    account = await UtilityAccount.create(
        id=ids.new_id(),
        company="water",
        service="water",
        number=b"sealed",
        number_index=b"index",
        created_at=clock.now(),
    )
    row = await Bill.create(
        id=ids.new_id(), account_id=account.id, company="water", bill_no="W1", period="2026-10", status=BillStatus.OPEN,
        issued_on=clock.today(), principal_fen=1000, late_fee_fen=0, payable_fen=1000, checked_at=clock.now(),
    )  # fmt: skip
    await born(BILL, row, WATER)
    return row
