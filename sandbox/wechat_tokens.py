"""stable_token and the check of access tokens."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from sandbox.context import Context
from sandbox.wechat_apps import App, WechatError

LIFE_S: Final = 7200
OVERLAP_S: Final = 300
FORCED_A_DAY: Final = 20
FORCED_APART_S: Final = 30.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_token (token TEXT PRIMARY KEY, appid TEXT NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS wechat_token_forced (appid TEXT NOT NULL, at REAL NOT NULL);
"""


class Tokens:
    """Gives and checks access tokens. Every method belongs into a transaction of the caller."""

    def __init__(self, context: Context, apps: Mapping[str, App]) -> None:
        self._state = context.state
        self._clock = context.clock
        self._apps = apps
        self._state.define(_SCHEMA)

    def give(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /cgi-bin/stable_token: the same token while more than 5 minutes of it are left. Raises WechatError."""
        if body.get("grant_type") != "client_credential":
            raise WechatError(40002, "invalid grant_type")
        app = check_app(self._apps, body.get("appid"), body.get("secret"))
        force = body.get("force_refresh", False)
        if not isinstance(force, bool):
            raise WechatError(47001, "data format error")
        now = self._clock.timestamp()
        if force:
            self._force(app, now)
        query = "SELECT * FROM wechat_token WHERE appid = ? AND expires_at > ? ORDER BY expires_at DESC"
        current = self._state.one(query, (app.appid, now + OVERLAP_S))
        # A clock that has travelled back would make the token live longer than any token does.
        if current is not None and current["expires_at"] - now <= LIFE_S:
            return {"access_token": current["token"], "expires_in": int(current["expires_at"] - now)}
        token = f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(96)}"
        self._state.run("INSERT INTO wechat_token VALUES (?, ?, ?)", (token, app.appid, now + LIFE_S))
        return {"access_token": token, "expires_in": LIFE_S}

    def check(self, token: str | None) -> App:
        """The app an access token speaks for. Raises WechatError 41001, 40001 (unknown, killed), 42001 (expired)."""
        if not token:
            raise WechatError(41001, "access_token missing")
        found = self._state.one("SELECT * FROM wechat_token WHERE token = ?", (token,))
        if found is None or found["appid"] not in self._apps:
            raise WechatError(40001, "invalid credential, access_token is invalid or not latest")
        if found["expires_at"] <= self._clock.timestamp():
            raise WechatError(42001, "access_token expired")
        return self._apps[found["appid"]]

    def _force(self, app: App, now: float) -> None:
        rows = self._state.all("SELECT at FROM wechat_token_forced WHERE appid = ?", (app.appid,))
        today = self._clock.iso(now)[:10]
        if sum(self._clock.iso(row["at"])[:10] == today for row in rows) >= FORCED_A_DAY:
            raise WechatError(45009, "reach max api daily quota limit")
        if any(abs(now - row["at"]) < FORCED_APART_S for row in rows):
            raise WechatError(45011, "api minute-quota reach limit, must slower, retry next minute")
        self._state.run("INSERT INTO wechat_token_forced VALUES (?, ?)", (app.appid, now))
        self._state.run("DELETE FROM wechat_token WHERE appid = ?", (app.appid,))


def check_app(apps: Mapping[str, App], appid: Any, secret: Any) -> App:
    """The app of an appid and its secret. Raises WechatError 40013, 40125."""
    app = apps.get(appid) if isinstance(appid, str) else None
    if app is None:
        raise WechatError(40013, "invalid appid")
    if secret != app.secret:
        raise WechatError(40125, "invalid appsecret")
    return app
