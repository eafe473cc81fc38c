"""Login by way of a browser: the trip to an identity source and back.

::

    page    POST start    → we make state, nonce and PKCE verifier, bind them to the browser by a cookie, say where to go
    browser …at the source, the person logs in there…
    browser GET callback  → state and cookie must be of one start at this source; the code is spent, the source is asked; the browser
                            goes on to the page with a handover code in the fragment, which no server and no log ever sees
    page    POST finish   → handover code and cookie, once, within two minutes: tokens in the answer's body

Tokens never stand in an address. Whoever steals one of the three (an address with a state or a code, a handover code, the cookie) has
nothing: each step asks for two that travel on different ways. A state belongs to one source, so that an answer of another
cannot be slipped in (mix-up); pages to return to are compared with a list, letter by letter.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import msgspec

from core import clock, ids
from core.crypto import Vault
from core.database import fetch, fetch_one, transaction
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import OutboundError
from core.queue import enqueue
from domain.identity.login import IdentityProofRefused, IdentitySourceAway
from domain.identity.official_account import LEARN_TASK, OfficialAccountSource
from domain.identity.people import People
from domain.identity.sessions import Opened, Sessions
from gateways.unified_identity import ActingAs, IdentitySource, ReturnRefused, Trip, Vouched, VouchingRefused
from models.login_attempt import LoginAttempt
from models.person import Person, User

log = get_logger(__name__)

TRIP_LIFE = timedelta(minutes=10)
HANDOVER_LIFE = timedelta(minutes=2)
_SECRET = re.compile(r"[0-9A-Za-z_-]{43}")
_STATE = re.compile(r"[0-9a-f]{64}")


class ReturnUrlNotAllowed(LianbanError):
    """The page to come back to is not on the list of our own pages."""

    code = "return_url_not_allowed"


class LoginStateRefused(LianbanError):
    """The browser comes back to a start that is not its own, is over, was made for another source, or never was."""

    code = "login_state_refused"


class LoginCodeReplayed(LianbanError):
    """This code or ticket was brought back before."""

    code = "login_code_replayed"


class HandoverRefused(LianbanError):
    """The handover code is unknown, used, too old, of another browser or another client: begin the login again."""

    code = "handover_refused"


@dataclass(frozen=True, slots=True)
class Started:
    """Where the browser is to go. `browser` is the secret its cookie must hold until the end."""

    login_url: str
    expires_in_s: int
    browser: str = field(repr=False)


TOLD_BY_THE_PAGE = (LoginStateRefused, ReturnRefused, LoginCodeReplayed, VouchingRefused, IdentitySourceAway)
"""With what a login may come back to the page (``#error=``); web/src/texts.ts has a sentence for each."""


class Sso:
    """Logins at identity sources that are reached by a browser."""

    def __init__(
        self,
        sources: Sequence[IdentitySource],
        sessions: Sessions,
        people: People,
        vault: Vault,
        *,
        return_urls: Sequence[str],
        public_url: str,
    ) -> None:
        self._sources = {source.code: source for source in sources}
        self._sessions = sessions
        self._people = people
        self._vault = vault
        self._return_urls = tuple(return_urls)
        self._public_url = public_url.rstrip("/")

    @property
    def sources(self) -> tuple[str, ...]:
        """The codes of the sources a browser can log in at."""
        return tuple(self._sources)

    async def start(
        self, source_code: str, return_url: str, client_id: str, acting_as: ActingAs, browser: str | None
    ) -> Started:
        """Begin a trip. `browser` is what the cookie holds already, if anything: two trips of one browser do not disturb each other.

        Raises:
            NotFound: no such source, or not for organizations. ReturnUrlNotAllowed: not one of our pages.
        """
        source = self._source(source_code)
        if acting_as == "organization" and not source.takes_organizations:
            raise NotFound("source")
        if return_url not in self._return_urls:
            raise ReturnUrlNotAllowed
        browser = browser if browser and _SECRET.fullmatch(browser) else ids.new_secret()
        attempt_id, now = ids.new_id(), clock.now()
        trip = Trip(ids.new_state(), ids.new_secret(), ids.new_secret(), self._callback_url(source), acting_as)
        await LoginAttempt.create(
            id=attempt_id,
            source=source.code,
            purpose="login",
            browser_hash=_hashed(browser),
            client_index=self._client_index(client_id),
            state_hash=_hashed(trip.state),
            nonce=self._vault.seal(trip.nonce, "login_attempt.nonce", attempt_id),
            verifier=self._vault.seal(trip.verifier, "login_attempt.verifier", attempt_id),
            acting_as=acting_as,
            return_url=return_url,
            created_at=now,
            expires_at=now + TRIP_LIFE,
        )
        return Started(source.login_url(trip), int(TRIP_LIFE.total_seconds()), browser)

    async def start_joining(self, session_id: UUID, source_code: str, return_url: str, client_id: str) -> str:
        """Begin a trip on which a session proves a second identity: a link of ours that one browser opens once.

        The session may be a mini-program's and the browser its web-view, so the cookie is set when the link is opened. What comes back
        to the page is worth something to this session only.

        Raises:
            NotFound, ReturnUrlNotAllowed: as :meth:`start`.
        """
        source = self._source(source_code)
        if return_url not in self._return_urls:
            raise ReturnUrlNotAllowed
        attempt_id, now, link = ids.new_id(), clock.now(), ids.new_secret()
        await LoginAttempt.create(
            id=attempt_id,
            source=source.code,
            purpose="join",
            session_id=session_id,
            browser_hash=_hashed(ids.new_secret()),
            client_index=self._client_index(client_id),
            state_hash=_hashed(link),
            nonce=self._vault.seal(ids.new_secret(), "login_attempt.nonce", attempt_id),
            verifier=self._vault.seal(ids.new_secret(), "login_attempt.verifier", attempt_id),
            acting_as="person",
            return_url=return_url,
            created_at=now,
            expires_at=now + TRIP_LIFE,
        )
        return f"{self._public_url}/v1/identities/go/{link}"

    async def open_link(self, link: str, browser: str | None) -> Started:
        """The link is opened in a browser, once: from now on the trip is this browser's.

        Raises:
            LoginStateRefused: unknown, opened before, or too late.
        """
        browser = browser if browser and _SECRET.fullmatch(browser) else ids.new_secret()
        state, now = ids.new_state(), clock.now()
        row = await fetch_one(
            "update login_attempt set state_hash = $2, browser_hash = $3, opened_at = $4"
            " where state_hash = $1 and purpose = 'join' and opened_at is null and expires_at > $4 returning id",
            _hashed(link), _hashed(state), _hashed(browser), now,
        )  # fmt: skip
        failpoint("sso.link_opened_committed")
        if row is None:
            raise LoginStateRefused("link")
        attempt = await LoginAttempt.get(id=row["id"])
        source = self._source(attempt.source)
        left_s = int((attempt.expires_at - now).total_seconds())
        return Started(source.login_url(self._trip(attempt, source, state)), left_s, browser)

    async def proved_second(self, handover: str, session_id: UUID, client_id: str) -> tuple[User, Person]:
        """Whom a trip of this session has proved, in the caller's transaction; the handover code is spent.

        Raises:
            IdentityProofRefused: not a trip of this session and client, used, or too old. RealNameContradicts.
        """
        attempt = await LoginAttempt.filter(handover_hash=_hashed(handover)).select_for_update().get_or_none()
        if (
            attempt is None
            or not self._is_live(attempt, client_id)
            or attempt.purpose != "join"
            or attempt.session_id != session_id
        ):
            raise IdentityProofRefused
        user, person = await self._take(attempt)
        return user, person

    async def come_back(self, source_code: str, query: Mapping[str, str], browser: str | None) -> str:
        """The browser is back from the source: the address of our page to send it to, with a handover code or an error's code.

        Never raises a designed error of a login: a person stands before the browser, and only the page can speak to him.
        """
        page = self._return_urls[0] if self._return_urls else self._public_url
        try:
            attempt = await self._returned(source_code, query.get("state", ""), browser)
            page = attempt.return_url
            handover = await self._vouched(attempt, query)
        except TOLD_BY_THE_PAGE as error:
            log.info("sso.refused", source=source_code, error_code=error.code, reason=str(error))
            return _with_fragment(page, "error", error.code)
        return _with_fragment(page, "handover", handover)

    async def finish(self, handover: str, client_id: str, client_label: str, browser: str | None) -> Opened:
        """Tokens for a handover code, once, for the browser and the client that began.

        Raises:
            HandoverRefused: not the code, not the browser, not the client, or too late.
            RealNameContradicts: the source vouches for something that cannot be true together with what we know.
        """
        async with transaction():
            attempt = await self._handed_over(handover, client_id, browser)
            vouched = self._open(attempt)
            user, person = await self._take(attempt)
            organization = await self._people.organization(vouched.organization) if vouched.organization else None
            opened = await self._sessions.open(
                user,
                person,
                attempt.source,
                client_id,
                client_label,
                organization_id=organization.id if organization else None,
            )
        failpoint("sso.finished_committed")
        return opened

    async def _returned(self, source_code: str, state: str, browser: str | None) -> LoginAttempt:
        """Spend the state: it serves the browser that began, at the source it was made for, once."""
        if browser is None or not _STATE.fullmatch(state):
            raise LoginStateRefused("no state or no cookie")
        row = await fetch_one(
            "update login_attempt set returned_at = $4 where state_hash = $1 and browser_hash = $2 and source = $3"
            " and returned_at is null and expires_at > $4 returning id",
            _hashed(state), _hashed(browser), source_code, clock.now(),
        )  # fmt: skip
        failpoint("sso.returned_committed")
        if row is None:
            raise LoginStateRefused("not the state of this browser and source")
        return await LoginAttempt.get(id=row["id"])

    async def _vouched(self, attempt: LoginAttempt, query: Mapping[str, str]) -> str:
        """Spend the code and ask the source; the handover code."""
        source = self._source(attempt.source)
        code = source.returned(query)
        await self._spend(source, code)
        trip = self._trip(attempt, source, query["state"])
        try:
            vouched = await source.vouch(code, trip)
        except OutboundError as error:
            raise IdentitySourceAway(error.reason) from error
        failpoint("sso.vouched")
        handover = ids.new_secret()
        attempt.handover_hash = _hashed(handover)
        attempt.handover_expires_at = clock.now() + HANDOVER_LIFE
        attempt.vouched = self._vault.seal(msgspec.json.encode(vouched), "login_attempt.vouched", attempt.id)
        await attempt.save(update_fields=["handover_hash", "handover_expires_at", "vouched"])
        failpoint("sso.handover_committed")
        return handover

    async def _spend(self, source: IdentitySource, code: str) -> None:
        """Before the source is asked: a code that was brought back once is never sent again, whatever came of it."""
        rows = await fetch(
            "insert into spent_code (id, source, code_index, spent_at) values ($1, $2, $3, $4) on conflict do nothing returning id",
            ids.new_id(), source.code, self._vault.index("spent_code", code), clock.now(),
        )  # fmt: skip
        failpoint("sso.code_spent_committed")
        if not rows:
            raise LoginCodeReplayed

    async def _handed_over(self, handover: str, client_id: str, browser: str | None) -> LoginAttempt:
        attempt = await LoginAttempt.filter(handover_hash=_hashed(handover)).select_for_update().get_or_none()
        if (
            attempt is None
            or browser is None
            or not self._is_live(attempt, client_id)
            or attempt.purpose != "login"
            or bytes(attempt.browser_hash) != _hashed(browser)
        ):
            raise HandoverRefused
        return attempt

    def _is_live(self, attempt: LoginAttempt, client_id: str) -> bool:
        return (
            attempt.finished_at is None
            and attempt.handover_expires_at is not None
            and attempt.handover_expires_at > clock.now()
            and bytes(attempt.client_index) == self._client_index(client_id)
        )

    async def _take(self, attempt: LoginAttempt) -> tuple[User, Person]:
        """The identity and person of an attempt, brought up to what the source says; the attempt is over."""
        vouched, source = self._open(attempt), self._source(attempt.source)
        user, person = await self._people.recognise(source.code, source.realm, vouched.person.subject, vouched.union)
        await self._people.believe(user, person, vouched.person, source.real_name)
        if isinstance(source, OfficialAccountSource):
            await enqueue(LEARN_TASK, user_id=user.id)
        attempt.finished_at, attempt.vouched = clock.now(), None
        await attempt.save(update_fields=["finished_at", "vouched"])
        return user, person

    def _trip(self, attempt: LoginAttempt, source: IdentitySource, state: str) -> Trip:
        return Trip(
            state,
            self._vault.open(attempt.nonce, "login_attempt.nonce", attempt.id),
            self._vault.open(attempt.verifier, "login_attempt.verifier", attempt.id),
            self._callback_url(source),
            "organization" if attempt.acting_as == "organization" else "person",
        )

    def _open(self, attempt: LoginAttempt) -> Vouched:
        assert attempt.vouched is not None
        content = self._vault.open_bytes(attempt.vouched, "login_attempt.vouched", attempt.id)
        return msgspec.json.decode(content, type=Vouched)

    def _source(self, code: str) -> IdentitySource:
        source = self._sources.get(code)
        if source is None:
            raise NotFound("source")
        return source

    def _callback_url(self, source: IdentitySource) -> str:
        return f"{self._public_url}/v1/sessions/unified/{source.code}/callback"

    def _client_index(self, client_id: str) -> bytes:
        return self._vault.index("session.client", client_id)


def _hashed(secret: str) -> bytes:
    """Of 256 random bits a plain hash tells nothing."""
    return hashlib.sha256(secret.encode()).digest()


def _with_fragment(page: str, name: str, value: str) -> str:
    """Behind the ``#``, where it stays in the browser; behind the route of a page that routes by fragment."""
    if "#" not in page:
        return f"{page}#{name}={value}"
    return f"{page}{'&' if '?' in page.partition('#')[2] else '?'}{name}={value}"
