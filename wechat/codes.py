"""The platform's errcodes as data. WeChat answers HTTP 200 even when it refuses: success is an errcode that is absent or 0."""

from core.errors import LianbanError
from core.log import get_logger
from core.outbound import FailureKind

log = get_logger(__name__)

_PERMANENT, _TEMPORARY, _TECHNICAL = FailureKind.PERMANENT, FailureKind.TEMPORARY, FailureKind.TECHNICAL

IGNORED = frozenset({0})
TOKEN_STALE = frozenset({40001, 40014, 42001})
"""The access token is wrong or has expired: fetch it again once, try again once."""

BAD_LOGIN_CODE = 40029
NO_CREDIT = 43101
"""The user refused, or no one-off credit is left: the truth about the credit ledger."""

NOT_FOLLOWING = 43004
"""The person does not follow the official account: the truth about our list of followers."""

ERRCODES: dict[int, FailureKind] = {
    -1: _TEMPORARY,  # platform busy
    40001: _TECHNICAL,  # token wrong or secret wrong
    40003: _PERMANENT,  # bad openid
    40013: _TECHNICAL,  # the code belongs to another appid
    40014: _TECHNICAL,  # token wrong
    BAD_LOGIN_CODE: _PERMANENT,  # code wrong, used or older than five minutes
    40036: _TECHNICAL,  # template id of wrong length
    40037: _TECHNICAL,  # no such template
    40125: _TECHNICAL,  # wrong secret
    40163: _PERMANENT,  # code already used
    40164: _TECHNICAL,  # our address is not in the white list
    40226: _PERMANENT,  # high-risk user, blocked by the platform
    41030: _TECHNICAL,  # page not in the released version
    42001: _TECHNICAL,  # token expired
    NOT_FOLLOWING: _PERMANENT,  # does not follow the official account
    NO_CREDIT: _PERMANENT,
    45009: _TEMPORARY,  # daily quota or calls per minute
    45011: _TEMPORARY,  # too often for this user
    45103: _TECHNICAL,  # withdrawn interface
    45109: _TECHNICAL,  # withdrawn interface
    47003: _TECHNICAL,  # a template value does not fit
    48001: _TECHNICAL,  # interface not granted to this account
}


class WeChatRefused(LianbanError):
    """The platform refused. `errcode` is its own number, `kind` whose fault it is (``unknown`` when the number is not in the table)."""

    code = "wechat_refused"

    def __init__(self, operation: str, errcode: int, kind: FailureKind) -> None:
        super().__init__(f"{operation}: errcode {errcode}")
        self.operation = operation
        self.errcode = errcode
        self.kind = kind


def refusal(operation: str, errcode: int) -> WeChatRefused:
    """The error for an errcode other than 0; an unknown number is loud."""
    kind = ERRCODES.get(errcode)
    if kind is None:
        log.error("wechat.errcode_unknown", operation=operation, errcode=errcode)
        kind = FailureKind.UNKNOWN
    elif kind is _TECHNICAL:
        log.error("wechat.errcode_technical", operation=operation, errcode=errcode)
    return WeChatRefused(operation, errcode, kind)
