"""What a handler gets and gives: a parsed, authenticated call, and an answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from api.shedding import Shed
from cities.staff import Permission
from core.errors import LianbanError
from domain.identity.staff_sessions import StaffCaller
from domain.identity.tokens import Caller
from domain.services import Services
from models.idempotency import Once

MOST_NAMES = 50
"""Of a query that is not compared with a type."""

OrganizationScope = Literal["read", "pay", "file", "sign", "appoint"]
Who = Literal["anybody", "person", "staff", "company", "platform", "device"]


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the access table: who may call, at which assurance level, with how fresh a proof.

    ``anybody`` needs no login. ``person`` acts for himself with an access token of at least `level` (1 WeChat, 2 phone, 3 real
    name); `fresh` asks for a proof at most five minutes old. ``company``, ``platform`` and ``device`` sign their requests; the handler verifies
    with their keys before anything else. ``staff`` comes with a token of its own audience and needs `permission`, which the roles of
    the city pack give; None: his own login is all it is about.
    """

    who: Who
    level: int = 0
    fresh: bool = False
    permission: Permission | None = None
    scope: OrganizationScope | None = None
    """What an agent's mandate must hold to do this for his organization (header On-Behalf-Of); None: everybody does it for himself."""

    def __post_init__(self) -> None:
        if (self.who == "person") != (self.level in (1, 2, 3)) or (self.fresh and self.who != "person"):
            raise ValueError("a person has a level from 1 to 3, others have none")
        if self.permission is not None and self.who != "staff":
            raise ValueError("only staff have permissions")
        if self.scope is not None and self.who != "person":
            raise ValueError("only a person acts for an organization")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` calls a minute by one caller or, where nobody is logged in, by one device; by one address many times that."""

    count: int
    closed: bool = False
    """Refuse when the limiter is away."""


@dataclass(slots=True)
class Call:
    """A call whose access, size and shape have been checked."""

    services: Services
    request_id: str
    method: str
    path_text: str
    headers: Mapping[str, str]
    header_pairs: list[tuple[str, str]]
    raw: bytes
    path: dict[str, Any] = field(default_factory=dict)
    query: Any = None
    query_text: str = ""
    body: Any = None
    once: Once | None = None
    client_ip: str = ""
    """The address the caller's device comes from, as far as trusted proxies say."""
    _caller: Caller | None = None
    _staff: StaffCaller | None = None

    @property
    def caller(self) -> Caller:
        """The logged-in person."""
        assert self._caller is not None, "this route has no person"
        return self._caller

    @property
    def staff(self) -> StaffCaller:
        """The logged-in member of staff."""
        assert self._staff is not None, "this route has no staff"
        return self._staff

    def act_for(self, citizen: Caller) -> None:
        """From here on `citizen` is the caller, the member of staff who calls his actor."""
        assert self._staff is not None, "only staff act for others"
        self._caller = citizen

    def loose_query(self) -> dict[str, str]:
        """The query of a call whose sender may add to it; nothing of one in which a name stands twice, or with too many names."""
        try:
            pairs = parse_qsl(self.query_text, keep_blank_values=True, max_num_fields=MOST_NAMES)
        except ValueError:
            return {}
        query = dict(pairs)
        return query if len(query) == len(pairs) else {}

    @property
    def caller_id(self) -> str | None:
        """Who is logged in, person or staff: what limits and kept answers go by."""
        if self._staff is not None:
            return f"staff:{self._staff.staff_id}"
        return str(self._caller.person_id) if self._caller is not None else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: a Struct (or bytes already rendered), its status, its media type."""

    content: msgspec.Struct | bytes | None
    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: where, who, what comes in, what goes out, which errors, and an example."""

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    answer: type | UnionType | None
    status: int = 200
    body: type | None = None
    query: type | None = None
    idempotent: bool = False
    limit: Limit | None = None
    errors: tuple[type[LianbanError], ...] = ()
    example: Any = None
    """An example body; a test executes it."""
    media_type: str = "application/json"
    upload: bool = False
    """Takes a file, larger than other bodies: raw, or as the one part of a form; ``call.raw`` holds it."""
    raw: bool = False
    """The handler verifies and reads the bytes itself."""
    signed_answer: bool = False
    """Its answers are signed as those to companies are (docs/company-gateway.md §1)."""
    tag: str = ""
    others: tuple[tuple[int, type[msgspec.Struct]], ...] = ()
    """Answers of other statuses that are not problem details: (status, type)."""
    offline: bool = False
    """Answers without the database."""
    tagged: bool = False
    """Its answer carries an entity tag; who has it already (If-None-Match) gets 304."""
    shed: Shed | None = None
    """When the process is overloaded, with which class it gives way; None: never."""

    @property
    def name(self) -> str:
        """The operation's id."""
        module = self.handler.__module__.removeprefix("api.").replace(".", "_")
        return f"{module}_{self.handler.__name__}"
