"""Pushed projects (工改平台推送): each becomes a filed case with its orders, once; what cannot be understood waits for staff, whole.

The platform's own id is the key of everything. A verb locks the push first, so that the job, a replay and an amendment that come at once
follow one another; the lock of the project lets two pushes of one project see each other.
"""

import hashlib
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from core.queue import enqueue
from domain.applications.drafts import ANSWERS, Drafts
from domain.applications.facts import company_letters
from domain.applications.filing import CODE, PHONE, new_number, progress_index
from domain.applications.push_reading import Stuck, Understood, understand
from domain.materials.needs import Needs
from gateways.construction_platform import push_number, pushed_on
from models.application import APPLICATION, Application, ApplicationStatus
from models.consent import Consent
from models.lifecycle import SYSTEM, Actor, IllegalMove, born, born_all, move
from models.person import Organization
from models.platform_push import PLATFORM_PUSH, PlatformPush, PushAmendment, PushStatus
from models.service_order import SERVICE_ORDER, OrderStatus, ServiceOrder

log = get_logger(__name__)

SOURCE = "construction_platform"
PLATFORM = Actor("platform", "construction")
WORK_TASK = "pushes.work"
_CONTENT, _AMENDED = "platform_push.content", "push_amendment.content"
_GONE = [str(one) for one in (OrderStatus.WITHDRAWN, OrderStatus.REFUSED, OrderStatus.FAILED, OrderStatus.REASSIGNED)]
_SAME = """
select a.number from service_order o join application a on a.id = o.application_id
left join platform_push p on p.application_id = a.id
where (p.project_code = $1 or (a.status = 'filed' and a.subject_index = $2 and a.address_index = $3))
  and o.company = any($4::text[]) and o.status <> all($5::text[]) order by a.filed_at limit 1
"""
_LOCK = "select pg_advisory_xact_lock(hashtextextended('platform_push:' || $1, 0))"


class PushDiffers(LianbanError):
    """This id was pushed before with another content: what was taken first counts."""

    code = "push_differs"


