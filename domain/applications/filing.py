"""Filing: one transaction makes of a draft the case, a consent per company, their orders, the journal, the events and the kept answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cities.applications import Notice
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from domain.applications.drafts import FORM, Drafts, changed
from domain.applications.facts import Facts, check_digit, company_letters, facts_of
from domain.identity.tokens import Caller
from domain.materials.needs import Need, Needs
from models.application import ACCESS_POINTS, APPLICATION, Application, way_to_application
from models.idempotency import Once
from models.lifecycle import Actor, born_all, move
from models.service_order import SERVICE_ORDER, OrderStatus, ServiceOrder
from models.share import note_use

PHONE, CODE = "application.phone", "application.progress_code"
_INSERT = """
with consented as (
  insert into consent (id, application_id, company, notice_version, notice_sha256, person_id, given_at)
  select id, $1, company, $2, sha256, $3, $4 from unnest($5::uuid[], $6::text[], $7::text[]) as row (id, company, sha256)
)
insert into service_order (id, status, application_id, company, service, number, revision, corrections, late_corrections, plan_version,
  inspections, distance_m, distance_source, tolerated, created_at)
select id, 'created', $1, company, service, number, 1, 0, 0, 0, 0, distance, case when distance is not null then 'declared' end, false, $4
from unnest($8::uuid[], $6::text[], $9::text[], $10::text[], $11::int[]) as row (id, company, service, number, distance)
"""


class AnswersIncomplete(LianbanError):
    """The form's answers have problems. data: ``problems``: each with pointer, code and sentence, in the order of the form."""

    code = "answers_incomplete"


class FormOutdated(LianbanError):
    """The city has another version of the form since: save the draft under it and look at it. data: ``form_version``."""

    code = "form_outdated"


class ConsentMissing(LianbanError):
    """Every company that is to get its part is consented to by name, and no other. data: ``companies`` that should be named."""

    code = "consent_missing"


class NoticeChanged(LianbanError):
    """The notice of privacy is another since it was shown: show it again. data: ``notice_version``."""

    code = "notice_changed"


class SubjectNotYours(LianbanError):
    """One applies for himself, for somebody who has given him authority, or for an organization he acts for."""

    code = "subject_not_yours"


@dataclass(frozen=True, slots=True)
class Filed:
    """What was just filed. `progress_code` finds it without a login, with the last digits of the contact's phone."""

    application_id: UUID
    number: str
    progress_code: str
    filed_at: datetime
    orders: tuple[ServiceOrder, ...]


