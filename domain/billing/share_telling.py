"""Telling family members and those who let them: a share was taken, used to pay, or has ended."""

from typing import Any

from cities.schema import City
from core.database import fetch
from domain.billing.accounts import Accounts
from models.lifecycle import Event
from models.payment import Payment
from models.share import Share
from models.utility_account import UtilityAccount
from notifications.intents import Intents

# One message for each owner, though the payment may be of several of his accounts.
_PAID_THROUGH = """
select b.person_id as owner_id, min(u.share_id::text)::uuid as share_id, sum(part.amount_fen)::bigint as amount_fen
from access_use u join account_share s on s.id = u.share_id join binding b on b.id = s.binding_id
join payment_part part on part.payment_id = u.subject_id join quote q on q.id = part.quote_id and q.account_id = u.account_id
where u.subject_id = $1 and u.action = 'payment.created' and b.revoked_at is null group by b.person_id
"""


class ShareTelling:
    """Turns what happens to shares into message intents."""

    def __init__(self, city: City, accounts: Accounts, intents: Intents) -> None:
        self._city = city
        self._accounts = accounts
        self._intents = intents

    async def accepted(self, event: Event) -> None:
        """The owner, who may know the member no more than by the code's way; and the member, whose uses are written down from now on."""
        share = await self._share(event)
        values = self._values(share)
        more = {"member_label": share.label, "at": share.accepted_at}
        await self._intents.intend("share.accepted", event.id, share.binding.person_id, values | more)
        received = "share.received_to_pay" if share.may_pay else "share.received_to_read"
        await self._intents.intend(received, event.id, share.member_id, values | {"at": share.accepted_at})

    async def ended(self, event: Event) -> None:
        """The one who did not end it."""
        share = await self._share(event)
        values = self._values(share) | {"at": share.ended_at}
        if share.ended_by == "member":
            more = {"member_label": share.label}
            await self._intents.intend("share.left", event.id, share.binding.person_id, values | more)
        else:
            del values["account_id"]
            await self._intents.intend("share.ended", event.id, share.member_id, values)

    async def paid(self, event: Event) -> None:
        """The owner of the binding, when a family member has paid his bill; how is the payer's own business."""
        payment = await Payment.get(id=event.subject_id)
        for row in await fetch(_PAID_THROUGH, payment.id):
            share = await Share.get(id=row["share_id"]).prefetch_related("binding__account")
            more = {
                "member_label": share.label,
                "amount_fen": row["amount_fen"],
                "bill_name": self._city.company(share.binding.account.company).bill_name,
                "at": payment.paid_at or event.at,
            }
            await self._intents.intend("share.paid", event.id, row["owner_id"], self._values(share) | more)

    async def _share(self, event: Event) -> Share:
        return await Share.get(id=event.subject_id).prefetch_related("binding__account")

    def _values(self, share: Share) -> dict[str, Any]:
        account: UtilityAccount = share.binding.account
        return {
            "company": self._city.company(account.company).short_name,
            "account_number": self._accounts.number(account),
            "account_id": str(account.id),
        }
