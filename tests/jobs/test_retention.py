"""What has been kept long enough is blanked or removed; what proves something, and what is still in use, stays."""

import msgspec
import pytest

from cities.errors import CityPackInvalid
from cities.loader import load_city
from cities.retention import RetentionFile, check_retention
from cities.schema import Duration
from core import clock
from core.database import fetch
from jobs import retention
from models.message import inbox_page
from tests.harness.spine import Spine

RULE = load_city("ezhou").retention.rule(clock.today())
SHORT = msgspec.structs.replace(
    RULE,
    **{name: Duration.parse("1d") for name, kept in msgspec.structs.asdict(RULE).items() if isinstance(kept, Duration)},
)
PROOF = ("journal", "audit", "ledger_entry", "payment", "payment_part", "posting", "bill", "event")


async def _kept(statement: str) -> list[int]:
    return [row["count"] for row in await fetch(statement)]


async def _numbers() -> list[int]:
    return await _kept("select count(*) from inbox union all select count(*) from message")


async def test_contents_go_when_their_time_is_over_and_the_rows_that_prove_stay(
    spine: Spine,
) -> None:
    citizen = await spine.citizen()
    await spine.credit(citizen, "payment_received")
    await spine.quote(citizen, await spine.account(4199))
    for _ in range(2):
        await spine.paid(citizen, await spine.account(4199))
    proof, fresh, numbers = await spine.rows(PROOF), await spine.rows(("inbox", "message")), await _numbers()
    await retention.sweep(SHORT, at_once=2)
    assert await spine.rows(("inbox", "message")) == fresh, "nothing is a day old"
    await spine.travel(SHORT.received * 2)
    waiting = (
        await fetch(
            "update inbox set processed_at = null, outcome = null where id = (select min(id::text)::uuid from inbox) returning id"
        )
    )[0]
    await retention.sweep(SHORT, at_once=2)
    assert await spine.rows(PROOF) == proof
    assert [row["id"] for row in await fetch("select id from inbox where octet_length(content) > 0")] == [waiting["id"]]
    assert await _kept("select count(*) from message where octet_length(text) > 0 and status <> 'accepted'") == [0]
    assert await _kept("select count(*) from message where channel = 'inbox' and read_at is null") == [0]
    assert await _kept("select count(*) from quote") == [2], "those that were paid"
    assert [row["unread"] for row in await inbox_page(citizen.id, None, 9)] == [0], "the list ends there"
    assert await _numbers() == numbers
    await spine.travel(SHORT.received)
    await fetch("update inbox set processed_at = $1, outcome = 'late' where id = $2", clock.now(), waiting["id"])
    await retention.sweep(SHORT, at_once=2)
    assert await _kept("select count(*) from inbox where octet_length(content) > 0") == [0], "found in the next round"


async def test_the_device_of_a_login_that_is_over_is_forgotten_and_of_one_that_lives_is_not(spine: Spine) -> None:
    over, lives = await spine.citizen(), await spine.citizen()
    await spine.services.sessions.end(over.opened.session_id, over.id)
    await spine.travel(SHORT.sessions * 2)
    await retention.sweep(SHORT, at_once=2)
    labels = {row["id"]: row["client_label"] for row in await fetch("select id, client_label from session")}
    assert (labels[over.opened.session_id], labels[lives.opened.session_id] != "") == ("", True)


def test_a_pack_cannot_throw_logs_away_before_six_months() -> None:
    with pytest.raises(CityPackInvalid, match="six months"):
        check_retention("retention.toml", RetentionFile(retention=(SHORT,)))
