"""Followers of the official account: learned from its events, kept by openid and unionid, asked for when a message is to leave."""

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one
from core.failpoint import failpoint
from wechat.official_account import Following

WECHAT_OFFICIAL_ACCOUNT = "wechat_official_account"
_SUBJECT = f"login_user.subject.{WECHAT_OFFICIAL_ACCOUNT}"
"""The index of a login identity from the account's own web login: the same openid has the same index here."""
_COLUMN = "follower.subject"

_SAME_PERSON = (
    "((u.source = 'wechat_official_account' and u.realm = f.realm and u.subject_index = f.subject_index)"
    " or u.union_subject_index = f.union_subject_index)"
)


class Addressee(NamedTuple):
    """A follower who can be told. `openid` goes to the platform only."""

    follower_id: UUID
    openid: str


class Account(Protocol):
    """What is needed of the WeChat client."""

    appid: str

    async def following(self, openid: str) -> Following: ...


class Followers:
    """The followers of one account."""

    def __init__(self, account: Account, vault: Vault) -> None:
        self.appid = account.appid
        self._account = account
        self._vault = vault

    async def changed(self, openid: str, subscribed: bool, at: datetime) -> None:
        """An event said so; an older one, or the same again, changes nothing."""
        await self._write(openid, subscribed, at, None)
        failpoint("follower.changed_committed")

    async def learn(self, openid: str) -> bool:
        """Ask the platform whether the person follows, and by which unionid he is known; whether he follows.

        Raises:
            WeChatRefused, NotSent, OutcomeUnknown.
        """
        now = clock.now()
        found = await self._account.following(openid)
        failpoint("follower.answered")
        union = self._vault.index("login_user.union", found.unionid) if found.unionid else None
        await self._write(openid, found.subscribed, now, union)
        return found.subscribed

    async def left(self, follower_id: UUID) -> None:
        """The platform refused a message: the person does not follow any more."""
        await fetch("update follower set subscribed = false, changed_at = $2 where id = $1", follower_id, clock.now())

    async def of_person(self, person_id: UUID) -> Addressee | None:
        """Where a person can be told, while he follows."""
        row = await fetch_one(
            f"select f.id, f.subject from follower f join login_user u on {_SAME_PERSON}"  # noqa: S608  our own text
            " where f.realm = $1 and u.person_id = $2 and f.subscribed order by f.changed_at desc limit 1",
            self.appid, person_id,
        )  # fmt: skip
        return None if row is None else Addressee(row["id"], self._vault.open(row["subject"], _COLUMN, row["id"]))

    async def persons(self, openid: str) -> list[UUID]:
        """Our persons behind an openid of the account."""
        rows = await fetch(
            f"select distinct u.person_id from follower f join login_user u on {_SAME_PERSON}"  # noqa: S608  our own text
            " where f.realm = $1 and f.subject_index = $2",
            self.appid, self._vault.index(_SUBJECT, openid),
        )  # fmt: skip
        return [row["person_id"] for row in rows]

    async def _write(self, openid: str, subscribed: bool, at: datetime, union: bytes | None) -> None:
        follower_id = ids.new_id()
        await fetch(
            "insert into follower (id, realm, subject, subject_index, union_subject_index, subscribed, changed_at)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict (realm, subject_index) do update set subscribed = excluded.subscribed,"
            " changed_at = excluded.changed_at, union_subject_index = coalesce(excluded.union_subject_index, follower.union_subject_index)"
            " where follower.changed_at <= excluded.changed_at",
            follower_id, self.appid, self._vault.seal(openid, _COLUMN, follower_id), self._vault.index(_SUBJECT, openid), union,
            subscribed, at,
        )  # fmt: skip
