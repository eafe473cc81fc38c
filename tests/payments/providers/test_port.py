"""Money is ours only when every field says so."""

from datetime import UTC, datetime
from typing import Any

import pytest

from payments.providers.port import (
    ExpectedTrade,
    RefundAnswer,
    RefundRequest,
    RefundState,
    Trade,
    TradeState,
    refund_matches,
    trade_matches,
)

EXPECTED = ExpectedTrade("LB20261123000001", "1900000001", "1900000101", "wx1", 4660)
RIGHT = Trade(TradeState.PAID, "LB20261123000001", "1900000001", "1900000101", "wx1", 4660, "CNY", "42000")
ASKED = RefundRequest("LBR1", "LB20261123000001", "1900000101", 1000, 4660, "多收退回", "https://x/notify")
ANSWERED = RefundAnswer(RefundState.SUCCESS, "LBR1", "LB20261123000001", "500", 1000, 4660)


def changed(value: Any, change: dict[str, Any]) -> Any:
    names = value.__dataclass_fields__
    return type(value)(**({name: getattr(value, name) for name in names} | change))


def test_a_trade_equal_in_every_field_is_ours() -> None:
    assert trade_matches(RIGHT, EXPECTED) == []


@pytest.mark.parametrize(
    "change",
    [
        {"order_no": "LB20261123000002"},
        {"platform_merchant": "1900000002"},
        {"merchant": "1900000102"},
        {"app": "wx2"},
        {"app": None},
        {"amount_fen": 4659},
        {"amount_fen": 0},
        {"amount_fen": None},
        {"currency": "USD"},
        {"currency": None},
    ],
)
def test_one_field_that_differs_or_is_missing_is_named(change: dict[str, Any]) -> None:
    assert trade_matches(changed(RIGHT, change), EXPECTED) == list(change)


def test_all_differences_are_named_at_once() -> None:
    assert trade_matches(changed(RIGHT, {"merchant": "x", "amount_fen": 1}), EXPECTED) == ["merchant", "amount_fen"]


def test_a_refund_is_compared_field_by_field_with_what_was_asked() -> None:
    assert refund_matches(ANSWERED, ASKED) == []
    assert refund_matches(changed(ANSWERED, {"merchant": "1900000101", "currency": "CNY"}), ASKED) == []
    for change in (
        {"refund_no": "LBR2"},
        {"order_no": "x"},
        {"refund_fen": 1001},
        {"total_fen": 4661},
        {"merchant": "1900000102"},
        {"currency": "USD"},
    ):
        assert refund_matches(changed(ANSWERED, change), ASKED) == list(change)


def test_a_trade_with_a_refund_was_paid() -> None:
    assert [state for state in TradeState if state.was_paid] == [TradeState.PAID, TradeState.REFUNDED]


def test_the_payer_does_not_show_in_a_log() -> None:
    assert "oPayer" not in repr(changed(RIGHT, {"payer": "oPayer", "succeeded_at": datetime(2026, 11, 23, tzinfo=UTC)}))
