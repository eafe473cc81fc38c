"""The error answers of Alipay's gateway: code, sub_code, sentence."""

from typing import Final

MESSAGES: Final = {
    "20000": "Service Currently Unavailable",
    "20001": "Insufficient Token Permissions",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40004": "Business Failed",
    "40006": "Insufficient Permissions",
}
"""Every code we answer with."""


class AlipayError(Exception):
    """What the gateway refuses: `code` is a key of MESSAGES; the text is the sub_msg."""

    def __init__(self, code: str, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_msg)
        self.code = code
        self.sub_code = sub_code

    def body(self) -> dict[str, str]:
        """The members of the answer."""
        return {"code": self.code, "msg": MESSAGES[self.code], "sub_code": self.sub_code, "sub_msg": str(self)}


def missing(name: str) -> AlipayError:
    """A common parameter that is not there."""
    return AlipayError("40001", f"isv.missing-{name}", f"缺少 {name} 参数")


def invalid(name: str, issue: str) -> AlipayError:
    """A common parameter that breaks its rule."""
    return AlipayError("40002", f"isv.invalid-{name}", issue)


def business(reason: str, text: str) -> AlipayError:
    """A refusal of the trade system."""
    return AlipayError("40004", f"ACQ.{reason}", text)
