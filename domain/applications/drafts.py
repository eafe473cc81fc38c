"""Drafts: begun at one access point, gone on with at another, never saved over what one has not seen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from cities.forms import Problem
from cities.schema import City
from core import clock, ids
from core.crypto import Vault
from core.database import fetch, transaction
from core.errors import LianbanError, NotFound
from domain.applications.facts import Facts, facts_of, tidy_address
from domain.identity.mandates import Mandates
from domain.identity.tokens import Caller
from models.application import APPLICATION, Application, ApplicationStatus, way_to_application
from models.lifecycle import Actor, born
from models.share import note_use

FORM = "application"
ANSWERS = "application.answers"
_MOST_AT_ONCE = 500
_OLD = "select id from application where status = 'draft' and discarded_at is null and saved_at < $1 order by saved_at limit $2"
_DISCARD = """
update application set discarded_at = $2, answers = null, subject_index = null, address_index = null, phone = null
where id = any($1::uuid[]) and status = 'draft' and discarded_at is null returning id
"""


class DraftChanged(LianbanError):
    """It was saved since, perhaps elsewhere: look at it first. data: ``version``, ``saved_at``, ``access_point``."""

    code = "draft_changed"


class NoDraft(LianbanError):
    """It has been filed: what was filed is not written over."""

    code = "no_draft"


class TooManyDrafts(LianbanError):
    """As many drafts as one may have; throw one away. data: ``limit``."""

    code = "too_many_drafts"


class AnswersUnreadable(LianbanError):
    """The answers are too large, or no object. data: ``problems``."""

    code = "answers_unreadable"


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as its owner sees it: the answers as he left them, and what is wrong with them so far."""

    application: Application
    answers: dict[str, Any]
    problems: list[Problem]


class Drafts:
    """Begins, saves, shows and throws away drafts."""

    def __init__(self, city: City, vault: Vault, mandates: Mandates) -> None:
        self._city = city
        self._vault = vault
        self._mandates = mandates

    async def begin(self, caller: Caller, answers: dict[str, Any], access_point: str) -> Draft:
        """A new draft of the caller's, or of the organization he acts for.

        Raises:
            NotFound, ScopeMissing: he does not act for it, or not in filing. TooManyDrafts, AnswersUnreadable.
        """
        if caller.organization_id is not None:
            await self._mandates.require(caller.principal, "file")
        rule, now, draft_id = self._city.applications.rule(clock.today()), clock.now(), ids.new_id()
        form = self._city.form(FORM, clock.today())
        async with transaction():
            open_drafts = Application.filter(status="draft", discarded_at=None, **caller.principal.owned)
            if await open_drafts.count() >= rule.most_drafts:
                raise TooManyDrafts(limit=rule.most_drafts)
            draft = Application(
                id=draft_id,
                status=ApplicationStatus.DRAFT,
                actor_user_id=caller.user_id,
                form_version=form.version,
                version=1,
                created_at=now,
                saved_at=now,
                access_point=access_point,
                services=[],
                **caller.principal.owned,
            )
            found = self._fill(draft, answers)
            await draft.save(force_create=True)
            await born(APPLICATION, draft, Actor("person", str(caller.person_id)))
            await self._note(caller, draft_id, "application.drafted")
        return found

    async def save(
        self, caller: Caller, draft_id: UUID, version: int, answers: dict[str, Any], access_point: str
    ) -> Draft:
        """Save over the version one has seen, under the form that is in force today.

        Raises:
            NotFound. NoDraft. DraftChanged. AnswersUnreadable.
        """
        async with transaction():
            draft = await self.locked(caller, draft_id)
            if draft.version != version:
                raise changed(draft)
            draft.version, draft.saved_at, draft.access_point = version + 1, clock.now(), access_point
            draft.form_version = self._city.form(FORM, clock.today()).version
            found = self._fill(draft, answers)
            await draft.save()
            await self._note(caller, draft_id, "application.drafted")
        return found

    async def show(self, caller: Caller, draft_id: UUID) -> Draft:
        """A draft of the caller's.

        Raises:
            NotFound. NoDraft.
        """
        way = await way_to_application(draft_id, caller.principal)
        draft = await Application.get_or_none(id=draft_id) if way else None
        if way is None or draft is None:
            raise NotFound("application")
        if draft.status != ApplicationStatus.DRAFT:
            raise NoDraft
        await note_use(way, caller.person_id, "application.seen", None, draft_id)
        answers = self.answers_of(draft)
        form = self._city.form_version(FORM, draft.form_version)
        return Draft(draft, answers, form.problems(answers, partial=True))

    async def discard(self, caller: Caller, draft_id: UUID) -> None:
        """Throw a draft away with everything said in it.

        Raises:
            NotFound. NoDraft.
        """
        async with transaction():
            draft = await self.locked(caller, draft_id)
            await self._note(caller, draft_id, "application.discarded")
            await fetch(_DISCARD, [draft.id], clock.now())

    async def discard_old(self) -> int:
        """Throw away drafts that nobody has saved for as long as the city keeps them; how many."""
        before = clock.now() - self._city.applications.rule(clock.today()).draft_life
        rows = await fetch(_OLD, before, _MOST_AT_ONCE)
        return len(await fetch(_DISCARD, [row["id"] for row in rows], clock.now())) if rows else 0

    async def locked(self, caller: Caller, draft_id: UUID) -> Application:
        """The caller's draft, locked in his transaction.

        Raises:
            NotFound. NoDraft.
        """
        if await way_to_application(draft_id, caller.principal, "file") is None:
            raise NotFound("application")
        draft = await Application.filter(id=draft_id, discarded_at=None).select_for_update().get_or_none()
        if draft is None:
            raise NotFound("application")
        if draft.status != ApplicationStatus.DRAFT:
            raise NoDraft
        return draft

    def answers_of(self, application: Application) -> dict[str, Any]:
        """What was answered, as it stands."""
        if application.answers is None:
            return {}
        return msgspec.json.decode(self._vault.open_bytes(application.answers, ANSWERS, application.id))

    def index(self, facts: Facts) -> tuple[bytes | None, bytes | None]:
        """Blind indexes of subject and place."""
        subject = self._vault.index("application.subject", facts.subject.upper()) if facts.subject else None
        place = tidy_address(self._city, facts.area, facts.address) if facts.area and facts.address else None
        return subject, self._vault.index("application.address", place) if place else None

    def _fill(self, draft: Application, answers: dict[str, Any]) -> Draft:
        """Put answers into a draft: whatever can be looked at, wrong answers too."""
        form = self._city.form_version(FORM, draft.form_version)
        problems = form.problems(answers, partial=True)
        if any(problem.pointer == "" for problem in problems):
            raise AnswersUnreadable(problems=[problem._asdict() for problem in problems])
        answers = form.cleaned(answers)
        facts = facts_of(self._city, answers)
        draft.answers = self._vault.seal(msgspec.json.encode(answers), ANSWERS, draft.id)
        draft.services = list(facts.services)
        draft.subject_index, draft.address_index = self.index(facts)
        return Draft(draft, answers, problems)

    async def _note(self, caller: Caller, application_id: UUID, deed: str) -> None:
        if caller.organization_id is not None:
            way = await way_to_application(application_id, caller.principal, "file")
            if way is None:  # the answers name a service his mandate does not cover
                raise NotFound("application")
            await note_use(way, caller.person_id, deed, None, application_id)


def changed(draft: Application) -> DraftChanged:
    """What to tell whoever has not seen the last version."""
    saved_at: datetime = draft.saved_at
    return DraftChanged(version=draft.version, saved_at=saved_at, access_point=draft.access_point)
