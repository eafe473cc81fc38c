"""QR codes of ours: an opaque signed token that finds an account and never proves who holds it.

``A`` (version), one character for the key, 16 characters of id, 14 of HMAC: 32 in all, so that it also fits the scene of a
mini-program code.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core import clock
from core.errors import LianbanError, NotFound
from core.failpoint import failpoint
from core.redis import Limiter
from domain.billing.accounts import Accounts
from domain.companies import JoinedCompany
from models.utility_account import QrCode, UtilityAccount

_TOKEN = re.compile(r"A[0-9A-Za-z][0-9A-Za-z_-]{16}[0-9A-Za-z_-]{14}")
_MAC_BYTES = 10
_PER_COMPANY_AND_HOUR = 10_000


class QrCodeRefused(LianbanError):
    """Not a code of ours, forged, or revoked: one answer for all."""

    code = "qr_code_refused"


@dataclass(frozen=True, slots=True)
class IssuedQrCode:
    """A code to print."""

    token: str
    url: str
    code: QrCode


class QrCodes:
    """Issues, reads and revokes codes."""

    def __init__(
        self, keys: Sequence[tuple[str, bytes]], public_url: str, accounts: Accounts, limiter: Limiter
    ) -> None:
        """`keys`: (key id, 32 bytes); the first character of a key id stands in the token, the first key issues."""
        self._keys = {keyid[0]: key for keyid, key in keys}
        self._issuing = keys[0][0][0]
        self._public_url = public_url.rstrip("/")
        self._accounts = accounts
        self._limiter = limiter

    async def issue(self, company: JoinedCompany, number: str, label: str) -> IssuedQrCode:
        """A new code for one of the company's accounts.

        Raises:
            NotFound: the company does not know the account. CompanyAway. RateLimited: over 10,000 an hour.
        """
        if not company.rules.account.fits(number):
            raise NotFound("utility_account")
        await self._limiter.take(f"qr:{company.code}", _PER_COMPANY_AND_HOUR, timedelta(hours=1), closed=False)
        account = await self._accounts.find_or_ask(company, number)
        failpoint("qr_code.account_known")
        identifier = _text(secrets.token_bytes(12))
        code = await QrCode.create(id=identifier, account_id=account.id, label=label[:40], created_at=clock.now())
        failpoint("qr_code.committed")
        token = self._token(self._issuing, identifier)
        return IssuedQrCode(token, f"{self._public_url}/q/{token}", code)

    async def account_of(self, token: str) -> UtilityAccount:
        """The account a live code leads to.

        Raises:
            QrCodeRefused: it leads nowhere.
        """
        code = await QrCode.get_or_none(id=self._identifier(token), revoked_at=None).prefetch_related("account")
        if code is None:
            raise QrCodeRefused
        return code.account

    async def live_of(self, token: str, company: JoinedCompany) -> QrCode:
        """A live code of this company.

        Raises:
            NotFound: no such code of this company.
        """
        try:
            identifier = self._identifier(token)
        except QrCodeRefused:
            raise NotFound("qr_code") from None
        code = await QrCode.get_or_none(id=identifier, account__company=company.code, revoked_at=None)
        if code is None:
            raise NotFound("qr_code")
        return code

    def url_of(self, token: str) -> str:
        """The address of a token whose form and MAC are ours; nothing is looked up.

        Raises:
            QrCodeRefused: it is not ours.
        """
        self._identifier(token)
        return f"{self._public_url}/q/{token}"

    async def revoke(self, token: str, company: JoinedCompany) -> None:
        """End a code of this company; ending it again changes nothing.

        Raises:
            NotFound: no such code of this company.
        """
        try:
            identifier = self._identifier(token)
        except QrCodeRefused:
            raise NotFound("qr_code") from None
        code = await QrCode.get_or_none(id=identifier, account__company=company.code)
        if code is None:
            raise NotFound("qr_code")
        if code.revoked_at is None:
            code.revoked_at = clock.now()
            await code.save(update_fields=["revoked_at"])

    def looks_ours(self, text: str) -> bool:
        """True when it has the form of a code of ours, right or wrong: then it is nobody else's."""
        return text.startswith(f"{self._public_url}/") or _TOKEN.fullmatch(text) is not None

    def _identifier(self, token: str) -> str:
        text = token.removeprefix(f"{self._public_url}/q/")
        if (
            not _TOKEN.fullmatch(text)
            or text[1] not in self._keys
            or not hmac.compare_digest(text, self._token(text[1], text[2:18]))
        ):
            raise QrCodeRefused
        return text[2:18]

    def _token(self, keyid: str, identifier: str) -> str:
        head = f"A{keyid}{identifier}"
        return head + _text(hmac.digest(self._keys[keyid], head.encode(), hashlib.sha256)[:_MAC_BYTES])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
