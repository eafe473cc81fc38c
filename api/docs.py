"""The contract, served with the program itself: ``/openapi.json`` for machines, ``/docs`` for people."""

from functools import cache
from html import escape
from itertools import groupby
from typing import Any

import msgspec

from api.calls import Answer, Call, Route
from api.errors import WORDS
from api.html import page
from api.openapi import AREAS, PROBLEM, access, document, problems

_CACHED = {"Cache-Control": "public, max-age=300"}
_SCHEMAS = "#/components/schemas/"


async def openapi(_call: Call) -> Answer:
    """The OpenAPI description."""
    return Answer(_description(), headers=_CACHED)


async def show(_call: Call) -> Answer:
    """The same, readable."""
    answer = _page()
    return Answer(answer.content, answer.status, answer.media_type, {**answer.headers, **_CACHED})


@cache
def _description() -> bytes:
    return msgspec.json.encode(document(_routes()))


@cache
def _page() -> Answer:
    return page("联办接口", render(_routes()))


def _routes() -> tuple[Route, ...]:
    from api.routes import ROUTES  # the table names this module's handlers, so it comes after it

    return ROUTES


def render(routes: tuple[Route, ...]) -> str:
    """The body of the page: groups, operations, types."""
    described = document(routes)
    groups = [
        (tag, list(members))
        for tag, members in groupby(sorted(routes, key=_place(described)), key=lambda route: route.tag)
    ]
    contents = "".join(
        f"<li><strong>{escape(tag)}</strong>：{'、'.join(_link(route) for route in members)}</li>"
        for tag, members in groups
    )
    about = "".join(f"<p>{escape(text)}</p>" for text in described["info"]["description"].split("\n\n"))
    return (
        f'<h1>联办接口</h1>{about}<p>机器读的版本：<a href="/openapi.json">/openapi.json</a>（OpenAPI 3.1）。</p>'
        f"<nav><ul>{contents}</ul></nav>{_security(described)}"
        + "".join(
            f"<h2>{escape(tag)}</h2>{_paragraphs(AREAS.get(tag, ''))}"
            + "".join(_operation(route, described) for route in members)
            for tag, members in groups
        )
        + _types(described)
        + _errors()
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines())


def _place(described: dict[str, Any]) -> Any:
    order = [tag["name"] for tag in described["tags"]]
    return lambda route: order.index(route.tag)


def _link(route: Route) -> str:
    return f'<a href="#{route.name}">{escape(route.summary)}</a>'


def _operation(route: Route, described: dict[str, Any]) -> str:
    operation = described["paths"][route.path][route.method.lower()]
    parts = [
        f'<section id="{route.name}"><h3>{escape(route.summary)}</h3>',
        f"<p><code>{route.method} {escape(route.path)}</code> · {escape(access(route))}</p>",
        _parameters(operation["parameters"]),
    ]
    if body := operation.get("requestBody"):
        parts.append(f"<p>请求正文{escape('：' + body['description'] if 'description' in body else '')}</p>")
        parts += [
            _content(media_type, content) for media_type, content in body["content"].items() if "example" in content
        ]
    for status, answer in operation["responses"].items():
        contents = {name: content for name, content in answer.get("content", {}).items() if name != PROBLEM}
        if contents or status.startswith("2"):
            parts.append(f"<p>回答 {status}{'，没有正文' if not contents else ''}</p>")
            parts += [_content(name, content) for name, content in contents.items()]
    rows = "".join(
        f"<tr><td>{status}</td><td><code>{code}</code></td><td>{escape(WORDS[code].title)}</td></tr>"
        for status, errors in problems(route).items()
        for code in sorted({error.code for error in errors})
    )
    parts.append(f"<details><summary>错误</summary><table>{rows}</table></details></section>")
    return "".join(parts)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    where = {"path": "地址", "query": "查询", "header": "请求头"}
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{where[one['in']]}{'，必填' if one['required'] else ''}</td>"
        f"<td>{escape(_shape(one['schema']))}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    return f"<table><tr><th>参数</th><th>位置</th><th>形式</th><th>含义</th></tr>{rows}</table>"


def _content(media_type: str, content: dict[str, Any]) -> str:
    reference = content["schema"].get("$ref", "")
    name = reference.removeprefix(_SCHEMAS)
    linked = f'<a href="#type-{name}"><code>{name}</code></a> · ' if name else ""
    sample = content["example"]
    text = sample if isinstance(sample, str) else msgspec.json.format(msgspec.json.encode(sample), indent=2).decode()
    return f"<p>{linked}<code>{escape(media_type)}</code></p><pre>{escape(text)}</pre>"


def _types(described: dict[str, Any]) -> str:
    sections = []
    for name, schema in described["components"]["schemas"].items():
        required = schema.get("required", ())
        rows = "".join(
            f"<tr><td><code>{escape(member)}</code></td><td>{_shape_html(inner)}{'' if member in required else '，可不写'}</td>"
            f"<td>{escape(inner.get('description', ''))}</td></tr>"
            for member, inner in schema.get("properties", {}).items()
        )
        sections.append(
            f'<section id="type-{name}"><h3><code>{name}</code></h3>'
            f'<p class="soft" lang="en">{escape(schema.get("description", ""))}</p>'
            f"<table><tr><th>字段</th><th>形式</th><th>含义</th></tr>{rows}</table></section>"
        )
    return "<h2>类型</h2>" + "".join(sections)


def _errors() -> str:
    rows = "".join(
        f'<tr id="error-{code}"><td><code>{code}</code></td><td>{escape(said.title)}</td><td>{escape(said.detail)}</td></tr>'
        for code, said in WORDS.items()
    )
    return f"<h2>错误</h2><table><tr><th>代码</th><th>发生了什么</th><th>下一步</th></tr>{rows}</table>"


def _security(described: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{name}</code></td><td>{escape(scheme['description'])}</td></tr>"
        for name, scheme in described["components"]["securitySchemes"].items()
    )
    return f"<h2>身份</h2><table>{rows}</table>"


def _shape_html(schema: dict[str, Any]) -> str:
    for inner in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if "$ref" in inner:
            name = inner["$ref"].removeprefix(_SCHEMAS)
            text = f'<a href="#type-{name}"><code>{name}</code></a>'
            return f"{text} 的列表" if "items" in schema else text
    return escape(_shape(schema))


_NAMES = {
    "string": "文字", "integer": "整数", "boolean": "是或否", "object": "对象", "null": "null", "uuid": "编号（uuid）",
    "date-time": "时间", "date": "日期",
}  # fmt: skip


def _shape(schema: dict[str, Any]) -> str:
    """The form of a value, in a few Chinese words."""
    if "enum" in schema:
        return "、".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " 或 ".join(_shape(inner) for inner in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_shape(schema['items'])} 的列表"
    text = _NAMES.get(schema.get("format") or schema.get("type", ""), "任意")
    for key, said in (
        ("minLength", "至少 {} 字"),
        ("maxLength", "至多 {} 字"),
        ("minimum", "至少 {}"),
        ("maximum", "至多 {}"),
    ):
        if key in schema:
            text += "，" + said.format(schema[key])
    return text + (f"，{schema['pattern']}" if "pattern" in schema else "")
