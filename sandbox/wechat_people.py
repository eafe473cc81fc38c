"""The people who use WeChat here: a person has one unionid, and one openid in each app."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sandbox.context import Context, ControlError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_person (
    person_id TEXT PRIMARY KEY, nickname TEXT NOT NULL, phone TEXT, unionid TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS wechat_openid (
    openid TEXT PRIMARY KEY, person_id TEXT NOT NULL REFERENCES wechat_person, appid TEXT NOT NULL,
    UNIQUE (person_id, appid)
);
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who stands behind an openid."""

    person_id: str
    appid: str
    openid: str


class People:
    """Everybody with WeChat on the phone, in all apps of the configuration."""

    def __init__(self, context: Context) -> None:
        self._state = context.state
        self._appids = [app["appid"] for app in context.config.get("wechat", {}).get("apps", ())]
        self._state.define(_SCHEMA)
        with self._state.transaction():
            for row in self._state.all("SELECT person_id FROM wechat_person"):
                self._give_openids(row["person_id"])  # an app may have been added since

    def add(self, nickname: str, phone: str | None) -> dict[str, Any]:
        """A new person with an openid in every app."""
        person_id = secrets.token_hex(8)
        with self._state.transaction() as db:
            unionid = _openid("unionid", person_id)
            db.execute("INSERT INTO wechat_person VALUES (?, ?, ?, ?)", (person_id, nickname, phone, unionid))
            self._give_openids(person_id)
        return self.described(person_id)

    def described(self, person_id: str) -> dict[str, Any]:
        """``{person_id, nickname, phone, unionid, openid, openids}``; ``openid`` is that of the first app."""
        row = self._state.one("SELECT * FROM wechat_person WHERE person_id = ?", (person_id,))
        if row is None:
            raise ControlError("no such person", 404)
        rows = self._state.all("SELECT appid, openid FROM wechat_openid WHERE person_id = ?", (person_id,))
        openids = {found["appid"]: found["openid"] for found in rows}
        return dict(row) | {"openid": openids[self._appids[0]] if self._appids else None, "openids": openids}

    def all(self) -> list[dict[str, Any]]:
        """Every person, oldest first."""
        return [self.described(row["person_id"]) for row in self._state.all("SELECT person_id FROM wechat_person")]

    def openid(self, person_id: str, appid: str) -> str:
        """The person's openid in an app. Raises ControlError when there is no such person or app."""
        openids = self.described(person_id)["openids"]
        if appid not in openids:
            raise ControlError("no such app", 404)
        return openids[appid]

    def owner_of(self, openid: str) -> Owner | None:
        """Who an openid belongs to."""
        row = self._state.one("SELECT person_id, appid, openid FROM wechat_openid WHERE openid = ?", (openid,))
        return None if row is None else Owner(**dict(row))

    def _give_openids(self, person_id: str) -> None:
        for appid in self._appids:
            query = "INSERT OR IGNORE INTO wechat_openid VALUES (?, ?, ?)"
            self._state.run(query, (_openid(appid, person_id), person_id, appid))


def _openid(appid: str, person_id: str) -> str:
    """28 characters beginning with o, as WeChat gives them."""
    digest = hashlib.sha256(f"{appid}|{person_id}".encode()).digest()
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
    return "o" + "".join(alphabet[byte % 64] for byte in digest[:27])
