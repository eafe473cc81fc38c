"""Subscription credits: one accepted one-off subscription buys one message. WeChat's push events are the truth, the client's word is not."""

from uuid import UUID

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one
from models.person import User

WECHAT_MINI_PROGRAM = "wechat_mini_program"


async def user_of_openid(vault: Vault, appid: str, openid: str) -> User | None:
    """The login identity behind an openid of this app."""
    index = vault.index(f"login_user.subject.{WECHAT_MINI_PROGRAM}", openid)
    return await User.get_or_none(source=WECHAT_MINI_PROGRAM, realm=appid, subject_index=index)


async def grant(user_id: UUID, template_id: str, grant_key: str) -> None:
    """Add one credit for an acceptance; the same acceptance again adds none."""
    await fetch(
        "insert into subscription_credit (id, user_id, template_id, grant_key, granted_at) values ($1, $2, $3, $4, $5) on conflict (grant_key) do nothing",
        ids.new_id(), user_id, template_id, grant_key, clock.now(),
    )  # fmt: skip


async def withdraw(user_id: UUID, template_id: str) -> None:
    """The user switched the template off (or WeChat says that no credit is left): nothing granted until now is good any more."""
    await fetch(
        "update subscription_credit set withdrawn_at = $3 where user_id = $1 and template_id = $2 and spent_by is null and withdrawn_at is null",
        user_id, template_id, clock.now(),
    )  # fmt: skip


async def spend(person_id: UUID, realm: str, template_id: str, message_id: UUID) -> UUID | None:
    """Spend one credit of any of the person's logins on a message, in the caller's transaction; the login, or None without credit."""
    row = await fetch_one(
        "update subscription_credit set spent_by = $4 where id = ("
        " select c.id from subscription_credit c join login_user u on u.id = c.user_id"
        " where u.person_id = $1 and u.realm = $2 and c.template_id = $3 and c.spent_by is null and c.withdrawn_at is null"
        " order by c.granted_at limit 1 for update of c skip locked) returning user_id",
        person_id, realm, template_id, message_id,
    )  # fmt: skip
    return row["user_id"] if row else None


async def give_back(message_id: UUID) -> None:
    """The message surely did not leave: its credit is good again."""
    await fetch("update subscription_credit set spent_by = null where spent_by = $1", message_id)


async def nameless(user_id: UUID, template_id: str) -> list[UUID]:
    """Messages of this login and template whose number at WeChat is not written down: leaving right now, or left by a worker that died.

    A receipt that names a number nobody knows is about one of them. Their rows are locked.
    """
    rows = await fetch(
        "select m.id from message m join subscription_credit c on c.spent_by = m.id where c.user_id = $1 and c.template_id = $2"
        " and m.provider_message is null and m.status in ('sending', 'unknown') for update of m",
        user_id, template_id,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def available(person_id: UUID, realm: str) -> dict[str, int]:
    """{template id: credits} of a person in one app."""
    rows = await fetch(
        "select c.template_id, count(*) as credits from subscription_credit c join login_user u on u.id = c.user_id"
        " where u.person_id = $1 and u.realm = $2 and c.spent_by is null and c.withdrawn_at is null group by 1",
        person_id, realm,
    )  # fmt: skip
    return {row["template_id"]: row["credits"] for row in rows}
