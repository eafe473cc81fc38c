"""Delivering intents to the mini-program and taking its receipts.

WeChat cannot be asked what became of a subscription message and does not de-duplicate, so one whose outcome is unknown is not sent
again: a receipt may still settle it, otherwise unknown is its end.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from cities.schema import City, MessageRule
from core import clock
from core.crypto import Vault
from core.database import transaction
from core.failpoint import failpoint
from core.log import get_logger
from core.outbound import FailureKind, NotSent, OutcomeUnknown
from core.queue import enqueue
from models.lifecycle import SYSTEM, Actor, StaleState, move
from models.message import MESSAGE, Message, MessageStatus
from models.person import User
from notifications import credits
from notifications.intents import DELIVER_TASK, Intents
from wechat.codes import NO_CREDIT, WeChatRefused
from wechat.template_values import TemplateValueWrong

log = get_logger(__name__)

_WECHAT = Actor("provider", "wechat")


class MiniProgramSender(Protocol):
    """What delivery needs of the WeChat client."""

    appid: str

    async def send_subscription_message(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str | None = None
    ) -> str | None: ...


class Delivery:
    """Sends pending messages, one job each."""

    def __init__(
        self, sender: MiniProgramSender, templates: Mapping[str, str], intents: Intents, vault: Vault, city: City
    ) -> None:
        """`templates`: the pack's template name → template id of this account."""
        self._sender = sender
        self._templates = templates
        self._intents = intents
        self._vault = vault
        self._city = city

    async def deliver(self, message_id: UUID) -> None:
        """Send one message, if it is still to be sent. Run again after a crash it never sends a second one."""
        message = await Message.get(id=message_id)
        if message.status == MessageStatus.SENDING:
            # An earlier run died between sending and writing: whether it left is not known, so it is not sent again.
            await self._move(message, "lost")
            return
        if message.status != MessageStatus.PENDING:
            return
        content = self._intents.content(message)
        template_id = self._templates.get(content["template"])
        user_id = await self._begin(message, template_id)
        if user_id is None or template_id is None:
            return
        failpoint("message.sending_committed")
        user = await User.get(id=user_id)
        openid = self._vault.open(user.subject, "login_user.subject", user.id)
        try:
            sent = await self._sender.send_subscription_message(openid, template_id, content["data"], page=message.page)
        except (WeChatRefused, NotSent) as error:
            await self._failed(message, user, template_id, error)
            return
        except TemplateValueWrong as error:
            log.error("message.value_wrong", message_id=str(message_id), error_code=error.code)
            await self._move(message, "refused", columns={"failure": "template_value"})
            return
        except OutcomeUnknown:
            await self._move(message, "lost")
            return
        failpoint("message.answered")
        await self._move(message, "accepted", columns={"provider_message": sent, "sent_at": clock.now()})

    async def receipt(
        self, provider_message: str, template_id: str, openid_user: UUID, delivered: bool, failure: str
    ) -> str:
        """Take WeChat's receipt of a message; what it did, or ``unknown_message``, ``ambiguous`` or ``already``."""
        async with transaction():
            user = await User.get(id=openid_user)
            message = (
                await Message.filter(provider_message=provider_message, person_id=user.person_id)
                .select_for_update()
                .first()
            )
            if message is None:
                nameless = await credits.nameless(user.id, template_id)
                if len(nameless) != 1:
                    return "ambiguous" if nameless else "unknown_message"
                message = await Message.get(id=nameless[0])
            event = "receipt_delivered" if delivered else "receipt_failed"
            if not MESSAGE.allows(str(message.status), event):
                return "already"
            columns = {"provider_message": provider_message, "sent_at": message.sent_at or clock.now()}
            if not delivered:
                columns["failure"] = failure[:30]
            await move(MESSAGE, message, event, _WECHAT, columns=columns)
        failpoint("message.receipt_committed")
        return event

    async def expire(self) -> int:
        """Messages whose receipt has not come within the city's patience end as unknown; how many."""
        since = clock.now() - self._rule().receipt_within
        late = await Message.filter(status=MessageStatus.ACCEPTED, sent_at__lt=since).limit(500)
        for message in late:
            await self._move(message, "no_receipt")
        return len(late)

    def _rule(self) -> MessageRule:
        return self._city.payment_rules(clock.today()).message

    async def _begin(self, message: Message, template_id: str | None) -> UUID | None:
        """Spend a credit and mark the message as leaving, in one commit; None when there is nothing to send it with."""
        async with transaction():
            user_id = (
                await credits.spend(message.person_id, self._sender.appid, template_id, message.id)
                if template_id
                else None
            )
            if user_id is None:
                await move(
                    MESSAGE, message, "skip", SYSTEM, columns={"failure": "no_credit" if template_id else "no_template"}
                )
            else:
                await move(MESSAGE, message, "send", SYSTEM)
        return user_id

    async def _failed(self, message: Message, user: User, template_id: str, error: WeChatRefused | NotSent) -> None:
        """It surely did not leave. Temporary failures are tried again for a while, with the credit given back."""
        temporary = isinstance(error, NotSent) or error.kind is FailureKind.TEMPORARY
        again = temporary and clock.now() - message.created_at < self._rule().retry_for
        async with transaction():
            if isinstance(error, WeChatRefused) and error.errcode == NO_CREDIT:
                await credits.withdraw(user.id, template_id)
            elif temporary or (isinstance(error, WeChatRefused) and error.kind is FailureKind.TECHNICAL):
                await credits.give_back(message.id)
            if again:
                await move(MESSAGE, message, "not_sent", SYSTEM)
                await enqueue(DELIVER_TASK, at=clock.now() + timedelta(minutes=1), message_id=message.id)
            else:
                failure = f"errcode_{error.errcode}" if isinstance(error, WeChatRefused) else "unreachable"
                await move(MESSAGE, message, "refused", _WECHAT, columns={"failure": failure})
        failpoint("message.failed_committed")

    async def _move(self, message: Message, event: str, columns: dict[str, object] | None = None) -> None:
        actor = SYSTEM if event in ("lost", "no_receipt") else _WECHAT
        try:
            async with transaction():
                await move(MESSAGE, message, event, actor, columns=columns)
            failpoint("message.ended_committed")
        except StaleState:
            log.info("message.moved_meanwhile", message_id=str(message.id))
