"""容缺受理, 告知承诺: a paper is promised for a day, on signed words, instead of handed in now.

The words are made from the pack's version of the day and the papers; their hash comes back with the signature, so that what was
signed is what was shown. Who has a confirmed credit fault, or owes a paper already, promises nothing more: a trigger of the database.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from cities.materials import Requirement, paper_names
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction, violated_constraint
from core.errors import LianbanError
from domain.identity.tokens import Caller
from models.application import ApplicationStatus
from models.lifecycle import SYSTEM, Actor, announce, born, move
from models.tolerance import TOLERANCE, Tolerance, ToleranceStatus

_MOST_AT_ONCE = 200
_BARRED, _TWICE = "tolerance_not_barred", "tolerance_open_once"


class NotDeferrable(LianbanError):
    """This paper cannot be promised for later, or is not asked for. data: ``requirement``."""

    code = "paper_not_deferrable"


class PromiseDayRefused(LianbanError):
    """A paper is promised for a day after today and within the longest time. data: ``from``, ``until``."""

    code = "promise_day_refused"


class StatementChanged(LianbanError):
    """What was signed is not what is to be signed today: read it again."""

    code = "statement_changed"


class PromiseBarred(LianbanError):
    """The subject has a credit fault that is not repaired, or owes a promised paper: this one is handed in now."""

    code = "promise_barred"


class AlreadyPromised(LianbanError):
    """One of these papers is promised already."""

    code = "paper_already_promised"


class Statement(NamedTuple):
    """The words to sign, and their SHA-256 (hexadecimal)."""

    text: str
    sha256: str


class Tolerances:
    """Offers, takes, keeps and ends promises of papers."""

    def __init__(self, city: City, vault: Vault) -> None:
        self._city = city
        self._vault = vault

    def statement(self, asked: Sequence[Requirement], codes: Sequence[str], due_on: date) -> Statement:
        """The words for promising the papers of `codes`, which are among what is `asked` of an application, for `due_on`.

        Raises:
            NotDeferrable. PromiseDayRefused.
        """
        today = clock.today()
        rule = self._city.materials.tolerance_rule(today)
        first, last = today + timedelta(days=1), today + timedelta(days=rule.longest_days)
        if not first <= due_on <= last:
            raise PromiseDayRefused(**{"from": first.isoformat(), "until": last.isoformat()})
        names = paper_names(self._city.materials)
        promised = _chosen(asked, codes)
        text = rule.words("、".join(dict.fromkeys(names[one.paper] for one in promised)), due_on)
        return Statement(text, hashlib.sha256(text.encode()).hexdigest())

    async def sign(
        self,
        caller: Caller,
        application_id: UUID,
        asked: Sequence[Requirement],
        codes: Sequence[str],
        due_on: date,
        sha256: str,
    ) -> list[Tolerance]:
        """Take the signature under the statement: one promise for each paper, all or none. The route asks for a fresh proof.

        Raises:
            NotDeferrable, PromiseDayRefused, StatementChanged, PromiseBarred, AlreadyPromised.
        """
        statement = self.statement(asked, codes, due_on)
        if not hmac.compare_digest(statement.sha256.encode(), sha256.encode()):
            raise StatementChanged
        made: list[Tolerance] = []
        try:
            async with transaction():
                for requirement in _chosen(asked, codes):
                    row_id = ids.new_id()
                    tolerance = await Tolerance.create(
                        id=row_id,
                        status=ToleranceStatus.PROMISED.value,
                        application_id=application_id,
                        requirement=requirement.code,
                        services=list(requirement.services),
                        signer_id=caller.person_id,
                        actor_user_id=caller.user_id,
                        due_on=due_on,
                        statement=self._vault.seal(statement.text, "tolerance.statement", row_id),
                        statement_sha256=bytes.fromhex(statement.sha256),
                        proved_at=datetime.fromtimestamp(caller.proved_at, UTC),
                        signed_at=clock.now(),
                        **caller.principal.owned,
                    )
                    await born(TOLERANCE, tolerance, caller.actor)
                    made.append(tolerance)
        except Exception as error:
            match violated_constraint(error):
                case name if name == _BARRED:
                    raise PromiseBarred from None
                case name if name == _TWICE:
                    raise AlreadyPromised from None
            raise
        return made

    async def fulfil(self, application_id: UUID, requirement: str, material_id: UUID, actor: Actor) -> bool:
        """The paper has come: its open promise is kept, in the caller's transaction; True when there was one."""
        tolerance = (
            await Tolerance.filter(application_id=application_id, requirement=requirement, status__in=OPEN)
            .select_for_update()
            .get_or_none()
        )
        if tolerance is None:
            return False
        await move(TOLERANCE, tolerance, "fulfil", actor, columns={"ended_at": clock.now(), "material_id": material_id})
        return True

    async def release(self, application_id: UUID, actor: Actor = SYSTEM) -> int:
        """Nothing of this application is owed any more: it was withdrawn; how many promises end. May be repeated."""
        async with transaction():
            rows = await Tolerance.filter(application_id=application_id, status__in=OPEN).select_for_update()
            for tolerance in rows:
                await move(TOLERANCE, tolerance, "release", actor, columns={"ended_at": clock.now()})
        return len(rows)

    async def release_unneeded(self, application_id: UUID) -> None:
        """An order came to nothing: what was promised for services that nobody supplies any more is not owed. May be repeated."""
        async with transaction():
            rows = await fetch(_UNNEEDED, application_id)
            unneeded = Tolerance.filter(id__in=[row["id"] for row in rows], status__in=OPEN)
            for tolerance in await unneeded.order_by("id").select_for_update():
                await move(TOLERANCE, tolerance, "release", SYSTEM, columns={"ended_at": clock.now()})

    async def release_all(self, application_id: UUID) -> None:
        """The same, for a listener."""
        await self.release(application_id)

    async def open_for(self, application_id: UUID) -> list[Tolerance]:
        """The promises of an application that are not kept yet, the nearest day first."""
        return await Tolerance.filter(application_id=application_id, status__in=OPEN).order_by("due_on", "id")

    async def watch(self) -> None:
        """By the clock: remind of what is due soon, once; what was due yesterday is overdue. May be repeated at any time.

        A promise in a draft that was never filed is no promise to anybody: its day ends it.
        """
        today = clock.today()
        soon = today + timedelta(days=self._city.materials.tolerance_rule(today).remind_days)
        for row in await fetch(_SOON, today, soon, _MOST_AT_ONCE):
            async with transaction():
                marked = await fetch_one(_REMIND, row["id"], clock.now())
                if marked is not None:
                    await announce("tolerance.due_soon", "tolerance_reminder", row["id"], SYSTEM)
        for row in await fetch(_PAST, today, _MOST_AT_ONCE):
            async with transaction():
                tolerance = await Tolerance.filter(id=row["id"]).select_for_update().get()
                if tolerance.status != ToleranceStatus.PROMISED or tolerance.due_on >= today:
                    continue
                if row["case_status"] == ApplicationStatus.FILED:
                    await move(TOLERANCE, tolerance, "pass_due", SYSTEM)
                else:  # nothing was ever taken on this word: it is no fault, and may be given anew
                    await move(TOLERANCE, tolerance, "release", SYSTEM, columns={"ended_at": clock.now()})


