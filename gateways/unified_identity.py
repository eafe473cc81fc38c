"""The port to the province's unified identity (统一身份认证): what 鄂汇办 and 湖北政务服务网 have in common, whatever their protocol.

The real specifications are given out by the province to those it joins, and are not public. The two shapes that are known from
elsewhere stand behind this port: a code with PKCE (:mod:`gateways.unified_code`) and a one-time ticket with signed calls
(:mod:`gateways.unified_ticket`). Nothing that a page says about somebody is ever believed, only what the source answers our server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from core.errors import LianbanError

ActingAs = Literal["person", "organization"]
CLOCK_SKEW_S = 300

Subject = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class ReturnRefused(LianbanError):
    """What the browser brought back is not an answer of this source to this start: somebody mixed up two of them, or declined."""

    code = "login_return_refused"


class VouchingRefused(LianbanError):
    """The source does not accept the code or ticket: used, expired, or not given to us."""

    code = "login_code_refused"


@dataclass(frozen=True, slots=True)
class Trip:
    """What binds one trip of a browser: all three secrets are made here and are new each time."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    callback_url: str
    acting_as: ActingAs


class NaturalPerson(msgspec.Struct, frozen=True):
    """Somebody, as the source knows him. `is_real_name`: it has checked name and ID number against the population register."""

    subject: Subject
    name: Name | None = None
    id_number: Annotated[str, Meta(pattern=r"\A[0-9]{17}[0-9X]\Z")] | None = None
    phone: Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{6,15}\Z")] | None = None
    is_real_name: bool = False

    def __repr__(self) -> str:
        return "NaturalPerson(…)"


class LegalPerson(msgspec.Struct, frozen=True):
    """The organization for which somebody has logged in, as its own login at the source says."""

    name: Name
    credit_code: Annotated[str, Meta(pattern=r"\A[0-9A-HJ-NPQRTUWXY]{18}\Z")]
    legal_representative: Name | None = None

    def __repr__(self) -> str:
        return "LegalPerson(…)"


class Vouched(msgspec.Struct, frozen=True):
    """What a source says of a login: who it is, and for which organization he came, if for any.

    `union` is the subject's name in a wider space, where the source has one (WeChat's unionid).
    """

    person: NaturalPerson
    organization: LegalPerson | None = None
    union: str | None = None

    def __repr__(self) -> str:
        return "Vouched(…)"


class IdentitySource(Protocol):
    """One door at which people log in."""

    code: str
    """Our word for it: the source of its logins, and the access point of their sessions."""
    realm: str
    """The space in which its subjects are unique."""
    real_name: str | None
    """Under which entry of `REAL_NAME_SOURCES` it vouches for names; None: it never does."""
    takes_organizations: bool
    """Whether somebody can log in there for an organization."""

    def login_url(self, trip: Trip) -> str:
        """Where the browser goes to log in."""
        ...

    def returned(self, trip_query: Mapping[str, str]) -> str:
        """The code or ticket of a browser that has come back. Raises ReturnRefused."""
        ...

    async def vouch(self, code: str, trip: Trip) -> Vouched:
        """Who it is. Raises VouchingRefused, or OutboundError when the source is away."""
        ...
