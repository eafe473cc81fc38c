"""The papers of an application: what it asks for, what stands for them, handing in, promising for later, saying that a source is wrong."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from api.calls import Answer, Call
from api.texts import Input, Output
from domain.materials.needs import Need

PaperCode = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]
EvidenceSource = Literal["real_name", "organization_login", "mandate", "former_case", "sharing", "platform_push"]


class EvidenceView(Output, frozen=True):
    """What stands for a paper, since when we know it, and whether its owner says that it is wrong."""

    evidence_source: str
    known_at: datetime
    contested: bool


class NeedView(Output, frozen=True):
    """One paper that is asked for: attached, waived, promised, overdue or missing."""

    requirement: str
    paper: str
    paper_name: str
    hint: str | None
    basis: str
    services: list[str]
    deferrable: bool
    state: Literal["attached", "waived", "promised", "overdue", "missing"]
    material_ids: list[UUID]
    evidence: EvidenceView | None
    promised_for: date | None


class NeedList(Output, frozen=True):
    """The papers of an application, in the order of the city's list."""

    papers: list[NeedView]


class PaperAdded(Input, frozen=True):
    """Which material serves which requirement."""

    requirement: PaperCode
    material_id: UUID


class PromiseRequest(Input, frozen=True):
    """Which papers come later, and by which day."""

    requirements: Annotated[list[PaperCode], Meta(min_length=1, max_length=20)]
    promised_for: date


class PromiseStatement(Output, frozen=True):
    """The exact words to sign, and their SHA-256."""

    statement: str
    statement_sha256: str


class PromiseSignature(PromiseRequest, frozen=True, kw_only=True):
    """What was shown, signed by sending its hash back."""

    statement_sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class ContestRequest(Input, frozen=True):
    """What a source tells about one's paper, and why it is wrong."""

    paper: PaperCode
    evidence_source: EvidenceSource
    note: Annotated[str, Meta(min_length=2, max_length=300)]


class ContestView(Output, frozen=True):
    """From now on the source stands for nothing; `contest_id` takes it back."""

    contest_id: UUID
    paper: str
    evidence_source: str
    created_at: datetime


async def list_needs(call: Call) -> Answer:
    return Answer(_list(call, await call.services.needs.show(call.caller, call.path["application_id"])))


async def attach(call: Call) -> Answer:
    body: PaperAdded = call.body
    needs = await call.services.needs.attach(
        call.caller, call.path["application_id"], body.requirement, body.material_id
    )
    return Answer(_list(call, needs), 201)


async def detach(call: Call) -> Answer:
    await call.services.needs.detach(call.caller, call.path["application_id"], call.path["material_id"])
    return Answer(None, 204)


async def state_promise(call: Call) -> Answer:
    body: PromiseRequest = call.body
    asked = await call.services.needs.asked_of(call.caller, call.path["application_id"])
    statement = call.services.tolerances.statement(asked, body.requirements, body.promised_for)
    return Answer(PromiseStatement(statement.text, statement.sha256))


async def sign_promise(call: Call) -> Answer:
    body: PromiseSignature = call.body
    application_id = call.path["application_id"]
    asked = await call.services.needs.asked_of(call.caller, application_id)
    await call.services.tolerances.sign(
        call.caller, application_id, asked, body.requirements, body.promised_for, body.statement_sha256
    )
    return Answer(_list(call, await call.services.needs.show(call.caller, application_id)), 201)


async def contest(call: Call) -> Answer:
    body: ContestRequest = call.body
    row = await call.services.needs.contest(call.caller, body.paper, body.evidence_source, body.note)
    return Answer(ContestView(row.id, row.paper, row.source, row.created_at), 201)


async def withdraw_contest(call: Call) -> Answer:
    await call.services.needs.withdraw_contest(call.caller, call.path["contest_id"])
    return Answer(None, 204)


def _list(call: Call, needs: list[Need]) -> NeedList:
    papers = call.services.city.materials.papers
    found = {paper.code: paper for paper in papers}
    return NeedList(
        [
            NeedView(
                need.requirement.code,
                need.requirement.paper,
                found[need.requirement.paper].name,
                found[need.requirement.paper].hint,
                need.requirement.source,
                list(need.requirement.services),
                need.requirement.deferrable,
                need.state,
                list(need.materials),
                EvidenceView(*need.evidence) if need.evidence else None,
                need.due_on,
            )
            for need in needs
        ]
    )
