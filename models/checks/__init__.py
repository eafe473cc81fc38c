"""What must always hold, as SQL over our tables; ``lianban check`` runs it, in one snapshot and with read access only.

Each check counts the rows it examines and selects ``(id, what)`` of every violation. ``check_now()`` in the text stands for the
moment the caller gave (see :data:`NOW`); work that a job does within moments is a violation only once it is overdue.
"""

from models import (
    application,
    bill,
    credit,
    mandate,
    material,
    message,
    order_request,
    order_telling,
    payment,
    permit,
    platform_push,
    posting,
    reconciliation,
    refund,
    service_order,
    share,
    supervision,
    survey,
    tolerance,
)
from models.checks.access import ACCESS, SHARES
from models.checks.accounts import ACCOUNTS
from models.checks.applications import CASES
from models.checks.deadlines import DEADLINES
from models.checks.money import BILLS, MONEY, PAID, REFUNDS
from models.checks.states import MESSAGES, OUTSIDE, STATES
from models.lifecycle import LIFECYCLES

NOW = "lianban.check_now"
"""The transaction's setting that holds the moment to judge by, as text with its offset."""


def _now(text: str) -> str:
    return text.replace("check_now()", f"current_setting('{NOW}')::timestamptz")


CHECKS = tuple(
    check._replace(violations=_now(check.violations))
    for check in (
        *MONEY,
        *BILLS,
        *REFUNDS,
        *PAID,
        *OUTSIDE,
        *STATES,
        *MESSAGES,
        *DEADLINES,
        *CASES,
        *ACCESS,
        *ACCOUNTS,
        *SHARES,
    )
)
"""All checks in the order of the rules."""

NOT_EXAMINED = {
    14: "还没有户主的表：“任一时刻恰有一位户主”无从核对，这里核对的是绑定",
}
"""What the rule of this number says beyond the checks above, and why it is not examined."""

_LAWS = (
    application.APPLICATION,
    service_order.SERVICE_ORDER,
    order_telling.ORDER_TELLING,
    platform_push.PLATFORM_PUSH,
    platform_push.PLATFORM_REPORT,
    order_request.ORDER_REQUEST,
    survey.SURVEY,
    bill.BILL,
    payment.PAYMENT,
    posting.POSTING,
    reconciliation.RECONCILIATION_RUN,
    reconciliation.RECONCILIATION_ITEM,
    refund.REFUND,
    message.MESSAGE,
    share.ACCOUNT_SHARE,
    mandate.MANDATE,
    material.MATERIAL,
    supervision.SUPERVISION,
    permit.PERMIT,
    tolerance.TOLERANCE,
    credit.CREDIT_RECORD,
)
assert set(LIFECYCLES.values()) == set(_LAWS), "a lifecycle is registered by importing its module: import it above"
