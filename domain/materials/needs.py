"""Which papers an application asks for, and what there is of each: attached, waived by what stands for it (免交), promised, or missing.

What stands for a paper is shown with its source and time. Its owner may say that it is wrong; from then on it stands for nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from cities.forms import at
from cities.materials import Requirement, paper_names
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from domain.identity.tokens import Caller
from domain.materials.materials import MaterialWithheld
from domain.materials.tolerances import OPEN, Tolerances
from models.access import Principal
from models.application import Application, ApplicationStatus, way_to_application
from models.lifecycle import announce
from models.material import EvidenceContest, Material, MaterialStatus, MaterialUse
from models.share import note_use
from models.tolerance import Tolerance

_ANSWERS, _NOTE = "application.answers", "evidence_contest.note"
State = Literal["attached", "waived", "promised", "overdue", "missing"]


class RequirementUnknown(LianbanError):
    """The application does not ask for this paper, or the material is of another kind. data: ``requirement``."""

    code = "requirement_unknown"


class PapersNeeded(LianbanError):
    """A case is filed with its papers. data: ``missing``: of each its requirement, its name, and whether it may be promised for later."""

    code = "papers_needed"


class NotADraft(LianbanError):
    """What was filed keeps its papers; more may be added."""

    code = "application_filed"


class Evidence(NamedTuple):
    """What stands for a paper: where it comes from and since when it is known; contested: its owner says that it is wrong."""

    source: str
    known_at: datetime
    contested: bool


class Need(NamedTuple):
    """One requirement of an application, and what there is of it."""

    requirement: Requirement
    state: State
    materials: tuple[UUID, ...] = ()
    evidence: Evidence | None = None
    due_on: Any = None


class Needs:
    """Judges and changes what an application has of its papers."""

    def __init__(self, city: City, vault: Vault, tolerances: Tolerances) -> None:
        self._city = city
        self._vault = vault
        self._tolerances = tolerances

    async def show(self, caller: Caller, application_id: UUID) -> list[Need]:
        """The papers of an application of the caller's.

        Raises:
            NotFound.
        """
        return await self.of(await self._own(caller, application_id, "application.papers_seen"))

    async def of(self, application: Application) -> list[Need]:
        """What this application asks for and has, in the order of the pack's file; by the rules of the day it was filed."""
        answers = self._answers(application)
        asked = self._asked(application, answers)
        uses, promised = await self._uses(application.id), await self._promised(application.id)
        evidence = await self._evidence(application, answers, {one.paper for one in asked})
        return [_need(one, uses, promised, evidence) for one in asked]

    async def for_filing(self, draft: Application) -> list[Need]:
        """What this draft asks for, when all of it is there: handed in, waived, or promised for a day that is still to come.

        Raises:
            PapersNeeded.
        """
        needs, today, names = await self.of(draft), clock.today(), paper_names(self._city.materials)
        lacking = [
            need
            for need in needs
            if need.state in ("missing", "overdue") or (need.state == "promised" and need.due_on < today)
        ]
        if lacking:
            raise PapersNeeded(
                missing=[
                    {
                        "requirement": need.requirement.code,
                        "name": names[need.requirement.paper],
                        "may_be_promised": need.requirement.deferrable and need.state == "missing",
                    }
                    for need in lacking
                ]
            )
        return needs

    async def write_down(self, application_id: UUID, needs: Sequence[Need]) -> None:
        """What stood for each paper at filing, in the caller's transaction: from now on one can say what is missing."""
        await fetch(
            _ASKED, application_id, [ids.new_id() for _ in needs], [need.requirement.code for need in needs],
            [need.requirement.paper for need in needs], [",".join(need.requirement.services) for need in needs],
            [_basis(need) for need in needs],
        )  # fmt: skip

    async def missing(self, application: Application, service: str | None = None) -> list[str]:
        """The codes of what is neither attached nor waived nor promised; of one service, what is neither attached nor waived."""
        wanted = ("missing",) if service is None else ("missing", "promised", "overdue")
        return [
            need.requirement.code
            for need in await self.of(application)
            if need.state in wanted and (service is None or service in need.requirement.services)
        ]

    async def attach(self, caller: Caller, application_id: UUID, requirement: str, material_id: UUID) -> list[Need]:
        """Use a material for a requirement; a promise of that paper is kept by it, and what waited for it goes on.

        Raises:
            NotFound: no such application or material of the caller's. RequirementUnknown. MaterialWithheld.
        """
        application = await self._own(caller, application_id, "application.paper_added")
        rule = next(
            (one for one in self._asked(application, self._answers(application)) if one.code == requirement), None
        )
        async with transaction():
            owner = Principal(application.person_id, application.organization_id).owned
            material = await Material.filter(id=material_id, removed_at=None, **owner).select_for_update().get_or_none()
            if material is None:
                raise NotFound("material")
            if material.status == MaterialStatus.QUARANTINED:
                raise MaterialWithheld
            if rule is None or rule.paper != material.kind:
                raise RequirementUnknown(requirement=requirement)
            added = await fetch(
                _USE, ids.new_id(), material_id, application_id, requirement, caller.user_id, clock.now()
            )
            if added and application.status == ApplicationStatus.FILED:
                data = {"requirement": requirement}
                await announce("application.paper_added", "application_paper", application_id, caller.actor, data)
            await self._tolerances.fulfil(application_id, requirement, material_id, caller.actor)
        return await self.of(application)

    async def detach(self, caller: Caller, application_id: UUID, material_id: UUID) -> None:
        """Take a material out of a draft again.

        Raises:
            NotFound: also for a material the draft does not use. NotADraft.
        """
        application = await self._own(caller, application_id, "application.paper_taken")
        if not await MaterialUse.filter(application_id=application_id, material_id=material_id, ended_at=None).exists():
            raise NotFound("material")
        if application.status != ApplicationStatus.DRAFT or not await fetch(
            _END_USE, application_id, material_id, clock.now()
        ):
            raise NotADraft

    async def asked_of(self, caller: Caller, application_id: UUID) -> list[Requirement]:
        """What an application of the caller's asks for and does not have: what he may promise of it.

        Raises:
            NotFound.
        """
        needs = await self.of(await self._own(caller, application_id, "application.papers_seen"))
        return [need.requirement for need in needs if need.state in ("missing", "promised", "overdue")]

    async def contest(self, caller: Caller, paper: str, source: str, note: str) -> EvidenceContest:
        """Say that what a source tells about one's paper is wrong; saying it again changes nothing."""
        owned = caller.principal.owned
        known = await EvidenceContest.get_or_none(paper=paper, source=source, ended_at=None, **owned)
        if known is not None:
            return known
        row_id = ids.new_id()
        sealed = self._vault.seal(note, _NOTE, row_id)
        return await EvidenceContest.create(
            id=row_id,
            actor_user_id=caller.user_id,
            paper=paper,
            source=source,
            note=sealed,
            created_at=clock.now(),
            **owned,
        )

    async def withdraw_contest(self, caller: Caller, contest_id: UUID) -> None:
        """It was right after all.

        Raises:
            NotFound.
        """
        changed = await EvidenceContest.filter(id=contest_id, ended_at=None, **caller.principal.owned).update(
            ended_at=clock.now()
        )
        if not changed:
            raise NotFound("contest")

    async def _own(self, caller: Caller, application_id: UUID, deed: str) -> Application:
        way = await way_to_application(application_id, caller.principal, "file")
        application = await Application.get_or_none(id=application_id) if way else None
        if way is None or application is None or application.status == ApplicationStatus.WITHDRAWN:
            raise NotFound("application")
        await note_use(way, caller.person_id, deed, None, application_id)
        return application

    def _answers(self, application: Application) -> dict[str, Any]:
        if application.answers is None:
            return {}
        return msgspec.json.decode(self._vault.open_bytes(application.answers, _ANSWERS, application.id))

    def _asked(self, application: Application, answers: Mapping[str, Any]) -> list[Requirement]:
        filed_on = application.filed_at.astimezone(clock.SHANGHAI).date() if application.filed_at else clock.today()
        return self._city.materials.required(answers, filed_on)

    async def _uses(self, application_id: UUID) -> dict[str, tuple[UUID, ...]]:
        rows = await MaterialUse.filter(application_id=application_id, ended_at=None).order_by("id")
        found: dict[str, tuple[UUID, ...]] = {}
        for row in rows:
            found[row.requirement] = (*found.get(row.requirement, ()), row.material_id)
        return found

    async def _promised(self, application_id: UUID) -> dict[str, Tolerance]:
        rows = await Tolerance.filter(application_id=application_id, status__in=OPEN)
        return {row.requirement: row for row in rows}

    async def _evidence(
        self, application: Application, answers: Mapping[str, Any], papers: set[str]
    ) -> dict[tuple[str, str], Evidence]:
        """(paper, source) → what is known; of the organization's own papers, of the person's, of cases before."""
        person = self._index("person.id_number", at(answers, "/applicant/id_number"))
        agent = self._index("person.id_number", at(answers, "/agent/id_number"))
        code = self._index("organization.credit_code", at(answers, "/applicant/credit_code"))
        found: dict[tuple[str, str], datetime] = {}
        if application.access_point == "platform_push" and application.filed_at is not None:
            found |= {(paper, "platform_push"): application.filed_at for paper in papers}
        identity = await fetch_one(
            _KNOWN,
            application.person_id,
            application.organization_id,
            person,
            code,
            agent,
            application.actor_user_id,
            clock.now(),
        )
        assert identity is not None
        for source in ("real_name", "organization_login", "mandate"):
            if identity[source] is not None:
                found |= {(paper, source): identity[source] for paper in papers}
        site_bound = [paper.code for paper in self._city.materials.papers if paper.site_bound]
        for row in await fetch(
            _FORMER,
            application.id,
            application.person_id,
            application.organization_id,
            list(papers),
            site_bound,
            application.address_index,
        ):
            found[row["kind"], "former_case"] = row["known_at"]
        contested = {
            (row.paper, row.source)
            for row in await EvidenceContest.filter(
                ended_at=None, **Principal(application.person_id, application.organization_id).owned
            )
        }
        return {key: Evidence(key[1], known_at, key in contested) for key, known_at in found.items()}

    def _index(self, purpose: str, value: Any) -> bytes | None:
        return self._vault.index(purpose, value) if isinstance(value, str) else None


