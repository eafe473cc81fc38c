"""The cookie that binds a login to the browser in which it began. It is no login: alone it opens nothing.

``__Host-`` (no Domain, Path=/, Secure) keeps other hosts of the same site from planting one; without https, in development, a
browser would refuse that name.
"""

import re

from api.calls import Call
from core.settings import Settings

_LIFE_S = 900
_VALUE = re.compile(r"[0-9A-Za-z_-]{43}")


def browser_of(call: Call) -> str | None:
    """The secret in the browser's cookie; None when there is none, or two."""
    name = _name(call.services.settings)
    texts = [text for header, text in call.header_pairs if header.lower() == "cookie"]
    pairs = [part.strip().partition("=") for text in texts for part in text.split(";")]
    values = [value for found, _, value in pairs if found == name]
    return values[0] if len(values) == 1 and _VALUE.fullmatch(values[0]) else None


def kept(settings: Settings, browser: str) -> dict[str, str]:
    """The header that lets the browser keep the secret."""
    secure = "; Secure" if _is_secure(settings) else ""
    return {"Set-Cookie": f"{_name(settings)}={browser}; Path=/; Max-Age={_LIFE_S}; HttpOnly; SameSite=Lax{secure}"}


def forgotten(settings: Settings) -> dict[str, str]:
    """The header that lets the browser forget it."""
    secure = "; Secure" if _is_secure(settings) else ""
    return {"Set-Cookie": f"{_name(settings)}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}"}


def _name(settings: Settings) -> str:
    return "__Host-lianban-login" if _is_secure(settings) else "lianban-login"


def _is_secure(settings: Settings) -> bool:
    return settings.public_url.startswith("https:")
