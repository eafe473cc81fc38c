"""The login page of the unified identity: whoever of the invented people one wants to be, at the press of a button."""

from html import escape
from typing import Any

from sandbox.replies import Reply
from sandbox.unified_people import Door

_STYLE = (
    "body{font:16px/1.6 system-ui,'PingFang SC','Noto Sans CJK SC',sans-serif;max-width:30rem;margin:0 auto;padding:1rem}"
    "button{display:block;width:100%;margin:.6rem 0;padding:.8rem;font:inherit;text-align:left;border:1px solid #9996;"
    "border-radius:.5rem;background:#fff;color:#111}h1{font-size:1.3rem}.soft{opacity:.7}"
)


def login_page(door: Door, people: list[dict[str, Any]], acting_as: str, carried: dict[str, str]) -> Reply:
    """Buttons for everybody who can come as `acting_as`; the form carries what the start asked for."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in carried.items()
    )
    if acting_as == "organization":
        choices = [
            (person["person_id"], item["credit_code"], f"{item['name']}（经办人 {person['name']}）")
            for person in people
            for item in person["organizations"]
        ]
    else:
        choices = [(person["person_id"], "", f"{person['name']}　{person['phone']}") for person in people]
    buttons = "".join(
        f'<button name="who" value="{escape(person_id)}|{escape(credit_code)}">{escape(text)}</button>'
        for person_id, credit_code, text in choices
    )
    whom = "法人" if acting_as == "organization" else "个人"
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(door.name)} 统一身份认证（演示）</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(door.name)} · {whom}登录</h1><p class='soft'>演示页面：以下的人都是虚构的，点一下就以这个人登录。</p>"
        f'<form method="post">{hidden}{buttons or "<p>没有可以登录的人。</p>"}'
        '<button name="who" value="cancel">取消登录</button></form></body></html>'
    )
    return Reply(text.encode(), 200, content_type="text/html; charset=utf-8")


def broken_page(text: str) -> Reply:
    """What a person sees when the start itself is wrong: he is never sent back to an address nobody has registered."""
    body = (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>无法登录</title><p>{escape(text)}</p></html>'
    )
    return Reply(body.encode(), 400, content_type="text/html; charset=utf-8")
