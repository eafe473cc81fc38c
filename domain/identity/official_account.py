"""The official account as an identity source: people whose browser is WeChat's own, in the account's web pages.

WeChat knows neither PKCE nor a nonce. What stands against a stolen code here is what WeChat gives: it serves once, five minutes, this
account and this callback address; ours is that it comes back with the state and the cookie of one browser, and is written down before
it is sent. The openid comes from the exchange only, never from the address.
"""

from collections.abc import Mapping
from uuid import UUID

from core.crypto import Vault
from core.log import get_logger
from core.outbound import FailureKind
from domain.identity.login import IdentitySourceAway
from gateways.unified_identity import NaturalPerson, ReturnRefused, Trip, Vouched, VouchingRefused
from models.person import User
from notifications.followers import WECHAT_OFFICIAL_ACCOUNT, Account, Followers
from wechat.codes import WeChatRefused
from wechat.web_login import WebLogin

log = get_logger(__name__)

LEARN_TASK = "follower.learn"


class SnapshotUserRefused(VouchingRefused):
    """WeChat shows a preview of our page, under an account made up for the preview: it is nobody, and nothing may be bound to it."""

    code = "login_snapshot_user"


class OfficialAccountSource:
    """Web login of the official account, behind the port of all identity sources. Raises nobody above level 1."""

    code = WECHAT_OFFICIAL_ACCOUNT
    real_name: str | None = None
    takes_organizations = False

    def __init__(self, web: WebLogin, account: Account) -> None:
        self.realm = web.appid
        self._web = web
        self._account = account

    def login_url(self, trip: Trip) -> str:
        return self._web.address(trip.callback_url, trip.state)

    def returned(self, trip_query: Mapping[str, str]) -> str:
        code = trip_query.get("code", "")
        if not code:  # WeChat says nothing else when the person has declined
            raise ReturnRefused("declined")
        return code

    async def vouch(self, code: str, trip: Trip) -> Vouched:
        try:
            user = await self._web.exchange(code)
            if user.is_snapshot:
                raise SnapshotUserRefused("web_token")
            unionid = user.unionid
            if self._web.scope == "snsapi_base":
                # Without it the same human would become a second person beside the one of his mini-program.
                unionid = (await self._account.following(user.openid)).unionid
        except WeChatRefused as error:
            if error.kind is FailureKind.PERMANENT:
                raise VouchingRefused("web_token") from error
            raise IdentitySourceAway("web_token") from error
        return Vouched(NaturalPerson(user.openid), union=unionid)


async def learn_follower(followers: Followers | None, vault: Vault, user_id: UUID) -> None:
    """Ask whether somebody who has just logged in follows the account: whoever followed before we listened is told there too.

    Raises:
        WeChatRefused: the platform is busy. NotSent, OutcomeUnknown.
    """
    user = await User.get(id=user_id)
    if followers is None or user.realm != followers.appid:
        return
    try:
        await followers.learn(vault.open(user.subject, "login_user.subject", user.id))
    except WeChatRefused as error:
        if error.kind is FailureKind.TEMPORARY:
            raise
        log.warning("follower.not_learned", errcode=error.errcode)
