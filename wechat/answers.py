"""What the platform's answers say: HTTP 200 with an errcode inside, absent or 0 when it did what was asked."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from core.outbound import Answer, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from wechat.codes import IGNORED, refusal

T = TypeVar("T")


class _Verdict(msgspec.Struct, frozen=True):
    errcode: Annotated[int, Meta(ge=-(2**31), le=2**31)] = 0


def check_status(counterpart: str, operation: str, answer: Answer) -> None:
    """Let through nothing but a 200.

    Raises:
        OutcomeUnknown: 5xx. MalformedAnswer: anything else, which the platform does not send.
    """
    if answer.status >= 500:
        raise OutcomeUnknown(counterpart, operation, "server_error")
    if answer.status != 200:
        raise MalformedAnswer(counterpart, operation, "status")


def read_json(counterpart: str, operation: str, answer: Answer, type_: type[T]) -> T:
    """The typed answer of a call that succeeded.

    Raises:
        WeChatRefused: the platform refused.
        OutcomeUnknown: 5xx.
        MalformedAnswer: not an answer of the platform.
    """
    check_status(counterpart, operation, answer)
    try:
        verdict = decode(answer.content, _Verdict)
        if verdict.errcode not in IGNORED:
            raise refusal(operation, verdict.errcode)
        return decode(answer.content, type_)
    except JsonRefused as error:
        raise MalformedAnswer(counterpart, operation, error.reason) from error


def errcode_of(answer: Answer) -> int | None:
    """The errcode of an answer, ``None`` when it is no such JSON (an image, for example)."""
    try:
        return decode(answer.content, _Verdict).errcode if answer.status == 200 else None
    except JsonRefused:
        return None
