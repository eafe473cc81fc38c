"""Service orders at a company's gateway (docs/company-gateway.md §11): told until answered under one id, asked about when unknown."""

import msgspec

from core.strict_json import decode
from gateways.company_line import CompanyLine, CompanyRefusal
from gateways.company_order_types import (
    NO_SUCH_ORDER,
    OrderNotice,
    OrderReceipt,
    OrderStanding,
    SentOrder,
)
from gateways.company_types import ContentWrong, check_no_twins, check_path_part


class CompanyOrders(CompanyLine):
    """The operations on service orders."""

    async def send_order(self, order: SentOrder) -> OrderReceipt:
        """§11.1. Send again under the same id and revision as often as needed: the company has it once.

        Raises:
            CompanyRefusal: EO0002 the id with another content, EO0004 no service of this company's; or technical, temporary: send later.
            OutcomeUnknown: ask with :meth:`query_order`.
        """
        check_path_part(order.order_id)
        answer = await self._ask("send_order", "/service-orders", order)
        return self._read("send_order", lambda: _receipt(answer, order.order_id, order.revision))

    async def query_order(self, order_id: str) -> OrderStanding | None:
        """§11.2. With every report so far; ``None`` when nothing with this id ever arrived there."""
        check_path_part(order_id)
        try:
            answer = await self._call("GET", "query_order", f"/service-orders/{order_id}")
        except CompanyRefusal as refusal:
            if refusal.company_code == NO_SUCH_ORDER:
                return None
            raise
        return self._read("query_order", lambda: _standing(answer, order_id))

    async def withdraw_order(self, order_id: str, reason: str) -> OrderReceipt:
        """§11.3. Withdrawing again is answered the same.

        Raises:
            CompanyRefusal: EO0001 never arrived, EO0003 construction has begun.
        """
        answer = await self._ask(
            "withdraw_order", "/service-orders/withdrawals", {"order_id": order_id, "reason": reason}
        )
        return self._read("withdraw_order", lambda: _receipt(answer, order_id, None))

    async def order_notice(self, notice: OrderNotice) -> None:
        """§11.4. Returns when the company has taken the notice.

        Raises:
            CompanyRefusal: EO0001 it has no such order, EO0002 the notice's id with another content.
        """
        answer = await self._ask("order_notice", "/service-orders/notices", notice)
        self._read("order_notice", lambda: _noticed(answer, notice.notice_id))


class _Noticed(msgspec.Struct, frozen=True):
    notice_id: str
    status: str


def _receipt(body: bytes, order_id: str, revision: int | None) -> OrderReceipt:
    receipt = decode(body, OrderReceipt)
    if receipt.order_id != order_id or (revision is not None and receipt.revision != revision):
        raise ContentWrong("other_order")
    if (receipt.status == "withdrawn") != (revision is None):
        raise ContentWrong("status")
    return receipt


def _standing(body: bytes, order_id: str) -> OrderStanding:
    standing = decode(body, OrderStanding)
    if standing.order_id != order_id or any(report.order_id != order_id for report in standing.reports):
        raise ContentWrong("other_order")
    check_no_twins((report.sequence for report in standing.reports), "report_twice")
    return standing


def _noticed(body: bytes, notice_id: str) -> None:
    answer = decode(body, _Noticed)
    if answer.notice_id != notice_id or answer.status != "taken":
        raise ContentWrong("notice_not_taken")
