"""The error answers of WeChat Pay: code, HTTP status, sentence."""

from typing import Final

STATUSES: Final = {
    "PARAM_ERROR": 400,
    "INVALID_REQUEST": 400,
    "APPID_MCHID_NOT_MATCH": 400,
    "MCH_NOT_EXISTS": 400,
    "NO_STATEMENT_EXIST": 400,
    "ORDER_CLOSED": 400,
    "ORDER_PAID": 400,
    "STATEMENT_CREATING": 400,
    "SIGN_ERROR": 401,
    "NO_AUTH": 403,
    "NOT_ENOUGH": 403,
    "OUT_TRADE_NO_USED": 403,
    "USER_ACCOUNT_ABNORMAL": 403,
    "ORDER_NOT_EXIST": 404,
    "RESOURCE_NOT_EXISTS": 404,
    "FREQUENCY_LIMITED": 429,
    "OPENID_MISMATCH": 500,
    "SYSTEM_ERROR": 500,
}
"""Every code we answer with, and its HTTP status."""


class WechatPayError(Exception):
    """What WeChat Pay refuses: `code` is a key of STATUSES, the text is its sentence, `detail` names a field."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUSES[code]
        self.field = field

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        answer: dict[str, object] = {"code": self.code, "message": str(self)}
        if self.field:
            answer["detail"] = {"location": "body", "field": self.field, "issue": str(self)}
        return answer


def wrong(field: str, issue: str) -> WechatPayError:
    """A parameter that breaks its rule."""
    return WechatPayError("PARAM_ERROR", f"参数错误：{field} {issue}", field)
