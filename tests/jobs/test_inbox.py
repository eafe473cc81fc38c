"""What comes in is worked on once, and what can come to nothing is not tried for ever."""

import msgspec

from core import clock
from core.database import transaction
from gateways.companies import Account, AccountStatus
from models import inbox
from models.inbox import InboxItem
from tests.harness.spine import WATER, Spine


async def test_an_account_of_which_the_company_says_nothing_any_more_is_asked_about_once(spine: Spine) -> None:
    services, number = spine.services, "0209999999"
    async with transaction():
        known = Account(number, "water", AccountStatus.OPEN, "张*", "鄂城区***")
        await services.accounts.remember(services.companies.get(WATER), number, known)
    event = {"event_id": "e1", "type": "bills.changed", "at": clock.now(), "data": {"account_number": number}}
    await inbox.store(services.vault, f"company:{WATER}", "e1", "bills.changed", msgspec.json.encode(event))
    assert await spine.jobs.run() == ["inbox.process"]
    item = await InboxItem.get(key="e1")
    assert (item.processed_at is not None, item.outcome) == (True, "refused")
