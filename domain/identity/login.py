"""Login from WeChat, and the phone number that raises a person to level 2.

The openid comes only from WeChat's answer to our server; the session key never leaves the WeChat client. Typed data never raises
a level.
"""

from typing import Protocol

from core.crypto import Vault
from core.database import transaction
from core.errors import LianbanError
from core.failpoint import failpoint
from core.outbound import FailureKind, OutboundError
from domain.identity.people import People
from domain.identity.phones import write_proved_phone
from domain.identity.sessions import Opened, Sessions
from domain.identity.tokens import Caller
from models.person import User
from wechat.client import Login as MiniProgramLogin
from wechat.codes import WeChatRefused

WECHAT_MINI_PROGRAM = "wechat_mini_program"


class LoginCodeRefused(LianbanError):
    """WeChat does not accept the code: used, expired or of another app. The client calls wx.login again."""

    code = "login_code_refused"


class PhoneCodeRefused(LianbanError):
    """WeChat does not accept the phone code, or it belongs to somebody else. The button is pressed again."""

    code = "phone_code_refused"


class IdentityProofRefused(LianbanError):
    """What is to prove an identity within a session is not this session's, used, too old, or another's."""

    code = "identity_proof_refused"


class IdentitySourceAway(LianbanError):
    """WeChat did not answer; nothing has changed."""

    code = "identity_source_away"


class WeChatLogin(Protocol):
    """What the login needs of the WeChat client."""

    appid: str

    async def code2session(self, code: str) -> MiniProgramLogin: ...

    async def phone_number(self, code: str, openid: str) -> str: ...


class Login:
    """Turns a proof from an identity source into a person, a user and a session."""

    def __init__(self, wechat: WeChatLogin, sessions: Sessions, people: People, vault: Vault) -> None:
        self._wechat = wechat
        self._sessions = sessions
        self._people = people
        self._vault = vault

    async def by_wechat(self, code: str, client_id: str, client_label: str) -> Opened:
        """Log in with what wx.login gave. A person exists from his first login, unverified (level 1).

        Raises:
            LoginCodeRefused: WeChat refused the code. IdentitySourceAway: no answer.
        """
        login = await self._logged_in(code)
        failpoint("login.answered")
        async with transaction():
            user, person = await self._people.recognise(
                WECHAT_MINI_PROGRAM, self._wechat.appid, login.openid, login.unionid
            )
            opened = await self._sessions.open(user, person, "mini_program", client_id, client_label)
        failpoint("login.committed")
        return opened

    async def prove_again(self, caller: Caller, code: str) -> tuple[str, int, int]:
        """The session's own WeChat user shows up again with what wx.login gave: (new access token, life in s, level).

        Raises:
            IdentityProofRefused: refused, or another user than the session's. IdentitySourceAway: no answer.
        """
        try:
            login = await self._logged_in(code)
        except LoginCodeRefused as error:
            raise IdentityProofRefused from error
        user = await User.get(id=caller.user_id)
        index = self._vault.index(f"login_user.subject.{WECHAT_MINI_PROGRAM}", login.openid)
        if user.source != WECHAT_MINI_PROGRAM or bytes(user.subject_index) != index:
            raise IdentityProofRefused
        return await self._sessions.renewed(caller, proved=True)

    async def prove_phone(self, caller: Caller, code: str) -> tuple[str, int, int]:
        """Raise the caller to level 2 with what the getPhoneNumber button gave: (new access token, life in s, level).

        Raises:
            PhoneCodeRefused: WeChat refused the code, or this login is none of the mini-program. IdentitySourceAway: no answer.
        """
        user = await User.get(id=caller.user_id)
        if (user.source, user.realm) != (WECHAT_MINI_PROGRAM, self._wechat.appid):
            # He came by another way: what that source calls him is none of WeChat's business.
            raise PhoneCodeRefused
        openid = self._vault.open(user.subject, "login_user.subject", user.id)
        try:
            phone = await self._wechat.phone_number(code, openid)
        except WeChatRefused as error:
            if error.kind is FailureKind.PERMANENT:
                raise PhoneCodeRefused from error
            raise IdentitySourceAway from error
        except OutboundError as error:
            raise IdentitySourceAway from error
        failpoint("phone.answered")
        async with transaction():
            await write_proved_phone(self._vault, caller.person_id, phone)
        failpoint("phone.committed")
        return await self._sessions.renewed(caller, proved=True)

    async def _logged_in(self, code: str) -> MiniProgramLogin:
        try:
            return await self._wechat.code2session(code)
        except WeChatRefused as error:
            if error.kind is FailureKind.PERMANENT:
                raise LoginCodeRefused from error
            raise IdentitySourceAway from error
        except OutboundError as error:
            raise IdentitySourceAway from error