class Pushes:
    """Takes pushes, makes cases of them, and lets staff put right what could not be understood."""

    def __init__(self, city: City, vault: Vault, drafts: Drafts, needs: Needs) -> None:
        self._city = city
        self._vault = vault
        self._drafts = drafts
        self._needs = needs
        self._letters = company_letters(city)

    async def is_known(self, content: bytes) -> bool:
        """True when this very push has come before.

        Raises:
            PushDiffers: its id has, with another content.
        """
        number = push_number(content)
        known = await PlatformPush.get_or_none(number=number)
        if known is not None and known.sha256 is not None:
            before = known.sha256
        else:
            row = await fetch_one("select id, content from inbox where source = $1 and key = $2", SOURCE, number)
            if row is None:
                return False
            before = _hash(self._vault.open_bytes(row["content"], "inbox.content", row["id"]))
        if before != _hash(content):
            raise PushDiffers
        return True

    async def take(self, content: bytes) -> str:
        """Write down a verified push and work it; what became of it. Again: the same."""
        number = push_number(content)
        async with transaction():
            push = await expected(number, pushed_on(content) or clock.today(), PLATFORM)
            if push.content is None:
                columns = {
                    "sha256": _hash(content), "content": self._vault.seal(content, _CONTENT, push.id), "received_at": clock.now(),
                    "pushed_on": pushed_on(content) or clock.today(), "problem": None, "ended_at": None,
                }  # fmt: skip
                await move(PLATFORM_PUSH, push, "arrive", PLATFORM, columns=columns)
        failpoint("push.kept_committed")
        return await self.work(push.id)

    async def work(self, push_id: UUID) -> str:
        """Make a case of a push that waits for it, or say why not: ``filed``, the problem's word, or what it stands at already."""
        async with transaction():
            push = await _locked(push_id)
            if push.status != PushStatus.RECEIVED:
                return str(push.status)
            found = understand(self._city, await self.content_of(push))
            if isinstance(found, Understood):
                await fetch(_LOCK, found.project_code)
                number = await self._filed_before(found)
                if number is None:
                    await self._file(push, found)
                    failpoint("push.filed_before_commit")
                    return "filed"
                found = Stuck("already_filed")
            log.error("push.stuck", push_id=str(push.id), problem=found.problem)
            await move(PLATFORM_PUSH, push, "stick", SYSTEM, reason=found.problem, columns={"problem": found.problem})
        return found.problem

    async def examined(self, push: PlatformPush) -> Understood | Stuck | None:
        """What a push says as it stands now; None when it has not come."""
        if push.content is None:
            return None
        return understand(self._city, await self.content_of(push))

    async def content_of(self, push: PlatformPush) -> bytes:
        """What is worked: the last amendment, else what the platform has sent."""
        last = await PushAmendment.filter(push_id=push.id).order_by("-version").first()
        if last is not None:
            return self._vault.open_bytes(last.content, _AMENDED, last.id)
        return self.original_of(push)

    def original_of(self, push: PlatformPush) -> bytes:
        """What the platform has sent, byte for byte."""
        assert push.content is not None
        return self._vault.open_bytes(push.content, _CONTENT, push.id)

    async def amend(self, push_id: UUID, content: dict[str, Any], staff_id: UUID, reason: str) -> PlatformPush:
        """Put something else in the place of what cannot be understood; the original stays. It is worked when it is replayed.

        Raises:
            NotFound. IllegalMove: it does not wait for staff.
        """
        async with transaction():
            push = await _locked(push_id)
            if push.status != PushStatus.STUCK:
                raise IllegalMove(subject="platform_push", state=push.status, event="amend")
            row = await fetch_one(
                "select coalesce(max(version), 0) + 1 as next from push_amendment where push_id = $1", push.id
            )
            assert row is not None
            amendment_id = ids.new_id()
            await PushAmendment.create(
                id=amendment_id, push_id=push.id, version=row["next"], staff_id=staff_id, reason=reason, at=clock.now(),
                content=self._vault.seal(msgspec.json.encode(content), _AMENDED, amendment_id),
            )  # fmt: skip
        return push

    async def replay(self, push_id: UUID, actor: Actor, reason: str) -> PlatformPush:
        """Work it again, as it is by now.

        Raises:
            NotFound. IllegalMove.
        """
        async with transaction():
            push = await _locked(push_id)
            await move(PLATFORM_PUSH, push, "replay", actor, reason=reason, columns={"problem": None})
            await enqueue(WORK_TASK, push_id=push.id)
        return push

    async def dismiss(self, push_id: UUID, actor: Actor, reason: str) -> PlatformPush:
        """It becomes no case; the platform is told (不受理).

        Raises:
            NotFound. IllegalMove: it is one already, or is being worked.
        """
        async with transaction():
            push = await _locked(push_id)
            await move(PLATFORM_PUSH, push, "dismiss", actor, reason=reason, columns={"ended_at": clock.now()})
        return push

    async def _filed_before(self, found: Understood) -> str | None:
        """The number of a case that has one of these companies at work for this project, or for this owner at this place."""
        subject, place = self._drafts.index(found.facts)
        companies = [company for company, _ in found.facts.companies]
        row = await fetch_one(_SAME, found.project_code, subject, place, companies, _GONE)
        return None if row is None else row["number"]

    async def _file(self, push: PlatformPush, found: Understood) -> None:
        """The case, a consent and an order for each company, in the caller's transaction."""
        owner, now = await self._owner(found), clock.now()
        facts, application_id, code = found.facts, ids.new_id(), ids.new_code()
        assert facts.area is not None
        assert facts.mobile is not None
        subject, place = self._drafts.index(facts)
        case = await Application.create(
            id=application_id, status=ApplicationStatus.DRAFT, organization_id=owner.id, access_point="platform_push",
            form_version=found.push.form_version, version=1, created_at=now, saved_at=now, services=list(facts.services),
            answers=self._vault.seal(msgspec.json.encode(found.answers), ANSWERS, application_id),
            subject_index=subject, address_index=place,
        )  # fmt: skip
        await born(APPLICATION, case, PLATFORM)
        number = await new_number(facts.area, "platform_push")
        columns = {
            "area": facts.area, "number": number, "phone": self._vault.seal(facts.mobile, PHONE, case.id), "filed_at": now,
            "progress_code": self._vault.seal(code, CODE, case.id), "progress_code_index": progress_index(self._vault, code),
        }  # fmt: skip
        await move(APPLICATION, case, "file", PLATFORM, columns=columns)
        orders: list[ServiceOrder] = []
        for company, service in facts.companies:
            await Consent.create(
                id=ids.new_id(), application_id=case.id, company=company, notice_version=found.notice.version, basis="platform_push",
                push_id=push.id, notice_sha256=found.notice.sha256(self._city.company(company)),
                given_at=min(found.push.authorization.given_at, now),
            )  # fmt: skip
            distance = facts.distances_m.get(service)
            orders.append(
                await ServiceOrder.create(
                    id=ids.new_id(), status=OrderStatus.CREATED, application_id=case.id, company=company, service=service,
                    number=f"{number}-{self._letters[company]}", pushed=True, main_laid=found.is_laid(service, self._city),
                    distance_m=distance, distance_source=None if distance is None else "declared", created_at=now,
                )
            )  # fmt: skip
        await self._needs.write_down(case.id, await self._needs.of(case))
        await born_all(SERVICE_ORDER, orders, PLATFORM, announces="service_order.created", data=_event_data)
        columns = {"application_id": case.id, "project_code": found.project_code, "problem": None, "ended_at": now}
        await move(PLATFORM_PUSH, push, "file", PLATFORM, columns=columns)

    async def _owner(self, found: Understood) -> Organization:
        """The organization of the credit code. A new one has nobody who acts for it until its own login at an identity source comes.

        What is known of it stays as that source has said it: a push vouches for nobody.
        """
        assert found.facts.subject is not None
        index = self._vault.index("organization.credit_code", found.facts.subject)
        # The same lock as a login takes, so that the two make one row.
        await fetch("select pg_advisory_xact_lock($1)", int.from_bytes(index[:8], "big", signed=True))
        known = await Organization.get_or_none(credit_code_index=index)
        if known is not None:
            return known
        id_, applicant = ids.new_id(), found.answers["applicant"]
        legal = applicant.get("legal_representative")
        return await Organization.create(
            id=id_, name=self._vault.seal(applicant["name"], "organization.name", id_), credit_code_index=index, created_at=clock.now(),
            credit_code=self._vault.seal(found.facts.subject, "organization.credit_code", id_),
            legal_representative=self._vault.seal(legal, "organization.legal_representative", id_) if legal else None,
        )  # fmt: skip


async def expected(number: str, day: date, actor: Actor) -> PlatformPush:
    """The push of this number, locked in the caller's transaction; made when nothing is known of it yet."""
    await fetch(_LOCK, number)
    found = await PlatformPush.filter(number=number).select_for_update().get_or_none()
    if found is not None:
        return found
    push = await PlatformPush.create(id=ids.new_id(), status=PushStatus.EXPECTED, number=number, pushed_on=day)
    await born(PLATFORM_PUSH, push, actor)
    return push


async def _locked(push_id: UUID) -> PlatformPush:
    push = await PlatformPush.filter(id=push_id).select_for_update().get_or_none()
    if push is None:
        raise NotFound("platform_push")
    return push


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _event_data(order: ServiceOrder) -> dict[str, Any]:
    return {"application_id": str(order.application_id), "company": order.company, "pushed": True}
