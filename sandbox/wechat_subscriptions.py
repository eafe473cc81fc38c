"""Subscription messages: who allowed which template, what was sent, and the events about both."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.context import Context, ControlError
from sandbox.wechat_apps import App, Template, WechatError
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_values import check_values

MOST_IN_A_POPUP: Final = 5
_STATES: Final = ("developer", "trial", "formal")
_LANGUAGES: Final = ("zh_CN", "en_US", "zh_HK", "zh_TW")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_credit (
    openid TEXT NOT NULL, template_id TEXT NOT NULL, left_over INTEGER NOT NULL, refused INTEGER NOT NULL,
    PRIMARY KEY (openid, template_id)
);
CREATE TABLE IF NOT EXISTS wechat_message (
    msgid TEXT PRIMARY KEY, openid TEXT NOT NULL, template_id TEXT NOT NULL, content TEXT NOT NULL,
    sent_at REAL NOT NULL
);
"""


class Subscriptions:
    """Every method belongs into a transaction of the caller."""

    def __init__(self, context: Context, people: People, pusher: Pusher) -> None:
        self._state = context.state
        self._clock = context.clock
        self._people = people
        self._pusher = pusher
        self._state.define(_SCHEMA)

    def answer_popup(self, app: App, openid: str, answers: Mapping[str, bool]) -> None:
        """The pop-up is answered: one accept is one message (or, for a long-term template, all to come)."""
        templates = [self._template(app, template_id) for template_id in answers]
        if not 1 <= len(templates) <= MOST_IN_A_POPUP:
            raise ControlError("20003: one to five template ids")
        if len({template.long_term for template in templates}) > 1:
            raise ControlError("20002: one-off and long-term templates cannot share a call")
        for template in templates:
            if answers[template.template_id]:
                self._credit(openid, template.template_id, 1, refused=False)
        self._pusher.add(app, openid, "subscribe_msg_popup_event", _items(answers, {"PopupScene": "2"}))

    def switch_off(self, app: App, openid: str, template_ids: Sequence[str]) -> None:
        """The person refuses templates in the settings; only refusals come from there."""
        answers = {self._template(app, template_id).template_id: False for template_id in template_ids}
        for template_id in answers:
            self._credit(openid, template_id, 0, refused=True)
        self._pusher.add(app, openid, "subscribe_msg_change_event", _items(answers, {}))

    def send(self, app: App, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        """POST /cgi-bin/message/subscribe/send; `text` is the body as it came. Raises WechatError."""
        owner = self._people.owner_of(str(body.get("touser")))
        if owner is None or owner.appid != app.appid:
            raise WechatError(40003, "invalid openid")
        template = app.templates.get(str(body.get("template_id")))
        if template is None:
            raise WechatError(40037, "invalid template_id")
        if body.get("miniprogram_state", "formal") not in _STATES or body.get("lang", "zh_CN") not in _LANGUAGES:
            raise WechatError(47003, "argument invalid! miniprogram_state or lang invalid")
        if not isinstance(body.get("page", ""), str):
            raise WechatError(47003, "argument invalid! page invalid")
        check_values(template, body.get("data"))
        self._spend(owner.openid, template)
        msgid = str(secrets.randbelow(9 * 10**18) + 10**18)
        values = (msgid, owner.openid, template.template_id, text, self._clock.timestamp())
        self._state.run("INSERT INTO wechat_message VALUES (?, ?, ?, ?, ?)", values)
        receipt = {"TemplateId": template.template_id, "MsgID": msgid, "ErrorCode": "0", "ErrorStatus": "success"}
        self._pusher.add(app, owner.openid, "subscribe_msg_sent_event", [receipt])
        return {"errcode": 0, "errmsg": "ok", "msgid": int(msgid)}

    def messages(self, openids: Sequence[str]) -> list[dict[str, Any]]:
        """What reached the phone, oldest first: ``{msgid, openid, template_id, content, sent_at}``."""
        rows = self._state.all("SELECT * FROM wechat_message ORDER BY rowid")
        return [dict(row) for row in rows if row["openid"] in openids]

    def credits(self, openids: Sequence[str]) -> list[dict[str, Any]]:
        """What is left: ``{openid, template_id, left_over, refused}``."""
        rows = self._state.all("SELECT * FROM wechat_credit ORDER BY openid, template_id")
        return [dict(row) | {"refused": bool(row["refused"])} for row in rows if row["openid"] in openids]

    def _spend(self, openid: str, template: Template) -> None:
        query = "SELECT * FROM wechat_credit WHERE openid = ? AND template_id = ?"
        credit = self._state.one(query, (openid, template.template_id))
        if credit is None or credit["refused"] or credit["left_over"] < 1:
            raise WechatError(43101, "user refuse to accept the msg")
        if not template.long_term:
            self._credit(openid, template.template_id, -1, refused=False)

    def _credit(self, openid: str, template_id: str, more: int, *, refused: bool) -> None:
        self._state.run(
            "INSERT INTO wechat_credit VALUES (?, ?, ?, ?) ON CONFLICT (openid, template_id) DO UPDATE SET "
            "left_over = left_over + excluded.left_over, refused = excluded.refused",
            (openid, template_id, more, int(refused)),
        )

    def _template(self, app: App, template_id: str) -> Template:
        if template_id not in app.templates:
            raise ControlError(f"20001: no template {template_id}")
        return app.templates[template_id]


def _items(answers: Mapping[str, bool], more: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"TemplateId": template_id, "SubscribeStatusString": "accept" if accepted else "reject", **more}
        for template_id, accepted in answers.items()
    ]