class Filing:
    """Files drafts."""

    def __init__(self, city: City, vault: Vault, drafts: Drafts, needs: Needs) -> None:
        self._city = city
        self._vault = vault
        self._drafts = drafts
        self._needs = needs
        self._letters = company_letters(city)

    async def file(
        self,
        caller: Caller,
        draft_id: UUID,
        version: int,
        consents: Mapping[str, str],
        once: Once,
        render: Callable[[Filed], bytes],
    ) -> bytes:
        """File a draft as one has seen it; `consents`: company → version of the notice that was shown for it.

        Raises:
            NotFound, NoDraft, DraftChanged, FormOutdated, AnswersIncomplete, SubjectNotYours, ConsentMissing, NoticeChanged,
            PapersNeeded, KeyInFlight, KeyReused.
        """
        async with transaction():
            if kept := await once.begin():
                return kept[1]
            draft = await self._drafts.locked(caller, draft_id)
            if draft.version != version:
                raise changed(draft)
            facts = self._checked(draft)
            await self._check_subject(caller, facts)
            notice = self._city.applications.notice(clock.today())
            _check_consents(facts, notice, consents)
            filed = await self._insert(caller, draft, facts, notice, await self._needs.for_filing(draft))
            body = render(filed)
            await once.keep(201, body)
            failpoint("application.filed_before_commit")
        failpoint("application.filed_committed")
        return body

    def _checked(self, draft: Application) -> Facts:
        form = self._city.form(FORM, clock.today())
        if draft.form_version != form.version:
            raise FormOutdated(form_version=form.version)
        answers = self._drafts.answers_of(draft)
        problems = form.problems(answers)
        if problems:
            raise AnswersIncomplete(problems=[problem._asdict() for problem in problems])
        return facts_of(self._city, answers)

    async def _check_subject(self, caller: Caller, facts: Facts) -> None:
        """A person's own number, or somebody's whose agent he says he is (his authority is a material); an organization's by its mandate."""
        assert facts.subject is not None
        if facts.is_organization != (caller.organization_id is not None):
            raise SubjectNotYours
        if caller.organization_id is not None:
            index = self._vault.index("organization.credit_code", facts.subject)
            query = "select 1 from organization where id = $1 and credit_code_index = $2"
            mine = await fetch_one(query, caller.organization_id, index)
        elif facts.has_agent:
            return
        else:
            index = self._vault.index("person.id_number", facts.subject)
            mine = await fetch_one(
                "select 1 from person where id = $1 and id_number_index = $2", caller.person_id, index
            )
        if mine is None:
            raise SubjectNotYours

    async def _insert(
        self, caller: Caller, draft: Application, facts: Facts, notice: Notice, needs: Sequence[Need]
    ) -> Filed:
        assert facts.area is not None
        assert facts.mobile is not None
        now, code, actor = clock.now(), ids.new_code(), Actor("person", str(caller.person_id))
        number = await new_number(facts.area, draft.access_point)
        columns = {
            "area": facts.area,
            "number": number,
            "phone": self._vault.seal(facts.mobile, PHONE, draft.id),
            "progress_code": self._vault.seal(code, CODE, draft.id),
            "progress_code_index": progress_index(self._vault, code),
            "actor_user_id": caller.user_id,
            "filed_at": now,
        }
        await move(APPLICATION, draft, "file", actor, columns=columns)
        orders = [
            ServiceOrder(
                id=ids.new_id(), status=OrderStatus.CREATED, application_id=draft.id, company=company, service=service,
                number=f"{number}-{self._letters[company]}", distance_m=facts.distances_m.get(service), created_at=now,
            )
            for company, service in facts.companies
        ]  # fmt: skip
        companies = [order.company for order in orders]
        await fetch(
            _INSERT, draft.id, notice.version, caller.person_id, now, [ids.new_id() for _ in orders], companies,
            [notice.sha256(self._city.company(company)) for company in companies], [order.id for order in orders],
            [order.service for order in orders], [order.number for order in orders], [order.distance_m for order in orders],
        )  # fmt: skip
        await self._needs.write_down(draft.id, needs)
        await born_all(SERVICE_ORDER, orders, actor, announces="service_order.created", data=_event_data)
        if caller.organization_id is not None:
            way = await way_to_application(draft.id, caller.principal, "file")
            if way is None:
                raise NotFound("application")
            await note_use(way, caller.person_id, "application.filed", None, draft.id)
        return Filed(draft.id, number, code, now, tuple(orders))


async def new_number(area: str, access_point: str) -> str:
    """``EZ``, day, district, access point, five digits of a sequence, check digit: the number of the whole case."""
    row = await fetch_one("select nextval('application_number') as next")
    assert row is not None
    digits = f"{clock.today():%Y%m%d}{area[:6]}{ACCESS_POINTS.index(access_point) + 1}{row['next']:05}"
    return f"EZ{digits}{check_digit(digits)}"


def progress_index(vault: Vault, code: str) -> bytes:
    """By which a progress code finds its case, however it was typed."""
    return vault.index("application.progress_code", "".join(code.split()).replace("-", "").upper())


def _event_data(order: ServiceOrder) -> dict[str, Any]:
    return {"application_id": str(order.application_id), "company": order.company}


def _check_consents(facts: Facts, notice: Notice, consents: Mapping[str, str]) -> None:
    wanted = {company for company, _ in facts.companies}
    if wanted != set(consents):
        raise ConsentMissing(companies=sorted(wanted))
    if set(consents.values()) != {notice.version}:
        raise NoticeChanged(notice_version=notice.version)
