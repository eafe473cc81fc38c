"""WeChat Pay's error codes as data. They come with and without underscores; both spellings mean the same."""

from core.log import get_logger
from core.outbound import FailureKind

log = get_logger(__name__)

_PERMANENT, _TEMPORARY = FailureKind.PERMANENT, FailureKind.TEMPORARY
_TECHNICAL, _UNKNOWN = FailureKind.TECHNICAL, FailureKind.UNKNOWN

NO_STATEMENT_EXIST = "NO_STATEMENT_EXIST"
ORDER_CLOSED = "ORDER_CLOSED"
ORDER_NOT_EXIST = "ORDER_NOT_EXIST"
ORDER_PAID = "ORDER_PAID"
RESOURCE_NOT_EXISTS = "RESOURCE_NOT_EXISTS"
STATEMENT_CREATING = "STATEMENT_CREATING"

CODES: dict[str, FailureKind] = {
    "PARAM_ERROR": _TECHNICAL,
    "INVALID_REQUEST": _TECHNICAL,  # also: the same order number with other parameters
    "APPID_MCHID_NOT_MATCH": _TECHNICAL,
    "MCH_NOT_EXISTS": _TECHNICAL,
    "SIGN_ERROR": _TECHNICAL,
    "NO_AUTH": _TECHNICAL,
    ORDER_CLOSED: _PERMANENT,
    ORDER_PAID: _PERMANENT,
    ORDER_NOT_EXIST: _PERMANENT,
    RESOURCE_NOT_EXISTS: _PERMANENT,
    NO_STATEMENT_EXIST: _PERMANENT,  # bill: no trades that day
    STATEMENT_CREATING: _TEMPORARY,  # bill: it is being written
    "OUT_TRADE_NO_USED": _PERMANENT,
    "OPENID_MISMATCH": _PERMANENT,
    "RULE_LIMIT": _PERMANENT,
    "TRADE_ERROR": _PERMANENT,
    "ACCOUNT_ERROR": _PERMANENT,
    "USER_ACCOUNT_ABNORMAL": _PERMANENT,  # refund: the payer's account is gone
    "NOT_ENOUGH": _TEMPORARY,  # refund: the merchant's balance is too small today
    "FREQUENCY_LIMITED": _TEMPORARY,
    "RATELIMIT_EXCEEDED": _TEMPORARY,
    "SYSTEM_ERROR": _UNKNOWN,
    "USERPAYING": _UNKNOWN,
}

_BY_PLAIN_SPELLING = {code.replace("_", ""): code for code in CODES}


def canonical(code: str) -> str:
    """The spelling of our table; a code that is not in it stays as it came."""
    return _BY_PLAIN_SPELLING.get(code.replace("_", "").upper(), code)


def kind_of(code: str) -> FailureKind:
    """Whose fault a code is. One that is not in the table is loud, and its outcome unknown."""
    kind = CODES.get(canonical(code))
    if kind is None:
        log.error("wechat_pay.code_unknown", error_code=code)
        return FailureKind.UNKNOWN
    if kind is FailureKind.TECHNICAL:
        log.error("wechat_pay.code_technical", error_code=code)
    return kind
