"""Delivering intents on their channels, going on to the next one when a channel does not reach the person, and taking receipts.

A message whose outcome is unknown is sent again only where the platform de-duplicates by our number; elsewhere unknown is its end
unless a receipt still settles it, and no other channel follows: the person may have read it.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from cities.schema import City, MessageRule
from core import clock
from core.database import transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, NotSent, OutcomeUnknown
from core.queue import enqueue
from models.lifecycle import SYSTEM, Actor, StaleState, move
from models.message import MESSAGE, Message, MessageStatus
from models.person import User
from notifications import credits
from notifications.channels import MINI_PROGRAM, OFFICIAL_ACCOUNT, Asked, Channel, Judged, Ready
from notifications.intents import DELIVER_TASK, Intents

log = get_logger(__name__)

ASK_TASK = "notifications.ask"


class Delivery:
    """Sends pending messages, one job each."""

    def __init__(self, channels: Iterable[Channel], intents: Intents, city: City) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._intents = intents
        self._city = city

    async def deliver(self, message_id: UUID) -> None:
        """Send one message, if it is still to be sent. Run again after a crash it never reaches the person twice."""
        message = await Message.get(id=message_id)
        channel = self._channels.get(message.channel)
        if message.status == MessageStatus.SENDING:
            # An earlier run died between sending and writing: whether it left is not known.
            await self._unclear(message, channel)
            return
        if message.status != MessageStatus.PENDING:
            return
        content = self._intents.content(message)
        ready = await self._begin(message, channel, content)
        if ready is None or channel is None:
            return
        failpoint("message.sending_committed")
        try:
            sent = await channel.send(ready, message, content)
        except (NotSent, *channel.refusals) as error:
            await self._not_left(message, channel, ready, error)
            return
        except OutcomeUnknown:
            await self._unclear(message, channel)
            return
        failpoint("message.answered")
        await self._move(message, "accepted", columns={"provider_message": sent, "sent_at": clock.now()})

    async def receipt(
        self, provider_message: str, template_id: str, openid_user: UUID, delivered: bool, failure: str
    ) -> str:
        """Take WeChat's receipt of a subscription message; what it did, or ``unknown_message``, ``ambiguous`` or ``already``."""
        async with transaction():
            user = await User.get(id=openid_user)
            message = await _known(MINI_PROGRAM, provider_message, [user.person_id])
            if message is None:
                nameless = await credits.nameless(user.id, template_id)
                if len(nameless) != 1:
                    return "ambiguous" if nameless else "unknown_message"
                message = await Message.get(id=nameless[0])
            outcome = await self._take(message, provider_message, None if delivered else failure)
        failpoint("message.receipt_committed")
        return outcome

    async def template_receipt(self, provider_message: str, persons: list[UUID], failure: str | None) -> str:
        """Take the official account's result of a template message; the same answers as :meth:`receipt`."""
        async with transaction():
            message = await _known(OFFICIAL_ACCOUNT, provider_message, persons)
            if message is None:
                nameless = await _nameless(OFFICIAL_ACCOUNT, persons)
                # One that waits to be sent again gets its number by that, and then the receipt finds it.
                if len(nameless) != 1 or nameless[0].status == MessageStatus.PENDING:
                    return "ambiguous" if nameless else "unknown_message"
                message = nameless[0]
            outcome = await self._take(message, provider_message, failure)
        failpoint("message.template_receipt_committed")
        return outcome

    async def ask(self, message_id: UUID, step: int) -> None:
        """Ask the platform what became of a message that nobody has told us about; ask again later when it does not know."""
        message = await Message.get(id=message_id)
        channel = self._channels.get(message.channel)
        if message.status not in (MessageStatus.ACCEPTED, MessageStatus.UNKNOWN) or not isinstance(channel, Asked):
            return
        report = await channel.report(message)
        failpoint("message.asked")
        if report is None:
            if step + 1 < len(channel.ask_after):
                at = clock.now() + channel.ask_after[step + 1]
                await enqueue(ASK_TASK, at=at, message_id=message.id, step=step + 1)
            return
        async with transaction():
            message = await Message.filter(id=message_id).select_for_update().get()
            await self._take(message, report.provider_message, report.failure)
        failpoint("message.report_committed")

    async def expire(self) -> int:
        """Messages whose receipt has not come within the city's patience end as unknown; how many."""
        since = clock.now() - self._rule().receipt_within
        late = await Message.filter(status=MessageStatus.ACCEPTED, sent_at__lt=since).limit(500)
        for message in late:
            await self._move(message, "no_receipt")
        return len(late)

    def _rule(self) -> MessageRule:
        return self._city.payment_rules(clock.today()).message

    async def _begin(self, message: Message, channel: Channel | None, content: dict[str, Any]) -> Ready | None:
        """Take what it is sent with and mark it as leaving, in one commit; None when there is nothing to send it with."""
        async with transaction():
            ready = "no_channel" if channel is None else await channel.prepare(message, content)
            if isinstance(ready, str):
                await move(MESSAGE, message, "skip", SYSTEM, columns={"failure": ready})
                await self._go_on(message)
                return None
            await move(MESSAGE, message, "send", SYSTEM)
        return ready

    async def _not_left(self, message: Message, channel: Channel, ready: Ready, error: LianbanError) -> None:
        """It surely did not leave. Temporary failures are tried again for a while, what was spent is given back."""
        judged = Judged("unreachable", FailureKind.TEMPORARY) if isinstance(error, NotSent) else channel.judged(error)
        again = judged.kind is FailureKind.TEMPORARY and self._age(message) < self._rule().retry_for
        if judged.kind is FailureKind.TECHNICAL:
            log.error("message.refused", message_id=str(message.id), channel=channel.name, failure=judged.failure)
        async with transaction():
            await channel.not_left(ready, message, error, judged)
            if again:
                await move(MESSAGE, message, "not_sent", SYSTEM)
                await enqueue(DELIVER_TASK, at=clock.now() + timedelta(minutes=1), message_id=message.id)
            else:
                actor = Actor("provider", channel.name)
                await move(MESSAGE, message, "refused", actor, columns={"failure": judged.failure[:30]})
                await self._go_on(message)
        failpoint("message.failed_committed")

    async def _unclear(self, message: Message, channel: Channel | None) -> None:
        """Whether it left is not known: again where the platform takes our number once, else that is its end."""
        within = channel.repeats_within if channel is not None else None
        if within is None or self._age(message) >= within:
            await self._move(message, "lost")
            return
        async with transaction():
            await move(MESSAGE, message, "repeat", SYSTEM)
            await enqueue(DELIVER_TASK, at=clock.now() + timedelta(seconds=20), message_id=message.id)
        failpoint("message.repeat_committed")

    async def _take(self, message: Message, provider_message: str, failure: str | None) -> str:
        event = "receipt_delivered" if failure is None else "receipt_failed"
        if not MESSAGE.allows(str(message.status), event):
            return "already"
        columns = {"provider_message": provider_message, "sent_at": message.sent_at or clock.now()}
        if failure is not None:
            columns["failure"] = failure[:30]
        await move(MESSAGE, message, event, Actor("provider", message.channel), columns=columns)
        if failure is not None:
            await self._go_on(message)
        return event

    async def _go_on(self, message: Message) -> None:
        """The channel has not reached the person: write the message for the next one that may, in the caller's transaction."""
        if self._age(message) >= self._rule().fall_back_within:
            return
        then = self._intents.content(message).get("then", [])
        for place, (name, content) in enumerate(then):
            channel = self._channels.get(name)
            if channel is not None and await channel.reaches(message.person_id):
                await self._intents.go_on(message, name, content, then[place + 1 :])
                return

    def _age(self, message: Message) -> timedelta:
        return clock.now() - message.created_at

    async def _move(self, message: Message, event: str, columns: dict[str, object] | None = None) -> None:
        actor = SYSTEM if event in ("lost", "no_receipt") else Actor("provider", message.channel)
        try:
            async with transaction():
                await move(MESSAGE, message, event, actor, columns=columns)
                channel = self._channels.get(message.channel)
                if event in ("accepted", "lost") and isinstance(channel, Asked):
                    await enqueue(ASK_TASK, at=clock.now() + channel.ask_after[0], message_id=message.id, step=0)
            failpoint("message.ended_committed")
        except StaleState:
            log.info("message.moved_meanwhile", message_id=str(message.id))


async def _known(channel: str, provider_message: str, persons: list[UUID]) -> Message | None:
    """The message of this number at its platform, when it went to one of these persons; locked."""
    found = Message.filter(provider_message=provider_message, channel=channel, person_id__in=persons)
    return await found.select_for_update().first()


async def _nameless(channel: str, persons: list[UUID]) -> list[Message]:
    """Messages to these persons whose number at the platform is not written down: about to leave, leaving, or their worker died. Locked."""
    waiting = (MessageStatus.PENDING, MessageStatus.SENDING, MessageStatus.UNKNOWN)
    found = Message.filter(channel=channel, person_id__in=persons, provider_message=None, status__in=waiting)
    return await found.select_for_update()