async def owed_papers(application_id: UUID, service: str) -> list[str]:
    """The requirements of a service whose papers are not there: promised, withheld as harmful, or waived by what has been contested."""
    return [row["requirement"] for row in await fetch(_OWED, application_id, service)]


async def may_turn_on_gas(application_id: UUID) -> bool:
    """Gas is never turned on while a paper that it needs is not there. The database's trigger says the same."""
    return not await owed_papers(application_id, "gas")


OPEN = (ToleranceStatus.PROMISED.value, ToleranceStatus.OVERDUE.value)
_OWED = "select papers_missing as requirement from papers_missing($1, $2) order by 1"
_UNNEEDED = """
select t.id from tolerance t where t.application_id = $1 and t.status in ('promised', 'overdue')
  and exists (select from service_order o where o.application_id = $1 and o.service = any(t.services))
  and not exists (select from service_order o where o.application_id = $1 and o.service = any(t.services)
                  and o.status not in ('refused', 'failed', 'withdrawn', 'reassigned'))
"""
_SOON = """
select t.id from tolerance t join application a on a.id = t.application_id
where t.status = 'promised' and t.due_on between $1 and $2 and t.reminded_at is null and a.status = 'filed' order by t.due_on limit $3
"""
_REMIND = (
    "update tolerance set reminded_at = $2 where id = $1 and reminded_at is null and status = 'promised' returning id"
)
_PAST = """
select t.id, a.status as case_status from tolerance t join application a on a.id = t.application_id
where t.status = 'promised' and t.due_on < $1 order by t.due_on limit $2
"""


def _chosen(asked: Sequence[Requirement], codes: Sequence[str]) -> list[Requirement]:
    by_code = {one.code: one for one in asked}
    for code in codes:
        if code not in by_code or not by_code[code].deferrable:
            raise NotDeferrable(requirement=code)
    return [by_code[code] for code in dict.fromkeys(codes)]
