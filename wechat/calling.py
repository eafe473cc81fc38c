"""Calls of one app to the platform, under the token that all processes share."""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from core.outbound import Answer, Counterpart
from wechat.answers import errcode_of, read_json
from wechat.codes import TOKEN_STALE
from wechat.token import TokenKeeper

T = TypeVar("T")


class AppCalls:
    """POST with the access token; one that the platform refuses is fetched again, once."""

    def __init__(self, counterpart: Counterpart, tokens: TokenKeeper) -> None:
        self.counterpart = counterpart
        self._tokens = tokens

    async def post(self, operation: str, path: str, body: object, type_: type[T], *, retry: bool = True) -> T:
        """The typed answer; `retry`: doing it twice does no harm.

        Raises:
            WeChatRefused, NotSent, OutcomeUnknown, MalformedAnswer.
        """
        return read_json(self.counterpart.name, operation, await self.send(operation, path, body, retry=retry), type_)

    async def send(
        self, operation: str, path: str, body: object, *, retry: bool = True, max_answer_bytes: int | None = None
    ) -> Answer:
        """The answer as it came. When the platform refuses the token nothing was done: fetch it again once and repeat."""
        token = await self._tokens.get()
        answer = await self._send_once(operation, path, body, token, retry, max_answer_bytes)
        if errcode_of(answer) not in TOKEN_STALE:
            return answer
        token = await self._tokens.refetch(token)
        return await self._send_once(operation, path, body, token, retry, max_answer_bytes)

    async def _send_once(
        self, operation: str, path: str, body: object, token: str, retry: bool, max_answer_bytes: int | None
    ) -> Answer:
        return await self.counterpart.request(
            "POST",
            f"{path}?access_token={quote(token, safe='')}",
            operation=operation,
            headers={"Content-Type": "application/json"},
            content=msgspec.json.encode(body),
            idempotent=retry,
            max_answer_bytes=max_answer_bytes,
        )
