"""Alipay's error codes as data: the gateway's ``code``, and the ``sub_code`` that says what it means.

From the error tables of the gateway and of trade.wap.pay, trade.query, trade.close, trade.refund and trade.fastpay.refund.query; those
of bill.downloadurl.query as merchants have met them, which is not how its table spells them.
"""

from core.log import get_logger
from core.outbound import FailureKind

log = get_logger(__name__)

_PERMANENT, _TEMPORARY = FailureKind.PERMANENT, FailureKind.TEMPORARY
_TECHNICAL, _UNKNOWN = FailureKind.TECHNICAL, FailureKind.UNKNOWN

SUCCESS = "10000"
TRADE_NOT_EXIST = "ACQ.TRADE_NOT_EXIST"
BILL_NOT_EXIST = "isp.bill_not_exist"
"""No bill of that day, or none yet."""
NOT_IN_THIS_STATE = frozenset(
    {"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"}
)
"""A close that finds the trade paid or closed already: only a query tells which."""

CODES: dict[str, FailureKind] = {
    "10003": _UNKNOWN,  # the payer is paying
    "20000": _UNKNOWN,
    "20001": _TECHNICAL,
    "40001": _TECHNICAL,
    "40002": _TECHNICAL,
    "40003": _TECHNICAL,
    "40004": _UNKNOWN,  # a business failure, which its sub_code decides
    "40005": _TEMPORARY,  # too many calls
    "40006": _TECHNICAL,
}
"""What an answer means whose sub_code is missing."""

SUB_CODES: dict[str, FailureKind] = {
    "isp.unknow-error": _UNKNOWN,
    "aop.unknow-error": _UNKNOWN,
    "aop.invalid-auth-token": _TECHNICAL,
    "aop.auth-token-time-out": _TECHNICAL,
    "aop.invalid-app-auth-token": _TECHNICAL,
    "aop.invalid-app-auth-token-no-api": _TECHNICAL,
    "aop.app-auth-token-time-out": _TECHNICAL,
    "aop.no-product-reg-by-partner": _TECHNICAL,
    "isv.missing-method": _TECHNICAL,
    "isv.missing-signature": _TECHNICAL,
    "isv.missing-signature-type": _TECHNICAL,
    "isv.missing-signature-key": _TECHNICAL,
    "isv.missing-signature-config": _TECHNICAL,
    "isv.missing-app-id": _TECHNICAL,
    "isv.missing-timestamp": _TECHNICAL,
    "isv.missing-version": _TECHNICAL,
    "isv.missing-charset": _TECHNICAL,
    "isv.invalid-parameter": _TECHNICAL,
    "isv.invalid-method": _TECHNICAL,
    "isv.invalid-format": _TECHNICAL,
    "isv.invalid-signature-type": _TECHNICAL,
    "isv.invalid-signature": _TECHNICAL,
    "isv.invalid-app-id": _TECHNICAL,
    "isv.invalid-timestamp": _TECHNICAL,
    "isv.invalid-charset": _TECHNICAL,
    "isv.invalid-version": _TECHNICAL,
    "isv.invalid-content-type": _TECHNICAL,
    "isv.app-cert-sn-invalid": _TECHNICAL,
    "isv.root-cert-sn-invalid": _TECHNICAL,
    "isv.not-support-app-auth": _TECHNICAL,
    "isv.suspected-attack": _TECHNICAL,
    "isv.insufficient-isv-permissions": _TECHNICAL,
    "isv.insufficient-user-permissions": _TECHNICAL,
    "isv.app-call-limited": _TEMPORARY,
    BILL_NOT_EXIST: _TEMPORARY,
    "isv.invalid_arguments": _TECHNICAL,
    "invalid_arguments": _TECHNICAL,
    "ACQ.SYSTEM_ERROR": _UNKNOWN,
    "ACQ.INVALID_PARAMETER": _TECHNICAL,
    "ACQ.ACCESS_FORBIDDEN": _TECHNICAL,
    "ACQ.PARTNER_ERROR": _TECHNICAL,
    "ACQ.CONTEXT_INCONSISTENT": _TECHNICAL,
    "ACQ.SELLER_NOT_EXIST": _TECHNICAL,
    TRADE_NOT_EXIST: _PERMANENT,
    "ACQ.TRADE_HAS_SUCCESS": _PERMANENT,
    "ACQ.TRADE_HAS_CLOSE": _PERMANENT,
    "ACQ.TRADE_STATUS_ERROR": _PERMANENT,
    "ACQ.REASON_TRADE_STATUS_INVALID": _PERMANENT,
    "ACQ.REASON_ILLEGAL_STATUS": _PERMANENT,
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": _TEMPORARY,  # refund: the merchant's balance is too small today
    "ACQ.REFUND_CHARGE_ERROR": _TEMPORARY,
    "ACQ.REASON_TRADE_BEEN_FREEZEN": _TEMPORARY,
    "ACQ.DISCORDANT_REPEAT_REQUEST": _TECHNICAL,  # the same refund number with another amount
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": _PERMANENT,
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": _PERMANENT,
    "ACQ.REFUND_FEE_ERROR": _PERMANENT,
    "ACQ.TRADE_HAS_FINISHED": _PERMANENT,
    "ACQ.TRADE_NOT_ALLOW_REFUND": _PERMANENT,
    "ACQ.NOT_ALLOW_PARTIAL_REFUND": _PERMANENT,
    "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_ABNORMAL": _PERMANENT,
    "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND": _PERMANENT,
    "ACQ.BUYER_ERROR": _PERMANENT,
    "ACQ.BUYER_NOT_EXIST": _PERMANENT,
    "ACQ.CUSTOMER_VALIDATE_ERROR": _PERMANENT,
    "ACQ.USER_NOT_MATCH_ERR": _PERMANENT,
}


def kind_of(code: str, sub_code: str | None) -> FailureKind:
    """Whose fault an answer is. A code or sub_code that is not in the tables is loud, and its outcome unknown."""
    kind = SUB_CODES.get(sub_code) if sub_code else CODES.get(code)
    if kind is None:
        log.error("alipay.code_unknown", error_code=code, sub_code=sub_code)
        return FailureKind.UNKNOWN
    if kind is FailureKind.TECHNICAL:
        log.error("alipay.code_technical", error_code=code, sub_code=sub_code)
    return kind
