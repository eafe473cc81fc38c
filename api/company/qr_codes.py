"""QR codes that companies print on bills and meters."""

from datetime import datetime
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from api.calls import Answer, Call
from api.company.signed import joined_company
from api.errors import RequestMalformed
from api.texts import Input, Output
from core import clock
from core.strict_json import JsonRefused, decode

T = TypeVar("T")


class QrCodeRequest(Input, frozen=True):
    """For which account, and what is printed beside it."""

    account_number: Annotated[str, Meta(min_length=1, max_length=30)]
    label: Annotated[str, Meta(max_length=40)] = ""


class QrCodeAnswer(Output, frozen=True):
    """The code to print."""

    token: str
    url: str
    created_at: datetime


class WeChatCodeRequest(Input, frozen=True):
    """Which code is to be drawn by WeChat, and as whose: the mini-program's own kind, or the official account's."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: Literal["mini_program", "official_account"] = "mini_program"
    width: Annotated[int, Meta(ge=280, le=1280)] = 430


class WeChatCodeAnswer(Output, frozen=True):
    """The drawn picture (base64) of a mini-program code; of the official account the text to draw and where it is drawn."""

    kind: Literal["mini_program", "official_account"]
    media_type: str | None
    picture: bytes | None
    content: str | None
    picture_url: str | None
    expires_at: datetime | None


class QrCodeRevocation(Input, frozen=True):
    """Which code ends."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]


async def issue(call: Call) -> Answer:
    company = await joined_company(call)
    body = _read(call, QrCodeRequest)
    issued = await call.services.qr_codes.issue(company, body.account_number, body.label)
    return Answer(QrCodeAnswer(issued.token, issued.url, issued.code.created_at))


async def draw(call: Call) -> Answer:
    company = await joined_company(call)
    body = _read(call, WeChatCodeRequest)
    codes = call.services.codes
    if body.kind == "mini_program":
        picture = await codes.mini_program_code(body.token, company, body.width)
        return Answer(WeChatCodeAnswer(body.kind, picture.media_type, picture.content, None, None, None))
    code = await codes.official_code(body.token, company)
    expires_at = None if code.life is None else clock.now() + code.life
    return Answer(WeChatCodeAnswer(body.kind, None, None, code.url, code.picture_url, expires_at))


async def revoke(call: Call) -> Answer:
    company = await joined_company(call)
    body = _read(call, QrCodeRevocation)
    await call.services.qr_codes.revoke(body.token, company)
    return Answer(None, 204)


def _read(call: Call, type_: type[T]) -> T:
    """Read the body only after the signature over it has been verified."""
    try:
        return decode(call.raw, type_)
    except JsonRefused as error:
        raise RequestMalformed(where="body", reason=error.where or error.reason) from None
