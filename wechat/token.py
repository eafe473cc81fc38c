"""The access token of an app, one for all processes.

``stable_token`` answers the same token for as long as it lives, so fetching twice harms nobody; what has to be avoided is a crowd
fetching at once. The token lies encrypted in Redis under one key per app; in the platform's last five minutes, when old and new
are both valid, the process that gets the lock renews it while the others go on with the old one. When Redis is away, each process
keeps its own copy in memory.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core import clock
from core.errors import LianbanError
from core.log import get_logger
from core.outbound import Counterpart, MalformedAnswer
from wechat.answers import read_json

log = get_logger(__name__)

RENEW_BEFORE_S = 280
"""Inside the five minutes in which the platform hands out the new token while the old one still works."""
UNUSABLE_BEFORE_S = 10
LOCK_S = 10
WAIT_S = 3.0
_PAUSE_S = 0.1

_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_AWAY = (RedisError, OSError, TimeoutError)


class Cipher(Protocol):
    """What encrypts the token at rest; :class:`core.crypto.Vault` is one."""

    def seal(self, text: str, column: str, row: str) -> bytes:
        """Encrypt."""
        ...

    def open(self, cell: bytes, column: str, row: str) -> str:
        """Decrypt, or raise a LianbanError."""
        ...


class _Kept(msgspec.Struct, frozen=True):
    token: str
    expires_at: float


class _TokenAnswer(msgspec.Struct, frozen=True):
    errcode: int = 0
    access_token: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    expires_in: Annotated[int, Meta(ge=1, le=86400)] | None = None


class TokenKeeper:
    """Hands out the access token of one app."""

    def __init__(
        self,
        appid: str,
        secret: str,
        counterpart: Counterpart,
        redis: Redis,
        cipher: Cipher,
        *,
        now_s: Callable[[], float] = clock.timestamp,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._appid = appid
        self._secret = secret
        self._counterpart = counterpart
        self._redis: Any = redis
        self._cipher = cipher
        self._now_s = now_s
        self._sleep = sleep
        self._key = f"wechat:token:{appid}"
        self._memory: _Kept | None = None
        self._one_at_a_time = asyncio.Lock()

    async def get(self) -> str:
        """A token that is valid now.

        Raises:
            WeChatRefused, NotSent, OutcomeUnknown: there is none and none could be fetched.
        """
        kept = await self._look()
        if kept and self._left_s(kept) > RENEW_BEFORE_S:
            return kept.token
        if kept and self._left_s(kept) > UNUSABLE_BEFORE_S:
            return await self._renewed_early(kept)
        return (await self._fetch_or_wait(None)).token

    async def refetch(self, stale: str) -> str:
        """A token in place of one the platform has just refused. When somebody else has replaced it already, that one."""
        if kept := await self._usable(stale):
            return kept.token
        return (await self._fetch_or_wait(stale)).token

    async def _renewed_early(self, kept: _Kept) -> str:
        """Renew if nobody else does; whatever happens, the old token still works."""
        lock = await self._lock()
        if lock is None:
            return kept.token
        try:
            newest = await self._look()
            if newest and self._left_s(newest) > RENEW_BEFORE_S:
                return newest.token
            return (await self._fetch()).token
        except LianbanError as error:
            log.warning("wechat.token_renewal_failed", appid=self._appid, error=type(error).__name__)
            return kept.token
        finally:
            await self._unlock(lock)

    async def _fetch_or_wait(self, stale: str | None) -> _Kept:
        """Without a usable token one process fetches; the others wait for it, and fetch themselves when it does not come."""
        async with self._one_at_a_time:
            waited_s = 0.0
            while (lock := await self._lock()) is None and waited_s < WAIT_S:
                if kept := await self._usable(stale):
                    return kept
                await self._sleep(_PAUSE_S)
                waited_s += _PAUSE_S
            try:
                # Looked at under the lock: whoever held it before may have fetched since the last look.
                return await self._usable(stale) or await self._fetch()
            finally:
                if lock is not None:
                    await self._unlock(lock)

    async def _usable(self, stale: str | None) -> _Kept | None:
        kept = await self._look()
        return kept if kept and kept.token != stale and self._left_s(kept) > UNUSABLE_BEFORE_S else None

    async def _fetch(self) -> _Kept:
        body = {"grant_type": "client_credential", "appid": self._appid, "secret": self._secret, "force_refresh": False}
        asked_at = self._now_s()
        answer = await self._counterpart.request(
            "POST",
            "/cgi-bin/stable_token",
            operation="stable_token",
            headers={"Content-Type": "application/json"},
            content=msgspec.json.encode(body),
            idempotent=True,
        )
        found = read_json(self._counterpart.name, "stable_token", answer, _TokenAnswer)
        if found.access_token is None or found.expires_in is None:
            raise MalformedAnswer(self._counterpart.name, "stable_token", "wrong_shape")
        kept = _Kept(found.access_token, asked_at + found.expires_in)
        self._memory = kept
        try:
            cell = self._cipher.seal(msgspec.json.encode(kept).decode(), "wechat_token", self._appid)
            await self._redis.set(self._key, cell, ex=found.expires_in)
        except _AWAY:
            log.warning("wechat.token_not_shared", appid=self._appid)
        return kept

    async def _look(self) -> _Kept | None:
        try:
            cell = await self._redis.get(self._key)
        except _AWAY:
            return self._memory
        if cell is None:
            return None
        try:
            return msgspec.json.decode(self._cipher.open(cell, "wechat_token", self._appid), type=_Kept)
        except (LianbanError, ValueError):
            log.warning("wechat.token_unreadable", appid=self._appid)
            return None

    async def _lock(self) -> str | None:
        """A lock's own word, or ``None`` when another process holds it. With Redis away each process goes alone."""
        word = secrets.token_hex(16)
        try:
            taken = await self._redis.set(f"{self._key}:lock", word, nx=True, ex=LOCK_S)
        except _AWAY:
            return word
        return word if taken else None

    async def _unlock(self, word: str) -> None:
        try:
            await self._redis.eval(_UNLOCK, 1, f"{self._key}:lock", word)
        except _AWAY:
            log.warning("wechat.token_lock_left", appid=self._appid)

    def _left_s(self, kept: _Kept) -> float:
        return kept.expires_at - self._now_s()
