"""Subscription messages of the mini-program: each spends a credit; the platform neither de-duplicates nor can be asked."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Protocol
from uuid import UUID

from core.crypto import Vault
from core.errors import LianbanError
from core.outbound import FailureKind, NotSent
from models.message import Message
from models.person import User
from notifications import credits
from notifications.channels import MINI_PROGRAM, Judged, Ready
from wechat.codes import NO_CREDIT, WeChatRefused
from wechat.template_values import TemplateValueWrong


class MiniProgramSender(Protocol):
    """What is needed of the WeChat client."""

    appid: str

    async def send_subscription_message(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str | None = None
    ) -> str | None: ...


class MiniProgramChannel:
    """See :class:`notifications.channels.Channel`."""

    name = MINI_PROGRAM
    refusals: ClassVar[tuple[type[LianbanError], ...]] = (WeChatRefused, TemplateValueWrong)
    repeats_within: timedelta | None = None

    def __init__(self, sender: MiniProgramSender, templates: Mapping[str, str], vault: Vault) -> None:
        """`templates`: the pack's template name → template id of this account."""
        self._sender = sender
        self._templates = templates
        self._vault = vault

    async def reaches(self, person_id: UUID) -> bool:
        return bool(await credits.available(person_id, self._sender.appid))

    async def prepare(self, message: Message, content: dict[str, Any]) -> Ready | str:
        template_id = self._templates.get(content["template"])
        if template_id is None:
            return "no_template"
        user_id = await credits.spend(message.person_id, self._sender.appid, template_id, message.id)
        if user_id is None:
            return "no_credit"
        user = await User.get(id=user_id)
        return Ready(self._vault.open(user.subject, "login_user.subject", user.id), template_id, user.id)

    async def send(self, ready: Ready, message: Message, content: dict[str, Any]) -> str | None:
        return await self._sender.send_subscription_message(
            ready.address, ready.template_id, content["data"], page=message.page
        )

    def judged(self, error: LianbanError) -> Judged:
        return judged_by_wechat(error)

    async def not_left(self, ready: Ready, message: Message, error: LianbanError, judged: Judged) -> None:
        if isinstance(error, WeChatRefused) and error.errcode == NO_CREDIT:
            await credits.withdraw(ready.holder_id, ready.template_id)
        elif isinstance(error, NotSent | WeChatRefused) and judged.kind in (
            FailureKind.TEMPORARY,
            FailureKind.TECHNICAL,
        ):
            await credits.give_back(message.id)


def judged_by_wechat(error: LianbanError) -> Judged:
    """A refusal of WeChat, or of our own check of a value before it."""
    if isinstance(error, WeChatRefused):
        return Judged(f"errcode_{error.errcode}", error.kind)
    return Judged("template_value", FailureKind.TECHNICAL)
