"""A file that breaks our own reading keeps no other merchant's waiting."""

from datetime import date
from typing import NoReturn

import pytest

from cities.loader import load_city
from core.database import fetch
from models.payment import Payment
from payments.providers.bills import DayBill, NoBill
from payments.reconciliation.running import Party, Reconciling


class _Files:
    """There was nothing that day, but for a merchant whose file nobody has foreseen."""

    async def day_bill(self, day: date, party: str) -> DayBill:
        if party == "odd":
            raise ZeroDivisionError
        raise NoBill


async def _nobody_asks(_payment: Payment) -> NoReturn:
    raise AssertionError


async def test_one_merchants_odd_file_keeps_no_other_waiting(database: None) -> None:
    parties = [Party("provider", name, "water") for name in ("odd", "even")]
    reconciling = Reconciling({"provider": _Files()}, parties, _nobody_asks, load_city("ezhou"))
    with pytest.raises(ZeroDivisionError):
        await reconciling.tick()
    states = await fetch("select distinct party, status from reconciliation_run order by party")
    assert [tuple(row) for row in states] == [("even", "matched"), ("odd", "waiting")]