def _need(
    rule: Requirement,
    uses: Mapping[str, tuple[UUID, ...]],
    promised: Mapping[str, Tolerance],
    evidence: Mapping[tuple[str, str], Evidence],
) -> Need:
    known: Sequence[Evidence] = [
        found for source in rule.waived_by if (found := evidence.get((rule.paper, source))) is not None
    ]
    best = min(known, key=lambda one: one.contested, default=None)
    if rule.code in uses:
        return Need(rule, "attached", uses[rule.code], best)
    if best is not None and not best.contested:
        return Need(rule, "waived", evidence=best)
    if (promise := promised.get(rule.code)) is not None:
        return Need(
            rule, "overdue" if promise.status == "overdue" else "promised", evidence=best, due_on=promise.due_on
        )
    return Need(rule, "missing", evidence=best)


def _basis(need: Need) -> str:
    if need.state == "attached":
        return "material"
    return need.evidence.source if need.state == "waived" and need.evidence is not None else "promise"


_ASKED = """
insert into asked_paper (id, application_id, requirement, paper, services, basis)
select id, $1, requirement, paper, string_to_array(services, ','), basis
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) as row (id, requirement, paper, services, basis)
"""
_USE = """
insert into material_use (id, material_id, application_id, requirement, actor_user_id, created_at) values ($1, $2, $3, $4, $5, $6)
on conflict (application_id, requirement, material_id) where ended_at is null do nothing returning id
"""
_END_USE = """
update material_use u set ended_at = $3 from application a
where a.id = u.application_id and a.status = 'draft' and u.application_id = $1 and u.material_id = $2 and u.ended_at is null returning u.id
"""
_KNOWN = """
select
  (select coalesce((select min(u.created_at) from login_user u where u.person_id = p.id and u.id_number_index = p.id_number_index), p.created_at)
   from person p where p.id = $1 and p.id_number_index = $3 and p.real_name_source is not null) as real_name,
  (select min(m.created_at) from organization o join mandate m on m.organization_id = o.id and m.parent_id is null
   where o.id = $2 and o.credit_code_index = $4) as organization_login,
  (select m.accepted_at from login_user u join person p on p.id = u.person_id
   cross join lateral live_mandate(p.id, $2, $7) l join mandate m on m.id = l.mandate_id
   where u.id = $6 and p.id_number_index = $5 and l.may_file limit 1) as mandate
"""
_FORMER = """
select m.kind, max(m.created_at) as known_at
from material_use u join material m on m.id = u.material_id join application a on a.id = u.application_id
where u.ended_at is null and m.removed_at is null and m.status <> 'quarantined' and a.status = 'filed' and a.id <> $1
  and (a.person_id = $2 or a.organization_id = $3) and m.kind = any($4::text[])
  and (m.kind <> all($5::text[]) or a.address_index = $6)
group by m.kind
"""
