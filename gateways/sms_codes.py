"""What the supplier of text messages answers, as data (Tencent Cloud SMS 2021-01-11, "错误码"); an unknown code is loud.

A code stands here whole or as its first part (``AuthFailure``); the whole one wins.
"""

from core.errors import LianbanError
from core.log import get_logger
from core.outbound import FailureKind

log = get_logger(__name__)

_PERMANENT, _TEMPORARY, _TECHNICAL, _UNKNOWN = (
    FailureKind.PERMANENT,
    FailureKind.TEMPORARY,
    FailureKind.TECHNICAL,
    FailureKind.UNKNOWN,
)

OK = "Ok"

SMS_CODES: dict[str, FailureKind] = {
    "AuthFailure": _TECHNICAL,
    "FailedOperation.ContainSensitiveWord": _TECHNICAL,
    "FailedOperation.FailResolvePacket": _TECHNICAL,
    "FailedOperation.InsufficientBalanceInSmsPackage": _TECHNICAL,
    "FailedOperation.MissingTemplateToModify": _TECHNICAL,
    "FailedOperation.PhoneNumberInBlacklist": _PERMANENT,
    "FailedOperation.SignatureIncorrectOrUnapproved": _TECHNICAL,
    "FailedOperation.TemplateIncorrectOrUnapproved": _TECHNICAL,
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": _TECHNICAL,
    "FailedOperation.TemplateUnapprovedOrNotExist": _TECHNICAL,
    "InternalError": _UNKNOWN,  # it may have left
    "InvalidParameter": _TECHNICAL,
    "InvalidParameterValue": _TECHNICAL,
    "InvalidParameterValue.IncorrectPhoneNumber": _PERMANENT,
    "LimitExceeded.DeliveryFrequencyLimit": _TEMPORARY,
    "LimitExceeded.PhoneNumberDailyLimit": _PERMANENT,
    "LimitExceeded.PhoneNumberOneHourLimit": _TEMPORARY,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": _PERMANENT,
    "LimitExceeded.PhoneNumberThirtySecondLimit": _TEMPORARY,
    "LimitExceeded.AppDailyLimit": _TECHNICAL,
    "LimitExceeded.AppMainlandChinaDailyLimit": _TECHNICAL,
    "MissingParameter": _TECHNICAL,
    "RequestLimitExceeded": _TEMPORARY,
    "ResourceUnavailable": _TEMPORARY,
    "UnauthorizedOperation": _TECHNICAL,
    "UnknownParameter": _TECHNICAL,
    "UnsupportedOperation": _PERMANENT,
}


class SmsRefused(LianbanError):
    """The supplier refused; surely nothing left. `supplier_code` is its own word, `kind` whose fault it is."""

    code = "sms_refused"

    def __init__(self, supplier_code: str, kind: FailureKind) -> None:
        super().__init__(supplier_code)
        self.supplier_code = supplier_code
        self.kind = kind


def kind_of(supplier_code: str) -> FailureKind:
    """Whose fault a code is; :attr:`FailureKind.UNKNOWN` also for one nobody knows."""
    kind = SMS_CODES.get(supplier_code) or SMS_CODES.get(supplier_code.partition(".")[0])
    if kind is None:
        log.error("sms.code_unknown", supplier_code=supplier_code[:80])
        return _UNKNOWN
    if kind is _TECHNICAL:
        log.error("sms.code_technical", supplier_code=supplier_code)
    return kind
