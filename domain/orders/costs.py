"""Who bears what an order costs outside the red line: recorded when it is accepted, dropped when it comes to nothing."""

from decimal import Decimal
from uuid import UUID

import msgspec

from core.crypto import Vault
from core.database import transaction
from core.errors import NotFound
from core.failpoint import failpoint
from domain.fees.bearing import Fees
from domain.fees.units import Kilowatts
from domain.orders.content import corrected
from domain.orders.papers import Papers
from models import audit
from models.application import Application
from models.lifecycle import SYSTEM, Actor
from models.service_order import OrderStatus, ServiceOrder

KIND = "service_order"
_NOTHING = (OrderStatus.REFUSED, OrderStatus.FAILED, OrderStatus.WITHDRAWN, OrderStatus.REASSIGNED)


class OrderCosts:
    """Keeps the claims of orders on whoever bears their cost."""

    def __init__(self, fees: Fees, papers: Papers, vault: Vault) -> None:
        self._fees = fees
        self._papers = papers
        self._vault = vault

    async def record(self, order_id: UUID) -> None:
        """Record who bears the cost of an accepted order by the power it asks for now; what is recorded so already stays as it is."""
        async with transaction():
            order = await ServiceOrder.filter(id=order_id).select_for_update().get()
            if order.accepted_at is None or order.status in _NOTHING:
                return
            application = await Application.get(id=order.application_id)
            kw = await self._kilowatts(order, application)
            area = application.area[:6] if application.area else None
            await self._fees.claim(KIND, order.id, order.company, area, kw, SYSTEM)
        failpoint("order.cost_recorded_committed")

    async def state(self, order_id: UUID, company: str | None, amount_fen: int, actor: Actor) -> None:
        """The company says what its order came to outside the red line; a later word takes the place of an earlier one, both are on record.

        Raises:
            NotFound: no order of this company that was accepted and has not come to nothing.
        """
        if not await ServiceOrder.exists(id=order_id, company=company):
            raise NotFound("service_order")
        await self.record(order_id)
        async with transaction():
            await self._fees.state_cost(KIND, order_id, amount_fen)
            await audit.record(actor, "fee_claim.cost_stated", KIND, order_id, f"amount_fen={amount_fen}")

    async def drop(self, order_id: UUID) -> None:
        """The order comes to nothing: nobody bears anything."""
        await self._fees.drop(KIND, order_id)

    async def _kilowatts(self, order: ServiceOrder, application: Application) -> Kilowatts | None:
        if order.service != "power":
            return None
        assert application.answers is not None
        sealed = self._vault.open_bytes(application.answers, "application.answers", application.id)
        answers = msgspec.json.decode(sealed)
        for paper in await self._papers.of([order.id], ["answer"]):
            answers = corrected(answers, paper.content["changes"])
        return Kilowatts(Decimal(str(answers["power"]["applied_kw"])))
