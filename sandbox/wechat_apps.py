"""The apps of the WeChat platform here, its error answers, and the codes that phones hand out."""

import json
import secrets
import sqlite3
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sanic import Request

from sandbox.context import Context
from sandbox.state import State

COUNTERPART: Final = "wechat"
CODE_LIFE_S: Final = 300.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_code (
    code TEXT PRIMARY KEY, kind TEXT NOT NULL, person_id TEXT NOT NULL, appid TEXT NOT NULL, issued_at REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
);
"""


class WechatError(Exception):
    """An errcode; the platform answers it with HTTP 200."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errmsg)
        self.errcode = errcode

    def body(self) -> dict[str, Any]:
        """The JSON answer; WeChat appends a reference to its logs to the message."""
        return {"errcode": self.errcode, "errmsg": f"{self} rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}"}


@dataclass(frozen=True, slots=True)
class Template:
    """A template of an account: its keys, and whether one accept serves one message or many."""

    template_id: str
    keys: tuple[str, ...]
    long_term: bool


@dataclass(frozen=True, slots=True)
class Push:
    """Where an app's messages are pushed to, in safe mode."""

    url: str
    token: str
    encoding_aes_key: str


@dataclass(frozen=True, slots=True)
class App:
    """A mini-program (or service account) with its secret, push address and templates."""

    appid: str
    secret: str
    push: Push | None
    templates: Mapping[str, Template]
    kind: str = "mini_program"
    web_host: str = ""
    """The one host whose pages may ask who their user is, as set in the console."""

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "App":
        push = Push(**config["push"]) if config.get("push") else None
        if push is not None and len(push.encoding_aes_key) != 43:
            raise ValueError(f"app {config['appid']}: an EncodingAESKey has 43 characters")
        templates = {
            item["id"]: Template(item["id"], tuple(item["keys"]), item.get("kind") == "long_term")
            for item in config.get("templates", ())
        }
        return cls(
            config["appid"],
            config["secret"],
            push,
            templates,
            config.get("kind", "mini_program"),
            config.get("web_host", ""),
        )


def read_apps(context: Context) -> dict[str, App]:
    """The apps of the configuration by appid. Raises ValueError, KeyError or TypeError when it is wrong."""
    apps = [App.read(config) for config in context.config.get("wechat", {}).get("apps", ())]
    return {app.appid: app for app in apps}


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a call. Raises WechatError 47001."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WechatError(47001, "data format error") from error
    if not isinstance(value, dict):
        raise WechatError(47001, "data format error")
    return value


class Codes:
    """Codes for login and for the phone number: each valid once, for 5 minutes, in one app."""

    def __init__(self, context: Context) -> None:
        self._state: State = context.state
        self._clock = context.clock
        self._state.define(_SCHEMA)

    def issue(self, kind: str, person_id: str, appid: str) -> str:
        """A new code of `kind` ``login`` or ``phone``."""
        # Phone codes are 64 hex characters, login codes 32 letters and digits beginning with 0.
        alphabet = string.ascii_letters + string.digits
        code = secrets.token_hex(32) if kind == "phone" else "0" + "".join(secrets.choice(alphabet) for _ in range(31))
        query = "INSERT INTO wechat_code (code, kind, person_id, appid, issued_at) VALUES (?, ?, ?, ?, ?)"
        self._state.run(query, (code, kind, person_id, appid, self._clock.timestamp()))
        return code

    def find(self, kind: str, code: str, appid: str, other_app: int) -> sqlite3.Row:
        """A code that is still good. Raises WechatError: 40029, 40163 when used, `other_app` when of another app."""
        found = self._state.one("SELECT * FROM wechat_code WHERE code = ? AND kind = ?", (code, kind))
        if found is None or abs(self._clock.timestamp() - found["issued_at"]) > CODE_LIFE_S:
            raise WechatError(40029, "invalid code")
        if found["appid"] != appid:
            raise WechatError(other_app, "invalid appid" if other_app == 40013 else "invalid code")
        if found["used"]:
            raise WechatError(
                40163 if kind == "login" else 40029, "code been used" if kind == "login" else "invalid code"
            )
        return found

    def spend(self, code: str) -> None:
        """The code has been used."""
        self._state.run("UPDATE wechat_code SET used = 1 WHERE code = ?", (code,))
