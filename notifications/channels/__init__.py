"""How a message reaches a person outside the app: one module per channel behind one port."""

from datetime import timedelta
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from core.errors import LianbanError
from core.outbound import FailureKind
from models.message import Message

INBOX = "inbox"
MINI_PROGRAM = "mini_program"
OFFICIAL_ACCOUNT = "official_account"
SMS = "sms"


class Ready(NamedTuple):
    """What a message is sent with. `address` (an openid, a phone number) goes to the channel's own platform only."""

    address: str
    template_id: str
    holder_id: UUID
    """The row behind the address: a login identity, a follower, a person."""


class Judged(NamedTuple):
    """Why a message surely did not leave, and whose fault it is."""

    failure: str
    kind: FailureKind


class Report(NamedTuple):
    """What became of a message; `failure` None: it reached the person."""

    provider_message: str
    failure: str | None


class Channel(Protocol):
    """One way outside."""

    name: str
    refusals: ClassVar[tuple[type[LianbanError], ...]]
    """What `send` raises when the message surely did not leave, besides NotSent."""
    repeats_within: timedelta | None
    """For how long the same number of ours may be sent again without reaching the person twice; None: never."""

    async def reaches(self, person_id: UUID) -> bool:
        """Whether the person can be reached here at all."""
        ...

    async def prepare(self, message: Message, content: dict[str, Any]) -> Ready | str:
        """In the commit that marks the message as leaving: what to send it with, or the word why not."""
        ...

    async def send(self, ready: Ready, message: Message, content: dict[str, Any]) -> str | None:
        """Send it; the platform's number of the message. Raises `refusals`, NotSent, OutcomeUnknown."""
        ...

    def judged(self, error: LianbanError) -> Judged:
        """What one of the `refusals` says."""
        ...

    async def not_left(self, ready: Ready, message: Message, error: LianbanError, judged: Judged) -> None:
        """In the commit that writes that it did not leave: what was spent is given back, what has proved wrong is put right."""
        ...


@runtime_checkable
class Asked(Protocol):
    """A channel whose platform is asked what became of a message."""

    ask_after: tuple[timedelta, ...]
    """The pauses between our questions."""

    async def report(self, message: Message) -> Report | None:
        """None while it is on its way, or not known now."""
        ...
