"""The same short token in WeChat's own codes: a code of the mini-program, and a code of the official account.

Both carry the token as their scene, so scanning either leads to the bill the printed QR code leads to. A code of the official
account is answered with the way to the bill; nothing is looked up for that, so it costs nothing and says nothing of the account.
"""

from dataclasses import dataclass
from datetime import timedelta

from cities.schema import City
from core.errors import LianbanError
from core.failpoint import failpoint
from core.outbound import OutboundError
from domain.billing.qr import QrCodeRefused, QrCodes
from domain.companies import JoinedCompany
from wechat.client import EnvVersion, MiniProgram
from wechat.codes import WeChatRefused
from wechat.official_account import LONGEST_TEMPORARY, OfficialAccount, SceneCode

OFFICIAL_LIFE = LONGEST_TEMPORARY


class WeChatCodesAway(LianbanError):
    """WeChat has not drawn the code; nothing has changed."""

    code = "wechat_codes_away"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as WeChat drew it, JPEG or PNG."""

    content: bytes

    @property
    def media_type(self) -> str:
        """``image/png`` or ``image/jpeg``."""
        return "image/png" if self.content.startswith(b"\x89PNG") else "image/jpeg"


class SceneCodes:
    """Draws WeChat's codes for tokens of ours, and answers those who scan them."""

    def __init__(
        self,
        qr_codes: QrCodes,
        mini_program: MiniProgram,
        official_account: OfficialAccount | None,
        city: City,
        env_version: EnvVersion,
    ) -> None:
        self._qr_codes = qr_codes
        self._mini_program = mini_program
        self._official_account = official_account
        self._city = city
        self._env_version: EnvVersion = env_version

    async def mini_program_code(self, token: str, company: JoinedCompany, width: int) -> Picture:
        """The mini-program's code for one of the company's live tokens. Permanent; it ends with the token.

        Raises:
            NotFound: no such code of this company. WeChatCodesAway.
        """
        await self._qr_codes.live_of(token, company)
        try:
            content = await self._mini_program.unlimited_code(
                token, self._city.code_page, env_version=self._env_version, width=width
            )
        except (WeChatRefused, OutboundError) as error:
            raise WeChatCodesAway from error
        failpoint("code.drawn")
        return Picture(content)

    async def official_code(self, token: str, company: JoinedCompany, life: timedelta = OFFICIAL_LIFE) -> SceneCode:
        """The official account's code for one of the company's live tokens, good for at most 30 days.

        Permanent ones are 100,000 in all, too few for a city's bills, so none is made here.

        Raises:
            NotFound: no such code of this company. WeChatCodesAway: or there is no official account.
        """
        await self._qr_codes.live_of(token, company)
        if self._official_account is None:
            raise WeChatCodesAway
        try:
            return await self._official_account.scene_code(token, life)
        except (WeChatRefused, OutboundError) as error:
            raise WeChatCodesAway from error

    def reply_to(self, scene: str) -> str | None:
        """What somebody reads who came to the official account by a code with this scene; None when it is not ours."""
        try:
            url = self._qr_codes.url_of(scene)
        except QrCodeRefused:
            return None
        link = f'data-miniprogram-appid="{self._mini_program.appid}" data-miniprogram-path="{self._city.code_page}?scene={scene}"'
        return f'<a href="{url}" {link}>点这里看账单、缴费</a>'
