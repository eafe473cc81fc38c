"""Template messages of the official account, to its followers; the platform de-duplicates by our number for ten minutes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Protocol
from uuid import UUID

from core.errors import LianbanError
from models.message import Message
from notifications.channels import OFFICIAL_ACCOUNT, Judged, Ready
from notifications.channels.mini_program import judged_by_wechat
from notifications.followers import Followers
from wechat.codes import NOT_FOLLOWING, WeChatRefused
from wechat.official_account import MiniProgramPage
from wechat.template_values import TemplateValueWrong


class TemplateSender(Protocol):
    """What is needed of the WeChat client."""

    async def send_template(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, str],
        *,
        client_msg_id: str,
        leads_to: MiniProgramPage | None = None,
    ) -> str: ...


class OfficialAccountChannel:
    """See :class:`notifications.channels.Channel`."""

    name = OFFICIAL_ACCOUNT
    refusals: ClassVar[tuple[type[LianbanError], ...]] = (WeChatRefused, TemplateValueWrong)
    repeats_within: timedelta | None = timedelta(minutes=8)

    def __init__(
        self, sender: TemplateSender, followers: Followers, templates: Mapping[str, str], mini_program: str
    ) -> None:
        """`templates`: the pack's template name → id at the account; `mini_program`: the appid to which messages lead."""
        self._sender = sender
        self._followers = followers
        self._templates = templates
        self._mini_program = mini_program

    async def reaches(self, person_id: UUID) -> bool:
        return await self._followers.of_person(person_id) is not None

    async def prepare(self, message: Message, content: dict[str, Any]) -> Ready | str:
        template_id = self._templates.get(content["template"])
        if template_id is None:
            return "no_template"
        addressee = await self._followers.of_person(message.person_id)
        if addressee is None:
            return "not_following"
        return Ready(addressee.openid, template_id, addressee.follower_id)

    async def send(self, ready: Ready, message: Message, content: dict[str, Any]) -> str | None:
        leads_to = MiniProgramPage(self._mini_program, message.page) if message.page else None
        return await self._sender.send_template(
            ready.address, ready.template_id, content["data"], client_msg_id=str(message.id), leads_to=leads_to
        )

    def judged(self, error: LianbanError) -> Judged:
        return judged_by_wechat(error)

    async def not_left(self, ready: Ready, message: Message, error: LianbanError, judged: Judged) -> None:
        if isinstance(error, WeChatRefused) and error.errcode == NOT_FOLLOWING:
            await self._followers.left(ready.holder_id)
